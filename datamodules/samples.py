"""The photos that come with the dependencies as batches."""

from typing import Any, Literal

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.sources.samples import SamplesSource


class SamplesDataModule(PhotoDataModule):
    """Serve the colour photos inside scikit-image, matplotlib and ultralytics; there are no validation photos.

    Args:
        split: the photos that are tested, `test` or `train`. Training always takes `train`.
        core: False for `samples`, True for `samples-core`, which does without ultralytics; None for what is installed.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(self, split: Literal["train", "test"] = "test", core: bool | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.split: Literal["train", "test"] = split
        self.core = core
        self._sources: dict[str, SamplesSource] = {}

    @property
    def has_training_split(self) -> bool:
        """Whether the training photos are others than the test photos."""
        return self.split != "train"

    def source(self, split: Split) -> SamplesSource | None:
        """Return the photos of a split; None for validation."""
        if split == "val":
            return None
        chosen = self.split if split == "test" else "train"
        if chosen not in self._sources:
            self._sources[chosen] = SamplesSource(chosen, self.core)
        return self._sources[chosen]
