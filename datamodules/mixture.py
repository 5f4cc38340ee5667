"""Several datasets as one, for training on all of them."""

from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.sources.mixture import MixtureSource


class MixtureDataModule(PhotoDataModule):
    """Serve the photos of several datasets together.

    Args:
        parts: the datasets by the name that goes before their keys; only their sources count, not their settings.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(self, parts: dict[str, PhotoDataModule], **settings: Any) -> None:
        super().__init__(**settings)
        self.parts = parts
        self._sources: dict[Split, MixtureSource | None] = {}

    def source(self, split: Split) -> MixtureSource | None:
        """Return the photos of a split of all parts that have one; None where none has."""
        if split not in self._sources:
            found = {name: part.source(split) for name, part in self.parts.items()}
            there = {name: source for name, source in found.items() if source is not None}
            self._sources[split] = MixtureSource(there) if there else None
        return self._sources[split]
