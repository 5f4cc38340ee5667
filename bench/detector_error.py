"""How far the boxes of a file are from the annotations: what a detector missed, saw twice, or saw where nothing is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.box_errors import DetectorError
from datamodules.boxfile import BoxFile
from datamodules.photos import Annotation, Photo

LEAST_IOU = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matching:
    """Hold how the boxes of one picture lie on its objects.

    Attributes:
        objects: how many there are.
        boxes: how many there are.
        ious: intersection over union of each matched pair.
        doubled: boxes that overlap an object, but are matched with none.
    """

    objects: int
    boxes: int
    ious: tuple[float, ...]
    doubled: int

    @property
    def false(self) -> int:
        """Return how many boxes overlap no object."""
        return self.boxes - len(self.ious) - self.doubled


def measure_error(boxes: BoxFile, photos: Iterable[Photo]) -> DetectorError | None:
    """Return how the boxes of a file differ from the annotations of its pictures; None where nothing is annotated.

    Args:
        boxes: what a detector found; pictures that could not be read are not in it and don't count.
        photos: the pictures with their annotations.
    """
    found = [
        match_boxes(
            _visible(photo.annotations, boxes.sizes.get(photo.key)),
            _visible(boxes.boxes(photo.key), boxes.sizes.get(photo.key)),
        )
        for photo in photos
        if photo.key in boxes.photos
    ]
    objects = sum(one.objects for one in found)
    if not objects:
        return None
    ious = [iou for one in found for iou in one.ious]
    return DetectorError(
        missed=1 - len(ious) / objects,
        false=sum(one.false for one in found) / len(found),
        doubled=sum(one.doubled for one in found) / len(found),
        boxes=sum(one.boxes for one in found) / len(found),
        mean_iou=math.fsum(ious) / len(ious) if ious else None,
    )


def match_boxes(objects: Floats, boxes: Floats) -> Matching:
    """Match boxes with objects one to one, the pairs that overlap most first.

    Args:
        objects: (N, 4), left, top, right, bottom.
        boxes: (K, 4), the same of what was found.
    """
    ious = box_ious(objects, boxes)
    free_objects, free_boxes = np.ones(len(objects), dtype=bool), np.ones(len(boxes), dtype=bool)
    matched = []
    for place in np.argsort(-ious, axis=None, kind="stable"):
        row, column = np.unravel_index(place, ious.shape)
        if ious[row, column] < LEAST_IOU:
            break
        if free_objects[row] and free_boxes[column]:
            free_objects[row] = free_boxes[column] = False
            matched.append(float(ious[row, column]))
    doubled = free_boxes & (ious >= LEAST_IOU).any(axis=0)
    return Matching(len(objects), len(boxes), tuple(matched), int(doubled.sum()))


def box_ious(one: Floats, other: Floats) -> Floats:
    """Return the intersections over unions of boxes of left, top, right, bottom: (N, 4) and (K, 4) to (N, K)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    ious: Floats = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    return ious


def _visible(annotations: Sequence[Annotation], size: tuple[int, int] | None) -> Floats:
    """Return the corners of what has an area within a photo of (height, width), crowds left out; (N, 4)."""
    from datamodules.boxes import clip_box

    whole = (0, 0, size[1], size[0]) if size is not None else (0, 0, 2**31, 2**31)
    clipped = [clip_box(one.bbox, whole) for one in annotations if not one.crowd]
    return np.array([box for box in clipped if box is not None], dtype=np.float64).reshape(-1, 4)
