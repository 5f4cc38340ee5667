"""Procedural scenes as batches."""

from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.sources.synthetic import SyntheticSource


class SyntheticDataModule(PhotoDataModule):
    """Serve procedural scenes whose colours can be told from texture and shape.

    Args:
        size: side of the scenes in pixels.
        train: number of training scenes.
        val: number of validation scenes.
        test: number of test scenes.
        split: the scenes that are tested, `test` or one of the others, in the number given for it.
        data_seed: of the scenes, not negative; `seed` is that of order and draws.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(
        self,
        size: int = 256,
        train: int = 512,
        val: int = 16,
        test: int = 64,
        split: Split = "test",
        data_seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.size = size
        self.counts: dict[Split, int] = {"train": train, "val": val, "test": test}
        self.split: Split = split
        self.data_seed = data_seed
        self._sources: dict[Split, SyntheticSource] = {}

    @property
    def has_training_split(self) -> bool:
        """Whether the training scenes are others than the test scenes."""
        return self.split != "train" and self.counts["train"] > 0

    def source(self, split: Split) -> SyntheticSource | None:
        """Return the scenes of a split; None where none were asked for."""
        chosen = self.split if split == "test" else split
        if not self.counts[chosen]:
            return None
        if chosen not in self._sources:
            self._sources[chosen] = SyntheticSource(chosen, self.counts[chosen], self.size, self.data_seed)
        return self._sources[chosen]
