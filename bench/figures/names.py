"""Names on axes and of files: short enough to fit, different from each other, and safe."""

import re
from collections.abc import Sequence
from hashlib import sha256

from bench.terminal import visible

LONGEST_LABEL = 32
LONGEST_IN_LEGEND = 44
LONGEST_OF_TWO = 17
"""Letters of a name that has room beside another one in a legend."""
LONGEST_PART = 50
DETECTOR = " · "
"""Stands between a method and its detector."""


def shorten(text: str, most: int = LONGEST_LABEL) -> str:
    """Return a text without control characters, its middle left out where it is too long.

    >>> shorten("instcolor-fusion-masked", 12)
    'instco…asked'
    """
    text = visible(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def labels(names: Sequence[str], most: int = LONGEST_LABEL) -> list[str]:
    """Shorten names that stand beside each other; those that would then be alike are numbered.

    >>> labels(["a-long-name-1-end", "a-long-name-2-end"], 8)
    ['1: a-…nd', '2: a-…nd']
    """
    short = [_both_shortened(name, most) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    return [f"{place}: {_both_shortened(name, most - 3)}" for place, name in enumerate(names, 1)]


def _both_shortened(name: str, most: int) -> str:
    """Shorten a method and its detector, each by itself, so that something of both stays."""
    method, dot, detector = name.partition(DETECTOR)
    last = shorten(detector, max(1, most // 2 - len(DETECTOR), most - len(visible(method)) - len(DETECTOR)))
    return shorten(method, most - len(dot + last)) + dot + last


def stem(*parts: str) -> str:
    """Return the name of a file, without suffix, from what it shows.

    Letters, digits, `.`, `_` and `-` stay, `#` becomes `+`; other and long parts end with a digest of their own.

    >>> stem("samples#1a2b3c4d", "stretch256-v1", "image", "psnr", "scores")
    'samples+1a2b3c4d--stretch256-v1--image--psnr--scores'
    """
    return "--".join(map(_part, parts))


def _part(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", text.replace("#", "+")).lstrip(".-")
    if plain == text.replace("#", "+") and len(plain) <= LONGEST_PART:
        return plain
    return f"{plain[: LONGEST_PART - 9]}-{sha256(text.encode()).hexdigest()[:8]}"
