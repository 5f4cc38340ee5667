"""One photo after the other, and how they become a batch."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.augmentation import Augmentation
from datamodules.boxes import annotations_to_boxes, choose_best, crop_boxes, draw_masks, keep_visible
from datamodules.boxfile import BoxFile
from datamodules.color import rgb8_to_lab
from datamodules.hints import Hinting, reveal
from datamodules.images import ImageError
from datamodules.photos import Annotation, Photo, PhotoSource
from datamodules.protocol import CropBox, Protocol
from datamodules.types import Boxes, ColorBatch, Failure, GrayBatch

BoxChoice = Literal["best", "random"]

VARIATION = 1
"""Parts the random numbers that crop and mirror from those that draw boxes."""

HINTS = 2
"""The same for those that draw hints."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Say how photos are read.

    Attributes:
        protocol: crop and resize.
        max_boxes: boxes of a photo that are kept.
        box_choice: the best boxes, or as many drawn by (seed, epoch, key).
        crop_size: side of the instance crops; None for no crops.
        masks: whether boxes come with their masks.
        seed: of the draw.
        replace: take the next readable photo for one that is broken, with a warning; else it becomes a `Failure`.
        with_box: pass over photos without a box as well.
        augmentation: how pictures are cropped and mirrored, by (seed, epoch, key); boxes are chosen before.
        hinting: how hints are drawn from what that leaves of a picture, by (seed, epoch, key); None for no guide.
        cache: keep what was read in memory, as 8-bit pictures and crops; with `random` the crops of all boxes.
    """

    protocol: Protocol
    max_boxes: int = 8
    box_choice: BoxChoice = "best"
    crop_size: int | None = None
    seed: int = 0
    replace: bool = False
    with_box: bool = False
    cache: bool = False
    augmentation: Augmentation | None = None
    hinting: Hinting | None = None
    masks: bool = False

    @property
    def side(self) -> int | None:
        """Side of the pictures; None where they keep their own."""
        cropped = None if self.augmentation is None else self.augmentation.crop
        return self.protocol.size if cropped is None else cropped


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one picture.

    Attributes:
        rgb: (3, H, W) uint8, at the protocol's size.
        crops: (K, 3, S, S) uint8, or None.
        hints: (n, 3) int64, squares whose colour is given away, see `Hinting.draw`; None without a guide.
    """

    key: str
    rgb: Tensor
    boxes: Boxes
    crops: Tensor | None
    label: int
    photo_size: tuple[int, int]
    hints: Tensor | None = None

    def select(self, index: Tensor) -> Self:
        """Return the same picture with some of its boxes."""
        return replace(self, boxes=self.boxes.select(index), crops=None if self.crops is None else self.crops[index])


