"""Random crops and mirroring of training pictures, with their boxes."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.boxes import crop_boxes_to, mirror_boxes
from datamodules.protocol import CropBox
from datamodules.types import Boxes

TRIES = 10
RATIOS = (3 / 4, 4 / 3)
"""Aspect ratios of crops of random area, as torchvision's `RandomResizedCrop` and colorization-pytorch draw them."""


@dataclass(frozen=True, slots=True)
class View:
    """Say which part of a picture is seen.

    Attributes:
        part: left, top, right, bottom in pixels of the picture.
        mirrored: whether left and right are exchanged, after the part was cut.
    """

    part: CropBox
    mirrored: bool

    def picture(self, rgb: Tensor, side: int | None) -> Tensor:
        """Return that part of a (3, H, W) uint8 picture, stretched to `side` where it has another size."""
        left, top, right, bottom = self.part
        rgb = rgb[:, top:bottom, left:right]
        if side is not None and rgb.shape[-2:] != (side, side):
            picture = Image.fromarray(rgb.permute(1, 2, 0).numpy())
            stretched = np.array(picture.resize((side, side), Image.Resampling.BILINEAR))
            rgb = torch.from_numpy(stretched).permute(2, 0, 1)
        return (rgb.flip(-1) if self.mirrored else rgb).contiguous()

    def boxes(self, boxes: Boxes, picture_size: tuple[int, int]) -> Boxes:
        """Return the boxes of a picture of (height, width) that reach into the part, clipped to it."""
        height, width = picture_size
        left, top, right, bottom = self.part
        if self.part != (0, 0, width, height):
            boxes = crop_boxes_to(boxes, (left / width, top / height, right / width, bottom / height))
        return mirror_boxes(boxes) if self.mirrored else boxes


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Say how training pictures are varied, after they were brought to their size.

    Attributes:
        crop: side of the square that is cut from a picture; None for the whole picture.
        area: least and largest share of the picture that is cut and then stretched to `crop`; None cuts `crop` pixels
            as they are.
        flip: mirror every other picture.
        drawn: whether place, area and mirroring are drawn; else `crop` pixels are cut from the middle.

    Raises:
        ValueError: The shares are no shares, or there is no crop that they could be stretched to.
    """

    crop: int | None = None
    area: tuple[float, float] | None = None
    flip: bool = False
    drawn: bool = False

    def __post_init__(self) -> None:
        if self.area is not None and (self.crop is None or not 0 < self.area[0] <= self.area[1] <= 1):
            raise ValueError(
                f"the area of crops is {self.area} with a crop of {self.crop} pixels: give two shares in (0, 1], the "
                "least first, and the side that the crops are stretched to"
            )

    def centred(self) -> "Augmentation":
        """Return the same size of pictures without anything drawn, for validation."""
        return replace(self, area=None, flip=False, drawn=False)

    def view(self, height: int, width: int, random: np.random.Generator) -> View:
        """Draw the part of a picture that is seen."""
        down, across = self.cut_size(height, width, random)
        top, left = (height - down) // 2, (width - across) // 2
        if self.drawn:
            top, left = int(random.integers(height - down + 1)), int(random.integers(width - across + 1))
        return View((left, top, left + across, top + down), self.flip and bool(random.random() < 0.5))

    def cut_size(self, height: int, width: int, random: np.random.Generator) -> tuple[int, int]:
        """Return height and width of the part that is cut.

        Source:
            torchvision's `RandomResizedCrop`: area even, the logarithm of the aspect ratio even, ten tries, else all.
        """
        if self.crop is None:
            return height, width
        if self.area is None:
            return self.crop, self.crop
        for _ in range(TRIES):
            pixels = height * width * random.uniform(*self.area)
            ratio = math.exp(random.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
            down, across = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
            if 0 < down <= height and 0 < across <= width:
                return down, across
        return height, width
