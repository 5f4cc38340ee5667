"""The values that travel between the rooms: boxes, batches, and what a detector is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Boxes:
    """Hold the instances found in one photo.

    Attributes:
        xyxy: (K, 4) float32, left, top, right, bottom in pixels of the photo after its EXIF rotation and the protocol's
            crop, before its resize.
        score: (K,) float32 in [0, 1]; 1 where the source gives none.
        label: (K,) int64, COCO category ids (1 to 90 with gaps); 0 where unknown.
        image_size: (height, width) of the photo that `xyxy` is measured in.
        mask: (K, height, width) bool, which pixels each instance covers; None where there are no masks, or no
            method asked for them.
    """

    xyxy: Tensor
    score: Tensor
    label: Tensor
    image_size: tuple[int, int]
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Self:
        """Return no boxes at all for a photo of (height, width)."""
        return cls(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), image_size)

    def select(self, index: Tensor) -> Self:
        """Return the boxes named by `index`, (n,) int64 or (K,) bool, in that order."""
        mask = None if self.mask is None else self.mask[index]
        return replace(self, xyxy=self.xyxy[index], score=self.score[index], label=self.label[index], mask=mask)


@dataclass(frozen=True, slots=True)
class GrayBatch:
    """Hold all that a method may see: light and boxes, never colour.

    Attributes:
        key: names of the B pictures.
        light: (B, 1, H, W) float32, L* in [0, 100].
        boxes: one `Boxes` a picture.
        crops: (sum K, 1, S, S) float32, L* in [0, 100]: each box cut from the photo at its own resolution and stretched
            to S x S, picture after picture; (0, 1, S, S) without boxes or where the method asked for no crops.
        guide: (B, 3, H, W) float32, hints of the guided tracks (a*, b*, mask); None elsewhere.
    """

    key: tuple[str, ...]
    light: Tensor
    boxes: tuple[Boxes, ...]
    crops: Tensor
    guide: Tensor | None = None

    def __len__(self) -> int:
        return len(self.key)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Move light and crops to `device`; boxes stay on the CPU, where they are read as numbers."""
        guide = None if self.guide is None else self.guide.to(device, non_blocking=non_blocking)
        light = self.light.to(device, non_blocking=non_blocking)
        return replace(self, light=light, crops=self.crops.to(device, non_blocking=non_blocking), guide=guide)

    def pin_memory(self) -> Self:
        """Put light and crops into page-locked memory."""
        guide = None if self.guide is None else self.guide.pin_memory()
        return replace(self, light=self.light.pin_memory(), crops=self.crops.pin_memory(), guide=guide)


@dataclass(frozen=True, slots=True)
class Failure:
    """Name a picture that could not be read: its key, its row status (`error-decode`, `error-size`) and the reason."""

    key: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class ColorBatch:
    """Hold a `GrayBatch` with its truth, for training and scoring.

    Attributes:
        gray: what the method may see.
        chroma: (B, 2, H, W) float32, a* and b* of the truth in CIE units.
        crop_chroma: (sum K, 2, S, S) float32, the same of the crops.
        rgb: (B, 3, H, W) uint8, the truth in sRGB.
        label: (B,) int64, class index of the picture, -1 where unknown.
        photo_size: (height, width) of each photo after its EXIF rotation, before the protocol's crop.
        failures: pictures of this batch that could not be read; they have no place in the tensors.
    """

    gray: GrayBatch
    chroma: Tensor
    crop_chroma: Tensor
    rgb: Tensor
    label: Tensor
    photo_size: tuple[tuple[int, int], ...]
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.gray)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Move all tensors to `device`."""
        return replace(
            self,
            gray=self.gray.to(device, non_blocking),
            chroma=self.chroma.to(device, non_blocking=non_blocking),
            crop_chroma=self.crop_chroma.to(device, non_blocking=non_blocking),
            rgb=self.rgb.to(device, non_blocking=non_blocking),
            label=self.label.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Self:
        """Put all tensors into page-locked memory."""
        return replace(
            self,
            gray=self.gray.pin_memory(),
            chroma=self.chroma.pin_memory(),
            crop_chroma=self.crop_chroma.pin_memory(),
            rgb=self.rgb.pin_memory(),
            label=self.label.pin_memory(),
        )


class Detector(Protocol):
    """Find instances in the light of photos."""

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return one `Boxes` for each picture.

        Args:
            lights: (H, W) uint8 arrays, the light channel as 8-bit, round(L* x 255 / 100); sizes may differ.
        """
        ...