class PhotoDataset(Dataset[Sample | Failure]):
    """Read photos by (epoch, position).

    Args:
        source: where the pictures come from.
        photos: those of the source that are read, in this order.
        reading: how.
        boxes: a box file to take the boxes from; None for the annotations of the source.
    """

    def __init__(
        self, source: PhotoSource, photos: Sequence[Photo], reading: Reading, boxes: BoxFile | None = None
    ) -> None:
        self.source = source
        self.photos = photos
        self.reading = reading
        self.boxes = boxes
        self.kept: dict[str, Sample] = {}
        self.passed_over: set[str] = set()

    def __len__(self) -> int:
        return len(self.photos)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"kept": {}}

    def __getitem__(self, index: tuple[int, int]) -> Sample | Failure:
        epoch, position = index
        for offset in range(len(self)):
            photo = self.photos[(position + offset) % len(self)]
            if photo.key in self.passed_over:
                continue
            found = self.sample(photo, epoch)
            if not self.reading.replace or self.usable(found):
                return self.hinted(self.varied(found, epoch), epoch)
            self.passed_over.add(photo.key)
        raise ValueError(f"none of the {len(self)} training photos can be used: they are broken or have no box")

    def usable(self, found: Sample | Failure) -> bool:
        """Tell whether a photo is fit for training; warn of a broken one."""
        if isinstance(found, Failure):
            warnings.warn(f"left out of training: {found.key!r}: {found.reason}", stacklevel=2)
            return False
        return len(found.boxes) > 0 or not self.reading.with_box

    def sample(self, photo: Photo, epoch: int) -> Sample | Failure:
        """Read a photo, or take it from the cache, and draw its boxes."""
        if not self.reading.cache:
            return self.read(photo, epoch)
        if photo.key not in self.kept:
            found = self.read(photo, None)
            if isinstance(found, Failure):
                return found
            self.kept[photo.key] = found
        kept = self.kept[photo.key]
        return kept.select(self.draw(len(kept.boxes), photo.key, epoch)) if self.drawing else kept

    @property
    def drawing(self) -> bool:
        """Whether boxes are drawn."""
        return self.reading.box_choice == "random"

    def read(self, photo: Photo, epoch: int | None) -> Sample | Failure:
        """Read a photo; with an epoch of None all boxes are kept that might be drawn."""
        try:
            picture = Image.fromarray(self.source.read(photo.key))
        except ImageError as error:
            return Failure(photo.key, error.status, error.reason)
        size, kept = (picture.height, picture.width), self.reading.protocol.crop(*picture.size)
        boxes = self.boxes_of(photo, size, kept, epoch)
        return Sample(
            key=photo.key,
            rgb=to_tensor(self.reading.protocol.apply(picture)),
            boxes=boxes,
            crops=self.crops(picture.crop(kept), boxes),
            label=photo.label,
            photo_size=size,
        )

    def annotations(self, photo: Photo, size: tuple[int, int]) -> tuple[Annotation, ...]:
        """Return the instances of a photo of (height, width)."""
        if self.boxes is None:
            return photo.annotations
        self.boxes.check_size(photo.key, size)
        return self.boxes.boxes(photo.key)

    def boxes_of(self, photo: Photo, size: tuple[int, int], kept: CropBox, epoch: int | None) -> Boxes:
        """Return the boxes of a photo of (height, width) that a method sees, with their masks where it wants them."""
        visible = keep_visible(self.annotations(photo, size), size, kept)
        boxes = annotations_to_boxes(visible, size, kept)
        index = self.choose(boxes, photo.key, epoch)
        if self.reading.masks:
            mask = draw_masks([visible[place] for place in index.tolist()], size, kept)
            return replace(boxes.select(index), mask=mask)
        return boxes.select(index)

    def choose(self, boxes: Boxes, key: str, epoch: int | None) -> Tensor:
        """Return which boxes a method sees."""
        if not self.drawing:
            return choose_best(boxes, self.reading.max_boxes)
        return torch.arange(len(boxes)) if epoch is None else self.draw(len(boxes), key, epoch)

    def draw(self, count: int, key: str, epoch: int) -> Tensor:
        """Draw up to `max_boxes` of `count` boxes, in ascending order, by seed, epoch and key alone."""
        drawn = self.random(key, epoch).permutation(count)[: self.reading.max_boxes]
        return torch.from_numpy(np.sort(drawn))

    def varied(self, found: Sample | Failure, epoch: int) -> Sample | Failure:
        """Crop and mirror a picture by seed, epoch and key alone."""
        augmentation = self.reading.augmentation
        if augmentation is None or isinstance(found, Failure):
            return found
        height, width = found.rgb.shape[-2:]
        view = augmentation.view(height, width, self.random(found.key, epoch, VARIATION))
        return replace(
            found,
            rgb=view.picture(found.rgb, augmentation.crop),
            boxes=view.boxes(found.boxes, (height, width)),
            crops=found.crops.flip(-1) if view.mirrored and found.crops is not None else found.crops,
        )

    def hinted(self, found: Sample | Failure, epoch: int) -> Sample | Failure:
        """Draw the hints of a picture by seed, epoch and key alone; to score, the epoch is always 0."""
        hinting = self.reading.hinting
        if hinting is None or isinstance(found, Failure):
            return found
        height, width = found.rgb.shape[-2:]
        return replace(found, hints=hinting.draw((height, width), self.random(found.key, epoch, HINTS)))

    def random(self, key: str, epoch: int, *purpose: int) -> np.random.Generator:
        """Return random numbers that follow from seed, epoch, key and purpose alone."""
        name = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big")
        return np.random.default_rng([self.reading.seed, epoch, name, *purpose])

    def crops(self, picture: Image.Image, boxes: Boxes) -> Tensor | None:
        """Cut the boxes from what the protocol keeps of a photo, before its resize."""
        size = self.reading.crop_size
        if size is None:
            return None
        cut = [to_tensor(crop) for crop in crop_boxes(picture, boxes, size)]
        return torch.stack(cut) if cut else torch.zeros(0, 3, size, size, dtype=torch.uint8)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return an 8-bit RGB picture as (3, H, W) uint8."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


@dataclass(frozen=True, slots=True)
class Collate:
    """Make a batch of samples; pictures that could not be read go to its `failures`.

    Attributes:
        size: side of the pictures, None where they keep their own.
        crop_size: side of the crops, None without.
    """

    size: int | None
    crop_size: int | None

    def __call__(self, found: Sequence[Sample | Failure]) -> ColorBatch:
        """Return the batch; without any readable picture its tensors have B = 0 and keep their rank."""
        samples = [sample for sample in found if isinstance(sample, Sample)]
        side, cut = self.size or 0, self.crop_size or 0
        rgb = torch.stack([sample.rgb for sample in samples]) if samples else empty_pictures(side)
        crops = [sample.crops for sample in samples if sample.crops is not None]
        lab = rgb8_to_lab(rgb)
        guides = [
            reveal(chroma, sample.hints)
            for chroma, sample in zip(lab[:, 1:], samples, strict=True)
            if sample.hints is not None
        ]
        crop_lab = rgb8_to_lab(torch.cat(crops) if crops else empty_pictures(cut))
        return ColorBatch(
            gray=GrayBatch(
                key=tuple(sample.key for sample in samples),
                light=lab[:, :1].contiguous(),
                boxes=tuple(sample.boxes for sample in samples),
                crops=crop_lab[:, :1].contiguous(),
                guide=torch.stack(guides) if guides else None,
            ),
            chroma=lab[:, 1:].contiguous(),
            crop_chroma=crop_lab[:, 1:].contiguous(),
            rgb=rgb,
            label=torch.tensor([sample.label for sample in samples], dtype=torch.int64),
            photo_size=tuple(sample.photo_size for sample in samples),
            failures=tuple(failure for failure in found if isinstance(failure, Failure)),
        )


def empty_pictures(side: int) -> Tensor:
    """Return (0, 3, side, side) uint8."""
    return torch.zeros(0, 3, side, side, dtype=torch.uint8)
