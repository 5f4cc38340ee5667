"""What a folder lacks to be the standard set that it is given for, in words."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.sources.manifest import Manifest

SHOWN = 10


class DifferentSetError(ValueError):
    """Say how a folder differs from the standard set that it is given for."""


class IncompleteSetError(FileNotFoundError):
    """Say which pictures of a standard set a folder lacks."""


@dataclass(slots=True)
class Differences:
    """Gather how what was found differs from a manifest.

    Attributes:
        missing: names of pictures that are not there.
        others: what should not be so, a list of names for each sentence that says it.
    """

    missing: Collection[str] = ()
    others: dict[str, Sequence[str]] = field(default_factory=dict)

    def add(self, what: str, names: Iterable[str]) -> None:
        """Note a difference, if there are any names that it holds for."""
        listed = sorted(names)
        if listed:
            self.others[what] = listed

    def say(self, sentence: str) -> None:
        """Note a difference that is not one of single pictures."""
        self.others[sentence] = ()

    def raise_any(self, folder: Path, manifest: Manifest) -> None:
        """Refuse the folder if there is any difference.

        Raises:
            IncompleteSetError: Pictures are missing, and nothing else is wrong.
            DifferentSetError: Something else is wrong.
        """
        lines = [f"{what}: {first_ten(names)}" if names else what for what, names in self.others.items()]
        if self.missing:
            lacking = f"{len(self.missing)} of {manifest.count} pictures are missing"
            lines.insert(0, f"{lacking}: {first_ten(sorted(self.missing))}")
        if not lines:
            return
        remedy = (
            f"`colorbench data fetch {manifest.id} --out DIR` gets the set or says where it is had; pictures that are "
            "not exactly this set are the dataset `folder` or `coco`"
        )
        error = DifferentSetError if self.others else IncompleteSetError
        raise error(f"{folder} is not {manifest.id}: {'; '.join(lines)}. {remedy}")


def first_ten(names: Sequence[str]) -> str:
    """Return the first ten names and how many follow."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
