"""Any COCO-style folder as batches."""

from pathlib import Path
from typing import Any

from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import PhotoSource
from datamodules.sources.coco import CocoSource, find_split
from datamodules.sources.manifest import load_manifest
from datamodules.sources.standard import compare_coco
from datamodules.sources.subset import hold_out


class CocoDataModule(PhotoDataModule):
    """Serve the pictures of a COCO file with its instances.

    The test photos are those of `split`, the training photos those of `train_split`, where `root` has it. With
    `annotations` there is one set of photos for both, which is good for training only: `has_training_split` says so.
    Validation photos are always held out of the training photos.

    Args:
        root: holds `train2017/ val2017/ annotations/instances_<split>2017.json`, or with `annotations` the pictures.
        split: that is tested, `val2017` or `val` for short.
        train_split: that is trained on.
        annotations: a COCO file for the pictures in `root`.
        val_fraction: share of the training photos that is held out, by the sha256 of their keys.
        manifest: id of the standard set that the test photos must be, such as `coco-val2017-5000-v1`; None for any.
        **settings: those of `PhotoDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "val2017",
        train_split: str = "train2017",
        annotations: str | Path | None = None,
        val_fraction: float = 0.02,
        manifest: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.root = Path(root)
        self.split = split
        self.train_split = train_split
        self.annotations = annotations
        self.val_fraction = val_fraction
        self.manifest = manifest
        self._sources: dict[str, PhotoSource] = {}

    @property
    def has_training_split(self) -> bool:
        """Whether there are training photos that are not the test photos."""
        if self.annotations is not None:
            return False
        try:
            return find_split(self.root, self.train_split)[1] != find_split(self.root, self.split)[1]
        except FileNotFoundError:
            return False

    def source(self, split: Split) -> PhotoSource | None:
        """Return the photos of a split; None for training where `root` has no other photos than those of `split`."""
        if split == "test":
            return self._opened("test", self.split)
        if self.annotations is None and not self.has_training_split:
            return None
        if split not in self._sources:
            named = ("whole", self.train_split) if self.has_training_split else ("test", self.split)
            whole = self._opened(*named)
            self._sources["train"], self._sources["val"] = hold_out(whole, self.val_fraction)
        return self._sources[split]

    def _opened(self, name: str, split: str) -> PhotoSource:
        if name not in self._sources:
            source = CocoSource(self.root, split, self.annotations)
            if name == "test" and self.manifest is not None:
                compare_coco(source, load_manifest(self.manifest))
            self._sources[name] = source
        return self._sources[name]
