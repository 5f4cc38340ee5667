"""Boxes with errors made on purpose: left out, moved, doubled, or of nothing at all. Knows no torch.

All chance comes from the seed, the picture's name and the kind of error, so that a larger error holds a smaller one: a
box that is dropped at 0.25 is dropped at 0.5, and moves the same way at 0.2 as at 0.1. What other pictures there are,
and in which order, changes nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.box_errors import BoxErrors, Perturbation
from datamodules.boxfile import BoxFile, BoxInfo, collect_boxes
from datamodules.photos import Annotation

Floats = NDArray[np.float64]

COPY_SHIFT = 0.1
"""Each edge of a doubled box is moved by up to this share of the side."""
ADDED_SIDES = (0.1, 0.6)
"""Least and greatest side of an added box, as shares of the photo's."""
NO_OBJECT = 0
"""Category of added boxes."""


def perturb(boxes: BoxFile, errors: BoxErrors, seed: int) -> BoxFile:
    """Return a box file with errors: boxes are dropped, those left moved, then doubled, and others added behind them.

    Convention:
        A box that was moved, and each further one of a box, has no mask: it stands for all that it covers. The others
        keep theirs. Added boxes have the least score that the detector gives.

    Args:
        boxes: what a detector found, with the sizes of all pictures; returned as it is where there are no errors.
        errors: what is done to them.
        seed: of all chance.

    Raises:
        ValueError: The size of a picture is not known.
    """
    if not errors.kinds:
        return boxes
    unknown = boxes.photos.keys() - boxes.sizes.keys()
    if unknown:
        raise ValueError(f"the box file has no size for {min(unknown)!r}, so its boxes cannot be moved or added")
    pictures = (
        (photo, boxes.sizes[key], Picture(key, boxes.sizes[key], seed).perturb(photo.annotations, errors, boxes.info))
        for key, photo in boxes.photos.items()
    )
    names = {NO_OBJECT: "no object"} if errors.add else {}
    names |= {category.id: category.name for category in boxes.categories}
    return collect_boxes(_info(boxes, errors, seed), pictures, names)


def declare(boxes: BoxFile, errors: BoxErrors) -> Perturbation:
    """Return what a record says of errors that are made to the boxes of a file."""
    return Perturbation(detector=boxes.info.detector or "", boxes=boxes.digest, **errors.model_dump())


def _info(boxes: BoxFile, errors: BoxErrors, seed: int) -> BoxInfo:
    made = {**declare(boxes, errors).model_dump(), "seed": seed}
    return BoxInfo.model_validate({**boxes.info.model_dump(exclude={"digest"}), "perturbation": made})


class Picture:
    """Hold where the boxes of one picture of (height, width) may be, and its share of chance."""

    def __init__(self, key: str, size: tuple[int, int], seed: int) -> None:
        self.key = key
        self.limit = np.array([size[1], size[0]], dtype=np.float64)
        self.seed = seed

    def perturb(self, boxes: Sequence[Annotation], errors: BoxErrors, info: BoxInfo) -> list[Annotation]:
        """Return the boxes with errors."""
        kept = self.kept(len(boxes), errors.drop)
        left = [boxes[place] for place in kept]
        left = self.moved(left, errors.jitter * self.random("jitter").uniform(-1, 1, (len(boxes), 4))[kept])
        copies = []
        for number in range(errors.duplicate):
            noise = COPY_SHIFT * self.random("duplicate", number).uniform(-1, 1, (len(boxes), 4))[kept]
            copies += self.moved(left, noise)
        added = [self.added(number, info.score_threshold) for number in range(errors.add)]
        return [*left, *copies, *added]

    def random(self, *stream: object) -> np.random.Generator:
        """Return the chance of one kind of error."""
        name = "\0".join(map(str, (self.seed, self.key, *stream)))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()))

    def kept(self, count: int, share: float) -> NDArray[np.intp]:
        """Return which of `count` boxes stay when `share` are dropped, `count` times `share` rounded up or down."""
        random = self.random("drop")
        levels = (random.permutation(count) + random.random()) / max(count, 1)
        return np.flatnonzero(np.minimum(levels, np.nextafter(1, 0)) >= share)

    def moved(self, boxes: Sequence[Annotation], noise: Floats) -> list[Annotation]:
        """Move the edges of boxes, left, top, right, bottom, by (K, 4) shares of their sides; by none if all are 0."""
        if not len(boxes) or not noise.any():
            return list(boxes)
        place = np.array([one.bbox for one in boxes], dtype=np.float64)
        sides = np.tile(place[:, 2:], 2)
        edges = np.concatenate([place[:, :2], place[:, :2] + place[:, 2:]], axis=1) + noise * sides
        return [self.placed(one, edge) for one, edge in zip(boxes, edges, strict=True)]

    def placed(self, box: Annotation, edges: Floats) -> Annotation:
        """Return a box between edges, which may have changed sides; within the picture, and a pixel wide at least."""
        low = np.clip(np.minimum(edges[:2], edges[2:]), 0, self.limit - 1).round(3)
        high = np.clip(np.maximum(edges[:2], edges[2:]), low + 1, self.limit).round(3)
        (x, y), (width, height) = low.tolist(), (high - low).round(3).tolist()
        return replace(box, bbox=(x, y, width, height), area=round(width * height, 3), segmentation=None)

    def added(self, number: int, score: float | None) -> Annotation:
        """Return a box of random place and size."""
        random = self.random("add", number)
        sides = random.uniform(*ADDED_SIDES, 2)
        low = random.uniform(size=2) * (1 - sides)
        blank = Annotation(0, NO_OBJECT, (0.0, 0.0, 0.0, 0.0), 0.0, score=score)
        return self.placed(blank, np.concatenate([low, low + sides]) * np.tile(self.limit, 2))
