"""The labelled photos of a probe: what is learnt from, what is tested, and what is wanted of each."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.errors import CommandError, UsageError
from bench.probing.targets import Target
from datamodules.color import rgb8_to_lab
from datamodules.images import ImageError
from datamodules.photo_data import PhotoDataModule
from datamodules.photos import Photo, PhotoSource
from datamodules.protocol import PROTOCOLS
from datamodules.sources.subset import PhotoSubset, hold_out, rank_key
from datamodules.voc import VocDataModule

TEST_SHARE = 0.25
"""Of the photos of a dataset without a training split, those that are tested."""

LEAST_PHOTOS = 5
"""A class with fewer photos to learn from is left out."""

STRETCH = PROTOCOLS["stretch256-v1"]


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one photo in Lab, (3, size, size), with what is wanted of it."""

    key: str
    lab: Tensor
    target: Target


@dataclass(frozen=True, slots=True)
class Batch:
    """Hold pictures, (B, 3, size, size) in Lab, with what is wanted of each."""

    keys: tuple[str, ...]
    lab: Tensor
    targets: tuple[Target, ...]


@dataclass
class Photos(Dataset[Picture | str]):
    """Read photos for a probe, stretched to a square.

    Attributes:
        source: where they come from.
        photos: those that are read.
        size: side in pixels.
        target: gives what is wanted of a photo of (height, width).
        folder: of the dataset, for messages.
        failed: reasons why photos could not be read, by key, as far as batches were made in this process.
    """

    source: PhotoSource
    photos: Sequence[Photo]
    size: int
    target: Callable[[Photo, tuple[int, int]], Target]
    folder: str
    failed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, place: int) -> Picture | str:
        photo = self.photos[place]
        try:
            picture = Image.fromarray(self.source.read(photo.key))
            target = self.target(photo, (picture.height, picture.width))
        except ImageError as error:
            return f"{photo.key}\n{error.reason}"
        rgb = torch.from_numpy(_pixels(STRETCH.resized(self.size).apply(picture)))
        return Picture(photo.key, rgb8_to_lab(rgb[None])[0], target)

    def batches(self, size: int, order: Sequence[int] | None = None, workers: int = 0) -> Iterator[Batch]:
        """Give the photos in batches, in the order given or their own; those that cannot be read are left out.

        Raises:
            CommandError: No photo of all can be read.
        """
        places = range(len(self)) if order is None else order
        loader: DataLoader[Picture | str] = DataLoader(
            self, size, sampler=list(places), collate_fn=list, num_workers=workers
        )
        for found in loader:
            pictures = [each for each in found if isinstance(each, Picture)]
            self.failed |= dict(each.split("\n", 1) for each in found if isinstance(each, str))
            if pictures:
                keys, targets = tuple(each.key for each in pictures), tuple(each.target for each in pictures)
                yield Batch(keys, torch.stack([each.lab for each in pictures]), targets)
        if len(self.failed) == len(self):
            key, reason = next(iter(self.failed.items()))
            raise CommandError(
                f"none of {len(self)} photos of {self.folder} can be read; {key}: {reason}. Look at these files, "
                "or give another --data or --data-root"
            )


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def parts(data: PhotoDataModule, limit: int | None) -> tuple[PhotoSource, PhotoSource]:
    """Return the photos to learn from, those of validation among them, and those that are tested.

    A dataset whose training photos are its test photos is parted by the sha256 of their keys.

    Raises:
        UsageError: One of the two is empty.
    """
    tested = data.source("test")
    if tested is None:
        raise UsageError("the dataset has no test photos: give another --data")
    if isinstance(data, VocDataModule):
        learnt: PhotoSource = data.list_source(data.train_split)
    elif data.has_training_split:
        held = [photo.key for name in ("train", "val") if (part := data.source(name)) for photo in part.photos]
        learnt = PhotoSubset(_whole(data), held)
    else:
        learnt, tested = hold_out(tested, TEST_SHARE)
    learnt, tested = first(learnt, limit), first(tested, limit)
    if not learnt.photos or not tested.photos:
        raise UsageError("the dataset has no photos to learn from, or none to test: give another --data or --data-root")
    return learnt, tested


def _whole(data: PhotoDataModule) -> PhotoSource:
    """Return the source that training and validation photos were parted from."""
    train = data.source("train")
    if not isinstance(train, PhotoSubset):
        raise UsageError("the dataset does not part its training photos by their keys: give a folder, COCO or VOC")
    return train.source


def first(source: PhotoSource, limit: int | None) -> PhotoSource:
    """Return so many photos of a source, the first by the sha256 of their keys; all without a limit."""
    if limit is None:
        return source
    return PhotoSubset(source, sorted((photo.key for photo in source.photos), key=rank_key)[:limit])


@dataclass(frozen=True, slots=True)
class Labelled:
    """Hold photos of one class each.

    Attributes:
        classes: names, by number.
        learnt: photos to learn from, `label` being the class.
        tested: photos to test.
        left_out: photos of both parts without a class, or of one with too few photos.
    """

    classes: tuple[str, ...]
    learnt: tuple[Photo, ...]
    tested: tuple[Photo, ...]
    left_out: int


def label_photos(learnt: PhotoSource, tested: PhotoSource) -> Labelled:
    """Give every photo its class: its folder's, or that of its largest object.

    Raises:
        UsageError: Fewer than two classes have enough photos.
    """
    names = {photo.key: class_of(photo, source) for source in (learnt, tested) for photo in source.photos}
    counts = Counter(names[photo.key] for photo in learnt.photos)
    classes = tuple(sorted(name for name, count in counts.items() if name is not None and count >= LEAST_PHOTOS))
    if len(classes) < 2:
        raise UsageError(
            f"linear classifiers need two classes with {LEAST_PHOTOS} photos each to learn from; the dataset has "
            f"{len(classes)}. Give a folder with a sub-folder a class, or photos with annotated objects"
        )
    number = {name: place for place, name in enumerate(classes)}
    sides = [
        [replace(photo, label=number[name]) for photo in source.photos if (name := names[photo.key] or "") in number]
        for source in (learnt, tested)
    ]
    left_out = len(learnt.photos) + len(tested.photos) - len(sides[0]) - len(sides[1])
    if not sides[1]:
        raise UsageError("no test photo is of a class that can be learnt: give another --data or --data-root")
    return Labelled(classes, tuple(sides[0]), tuple(sides[1]), left_out)


def class_of(photo: Photo, source: PhotoSource) -> str | None:
    """Return the name of a photo's class: its own, else that of its largest object that is no crowd; None for none."""
    if photo.label >= 0:
        return source.classes[photo.label]
    objects = [each for each in photo.annotations if not each.crowd]
    if not objects:
        return None
    return source.categories[max(objects, key=lambda each: each.area).category_id]
