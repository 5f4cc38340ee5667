"""What nobody can work out who has the page and these programs, but not the key: names, orders, sides, and filling."""

import hashlib
import secrets
from dataclasses import dataclass

from bench.perception.design import Generator, generator_of

SALT_BYTES = 16
NAME_BYTES = 8


def new_salt() -> str:
    """Return what no other study has, 32 hexadecimal digits."""
    return secrets.token_hex(SALT_BYTES)


@dataclass(frozen=True, slots=True)
class Secret:
    """Draw from the salt of a study; equal words give equal things, so that a study can be made again.

    Attributes:
        salt: kept in the key alone.
        seed: that the researcher gave.
    """

    salt: str
    seed: int

    def generator(self, *words: object) -> Generator:
        """Return a generator for what the words name."""
        return generator_of(self.salt, self.seed, *words)

    def name(self, *words: object) -> str:
        """Return a name that tells nothing."""
        return self.filling(NAME_BYTES, "name", *words).hex()

    def filling(self, length: int, *words: object) -> bytes:
        """Return so many bytes that mean nothing, for what the words name."""
        return hashlib.shake_256("\n".join(map(str, (self.salt, self.seed, *words))).encode()).digest(length)
