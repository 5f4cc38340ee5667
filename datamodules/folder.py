"""Any folder of pictures as batches."""

from pathlib import Path
from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import PhotoSource
from datamodules.sources.folder import FolderSource
from datamodules.sources.subset import hold_out


class FolderDataModule(PhotoDataModule):
    """Serve the pictures below a folder; its sub-folders are classes.

    The test photos are those of `root/split`, or of `root`. Training takes `root/train` where `split` is another
    folder beside it, else the test photos themselves, which is good for training only: `has_training_split` says which.
    Validation photos are always held out of the training photos.

    Args:
        root: the folder.
        split: its sub-folder that is tested; None for all of it.
        val_fraction: share of the training photos that is held out, by the sha256 of their keys.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(self, root: str | Path, split: str | None = None, val_fraction: float = 0.1, **settings: Any) -> None:
        super().__init__(**settings)
        self.root = Path(root)
        self.split = split
        self.val_fraction = val_fraction
        self._sources: dict[str, PhotoSource] = {}

    @property
    def has_training_split(self) -> bool:
        """Whether the training photos are others than the test photos."""
        return self.split not in (None, "train") and (self.root / "train").is_dir()

    def source(self, split: Split) -> PhotoSource:
        """Return the photos of a split."""
        if split == "test":
            return self._opened("test", self.split)
        if split not in self._sources:
            whole = self._opened("whole", "train") if self.has_training_split else self.source("test")
            self._sources["train"], self._sources["val"] = hold_out(whole, self.val_fraction)
        return self._sources[split]

    def _opened(self, name: str, split: str | None) -> PhotoSource:
        if name not in self._sources:
            self._sources[name] = FolderSource(self.root, split)
        return self._sources[name]
