"""The standard sets of pictures with labels as batches: ImageNet's, Tiny ImageNet, Places205."""

from pathlib import Path
from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import PhotoSource
from datamodules.sources.standard import has_training, open_standard, open_training
from datamodules.sources.subset import hold_out


class StandardDataModule(PhotoDataModule):
    """Serve a standard set of pictures, which must be exactly the one that its manifest describes.

    The test photos are the set. Training takes the training pictures that go with it, where `root` has them, and never
    the set itself; validation photos are held out of those.

    Args:
        root: holds the pictures in one of the layouts that people have them in.
        manifest: id of the set, such as `imagenet-ctest10k-v1`.
        val_fraction: share of the training photos that is held out, by the sha256 of their keys.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(self, root: str | Path, manifest: str, val_fraction: float = 0.01, **settings: Any) -> None:
        super().__init__(**settings)
        self.root = Path(root)
        self.manifest = manifest
        self.val_fraction = val_fraction
        self._sources: dict[Split, PhotoSource] = {}

    @property
    def has_training_split(self) -> bool:
        """Whether the training pictures are in `root`."""
        return has_training(self.manifest, self.root)

    def source(self, split: Split) -> PhotoSource | None:
        """Return the photos of a split; None for training where `root` has no training pictures."""
        if split != "test" and not self.has_training_split:
            return None
        if split not in self._sources:
            if split == "test":
                self._sources["test"] = open_standard(self.manifest, self.root)
            else:
                whole = open_training(self.manifest, self.root)
                self._sources["train"], self._sources["val"] = hold_out(whole, self.val_fraction)
        return self._sources[split]
