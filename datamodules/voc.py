"""Any VOC-style folder as batches."""

from pathlib import Path
from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import PhotoSource
from datamodules.sources.subset import hold_out
from datamodules.sources.voc import ImageSet, VocSource


class VocDataModule(PhotoDataModule):
    """Serve the pictures of a VOC-style folder with their boxes.

    Validation photos are held out of the training photos.

    Args:
        root: holds `JPEGImages`, `Annotations`, `ImageSets` and `SegmentationClass`.
        split: list of the photos that are tested.
        train_split: list of those that are trained on.
        image_set: `Main`, or `Segmentation` for the lists of pictures with label maps.
        val_fraction: share of the training photos that is held out, by the sha256 of their keys.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        train_split: str = "trainval",
        image_set: ImageSet = "Main",
        val_fraction: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.root = Path(root)
        self.split = split
        self.train_split = train_split
        self.image_set: ImageSet = image_set
        self.val_fraction = val_fraction
        self._lists: dict[str, VocSource] = {}
        self._parts: dict[Split, PhotoSource] = {}

    def list_source(self, name: str) -> VocSource:
        """Return the photos of a list."""
        if name not in self._lists:
            self._lists[name] = VocSource(self.root, name, self.image_set)
        return self._lists[name]

    def source(self, split: Split) -> PhotoSource:
        """Return the photos of a split."""
        if split == "test":
            return self.list_source(self.split)
        if not self._parts:
            whole = self.list_source(self.train_split)
            self._parts["train"], self._parts["val"] = hold_out(whole, self.val_fraction)
        return self._parts[split]
