"""Procedural scenes as a source of photos: any number, any size, no file."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.photos import Annotation, Photo, Segmentation
from datamodules.sources.digest import as_plain
from datamodules.sources.painting import own_pixels, paint
from datamodules.sources.scenes import CATEGORIES, GROUND_HUES, VERSION, Layout, draw_layout

SPLITS = {"train": 0, "val": 1, "test": 2}
LEAST_VISIBLE = 0.3
"""Share of an object's pixels that must be visible for it to be annotated."""

KEPT = 320
"""Painted scenes that are kept in memory: 60 MB at 256 pixels. One training of several stages asks for each often."""

DIGESTED = 8
"""Scenes whose pixels are part of the digest; the others follow from the same seed and generator."""


@lru_cache(maxsize=KEPT)
def paint_scene(seed: int, split: str, index: int, size: int) -> NDArray[np.uint8]:
    """Return a scene as (size, size, 3) uint8 sRGB, not to be written to: it is kept for the next who asks."""
    return paint(draw_layout(seed, (SPLITS[split], index)), size)


class SyntheticSource:
    """Give scenes whose colours can be told from texture and shape, with masks of their many small objects.

    A scene follows from (seed, split, index) alone: more scenes leave the first ones as they are, another size draws
    the same scenes finer, and no two splits share one.

    Args:
        split: `train`, `val` or `test`.
        count: number of scenes, at most 100 000.
        size: side of the pictures in pixels, at least 32.
        seed: not negative.

    Raises:
        ValueError: An argument is not one of these.
    """

    id = "synthetic"

    def __init__(
        self, split: Literal["train", "val", "test"] = "test", count: int = 64, size: int = 256, seed: int = 0
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"synthetic has no split {split!r}: choose {', '.join(SPLITS)}")
        if not 0 <= count <= 100_000 or size < 32 or seed < 0:
            raise ValueError(
                f"count {count}, size {size}, seed {seed}: wanted are 0 to 100000 scenes, a size of at least 32 and a "
                "seed that is not negative"
            )
        self.split = split
        self.count = count
        self.size = size
        self.seed = seed

    @cached_property
    def photos(self) -> Sequence[Photo]:
        """All scenes, sorted by key: `<split>-<index>`; ids of annotations are 100 x index and the object's number."""
        return tuple(self.photo(index) for index in range(self.count))

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of the kinds of objects, by ids from 1001 on."""
        return CATEGORIES

    @property
    def classes(self) -> Sequence[str]:
        """Names of the types of ground, by picture label."""
        return tuple(GROUND_HUES)

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the scene as (size, size, 3) uint8 sRGB.

        Raises:
            KeyError: There is no scene of that name.
        """
        return paint_scene(self.seed, self.split, self.index(key), self.size).copy()

    def digest(self) -> str:
        """Return the sha256 over the generator's version, its arguments, and pixels and objects of some scenes."""
        content = hashlib.sha256(
            json.dumps([self.id, VERSION, self.split, self.count, self.size, self.seed], separators=(",", ":")).encode()
        )
        for index in range(min(self.count, DIGESTED)):
            photo = self.photo(index)
            plain = asdict(photo) | {"annotations": [as_plain(annotation) for annotation in photo.annotations]}
            content.update(json.dumps(plain, sort_keys=True).encode())
            content.update(self.read(photo.key).tobytes())
        return content.hexdigest()

    def index(self, key: str) -> int:
        """Return the number of a scene."""
        split, _, number = key.rpartition("-")
        if split != self.split or not number.isdecimal() or int(number) >= self.count:
            raise KeyError(f"there is no scene {key!r} among {self.count} of the split {self.split!r}")
        return int(number)

    def layout(self, index: int) -> Layout:
        """Return what was drawn by lot for a scene."""
        return draw_layout(self.seed, (SPLITS[self.split], index))

    def photo(self, index: int) -> Photo:
        """Return a scene's name, label, and those of its objects that can be seen."""
        layout = self.layout(index)
        owner, areas = own_pixels(layout, self.size)
        seen = []
        for number, (thing, area) in enumerate(zip(layout.things, areas, strict=True)):
            mask = owner == number
            visible = int(np.count_nonzero(mask))
            if visible and visible >= LEAST_VISIBLE * area:
                seen.append(
                    Annotation(
                        id=100 * index + number + 1,
                        category_id=thing.category_id,
                        bbox=mask_to_bbox(mask),
                        area=float(visible),
                        segmentation=Segmentation.pack({"size": list(mask.shape), "counts": mask_to_counts(mask)}),
                    )
                )
        label = self.classes.index(layout.ground)
        return Photo(f"{self.split}-{index:05d}", tuple(seen), label, image_id=index + 1)


def mask_to_bbox(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return x, y, width, height of the least box around a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, top = int(columns[0]), int(rows[0])
    return float(left), float(top), float(columns[-1] + 1 - left), float(rows[-1] + 1 - top)


def mask_to_counts(mask: NDArray[np.bool_]) -> list[int]:
    """Return a mask as COCO's uncompressed run lengths: column after column, beginning with those outside.

    Examples:
        >>> mask_to_counts(np.array([[False, True], [True, True]]))
        [1, 3]
    """
    line = mask.ravel(order="F")
    changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    edges = [0, *changes.tolist(), line.size]
    counts = [end - start for start, end in pairwise(edges)]
    return [0, *counts] if line[0] else counts
