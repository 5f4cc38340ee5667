"""Holes of pictures that are to be filled in: of training, and of evaluation by their share. Knows no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodules.images import ImageError, find_images, read_image
from datamodules.strokes import Share, paint

Hole = NDArray[np.bool_]
"""(H, W), True where the picture is missing."""

Mix = Literal["block", "half", "irregular", "irregular-block", "irregular-block-half"]
"""Holes of training: MASK 1 to 5 of the authors. The mixes draw their parts with equal chance."""

MIXES: Mapping[str, Sequence[str]] = MappingProxyType(
    {mix: mix.split("-") for mix in get_args(Mix)},
)

BUCKETS: Mapping[str, Share | None] = MappingProxyType(
    {"10-20": (0.1, 0.2), "20-30": (0.2, 0.3), "30-40": (0.3, 0.4), "40-50": (0.4, 0.5), "fixed": None}
)
"""Holes of evaluation, by the share of the picture that they cover in per cent; `fixed` is a block in the middle of
half the picture's sides, a quarter of it."""

PAINTED: Share = (0.01, 0.6)
"""Shares of painted holes in training: the range of the published irregular masks."""


def block(side: int, random: np.random.Generator | None = None) -> Hole:
    """Return a square hole of half the side, a quarter of the picture, anywhere in it; in the middle without chance."""
    half = side // 2
    top, left = (side - half) // 2, (side - half) // 2
    if random is not None:
        top, left = (int(place) for place in random.integers(0, side - half, 2, endpoint=True))
    hole = np.zeros((side, side), dtype=bool)
    hole[top : top + half, left : left + half] = True
    return hole


def half(side: int, random: np.random.Generator) -> Hole:
    """Return a hole of the left or the right half."""
    hole = np.zeros((side, side), dtype=bool)
    start = 0 if random.random() < 0.5 else side // 2
    hole[:, start : start + side // 2] = True
    return hole


def vary(hole: Hole, random: np.random.Generator) -> Hole:
    """Turn a square hole by a multiple of 90 degrees and mirror it or not: one of eight ways, its share stays."""
    turned = np.rot90(hole, int(random.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if random.random() < 0.5 else turned)


@dataclass(frozen=True)
class MaskFolder:
    """Give the irregular masks in a folder of pictures, such as those of Liu et al. 2018.

    Convention:
        As the authors read them: the largest centred square, resized, and a hole wherever the result is not black.

    Attributes:
        root: the folder.
    """

    root: Path

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """The files by key.

        Raises:
            FileNotFoundError: There is no such folder, or no picture in it.
        """
        found = find_images(self.root)
        if not found:
            raise FileNotFoundError(f"there is no picture of a mask in {self.root}")
        return found

    def read(self, key: str, side: int) -> Hole:
        """Return a mask at so many pixels a side.

        Raises:
            ValueError: The file is no picture.
        """
        try:
            picture = Image.fromarray(read_image(self.paths[key], root=self.root)).convert("L")
        except ImageError as error:
            raise ValueError(f"the mask {key!r} cannot be read: {error.reason}; take it out of the folder") from error
        edge = min(picture.size)
        left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
        square = picture.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(square) > 0

    def within(self, share: Share, side: int) -> list[str]:
        """Return the keys of the masks that cover such a share, in order."""
        return [key for key, covered in self.shares(side).items() if share[0] < covered <= share[1]]

    def check(self, share: Share | None, side: int) -> None:
        """Look whether there is a mask that covers such a share; None needs none.

        Raises:
            ValueError: There is none.
        """
        if share is not None and not self.within(share, side):
            raise ValueError(
                f"no mask in {self.root} covers more than {share[0]:.0%} and at most {share[1]:.0%} at {side} "
                "pixels: give another folder, or leave the bucket out"
            )

    def shares(self, side: int) -> Mapping[str, float]:
        """Return what share of the picture each mask covers, by key."""
        known: dict[int, dict[str, float]] = self.__dict__.setdefault("known_shares", {})
        if side not in known:
            known[side] = {key: float(self.read(key, side).mean()) for key in self.paths}
        return known[side]

    def digest(self) -> str:
        """Return the sha256 over names and bytes of all masks, in hexadecimal."""
        state = sha256()
        for key, path in self.paths.items():
            state.update(f"{key}\0{sha256(path.read_bytes()).hexdigest()}\n".encode("utf-8", "surrogateescape"))
        return state.hexdigest()


@dataclass(frozen=True, slots=True)
class HoleDrawing:
    """Draw the holes of training pictures.

    Attributes:
        mix: which kinds, with equal chance.
        masks: where irregular ones come from; None paints them.
    """

    mix: Mix = "irregular-block"
    masks: MaskFolder | None = None

    def draw(self, side: int, random: np.random.Generator) -> Hole:
        """Draw the hole of a square picture; irregular ones are turned and mirrored."""
        kinds = MIXES[self.mix]
        kind = kinds[int(random.integers(len(kinds)))]
        if kind != "irregular":
            return block(side, random) if kind == "block" else half(side, random)
        if self.masks is None:
            return vary(paint(side, PAINTED, random), random)
        keys = list(self.masks.paths)
        return vary(self.masks.read(keys[int(random.integers(len(keys)))], side), random)


@dataclass(frozen=True, slots=True)
class HoleBucket:
    """Draw the holes of evaluation, all of one bucket.

    Attributes:
        name: of `BUCKETS`.
        masks: where irregular ones come from; None paints them.
    """

    name: str
    masks: MaskFolder | None = None

    def draw(self, side: int, random: np.random.Generator) -> Hole:
        """Draw the hole of a square picture.

        Raises:
            ValueError: No mask of the folder is in the bucket.
        """
        share = BUCKETS[self.name]
        if share is None:
            return block(side)
        if self.masks is None:
            return vary(paint(side, share, random), random)
        self.masks.check(share, side)
        keys = self.masks.within(share, side)
        return vary(self.masks.read(keys[int(random.integers(len(keys)))], side), random)
