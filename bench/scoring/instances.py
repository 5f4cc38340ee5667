"""Which instances of a picture are scored, and in which pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.rows import Size
from bench.scoring.fidelity import PixelBox
from datamodules.photos import Annotation
from datamodules.protocol import CropBox

LEAST_SIDE = 16
SMALL_AREA = 32**2
MEDIUM_AREA = 96**2


@dataclass(frozen=True, slots=True)
class Instances:
    """Hold the annotations of a picture that are scored, each with its box, and count those that are not.

    Attributes:
        scored: annotation and box in pixels at the protocol's size.
        left_out_small: boxes below 16 px on the short side; those without area, with a number that is not finite, or
            outside of the protocol's crop are among them.
        left_out_crowd: crowds, of any size.
    """

    scored: tuple[tuple[Annotation, PixelBox], ...]
    left_out_small: int
    left_out_crowd: int


def find_instances(annotations: Sequence[Annotation], crop: CropBox, size: tuple[int, int]) -> Instances:
    """Choose the instances to score.

    Args:
        annotations: of the picture, boxes in pixels of the photo.
        crop: what the protocol keeps of the photo.
        size: (height, width) of the picture after the protocol.
    """
    single = [annotation for annotation in annotations if not annotation.crowd]
    boxes = [(annotation, place_box(annotation.bbox, crop, size)) for annotation in single]
    scored = tuple((annotation, box) for annotation, box in boxes if short_side(box) >= LEAST_SIDE)
    return Instances(scored, len(single) - len(scored), len(annotations) - len(single))


def place_box(bbox: tuple[float, float, float, float], crop: CropBox, size: tuple[int, int]) -> PixelBox:
    """Return the whole pixels at the protocol's size that a box touches, clipped to the picture.

    Args:
        bbox: x, y, width, height in pixels of the photo.
        crop: left, top, right, bottom of what the protocol keeps of it.
        size: (height, width) of the picture after the protocol.

    Returns:
        Lower edges rounded down, upper edges rounded up; (0, 0, 0, 0) for a box without area or outside of the crop.
    """
    x, y, width, height = bbox
    if not all(map(math.isfinite, bbox)) or width <= 0 or height <= 0:
        return 0, 0, 0, 0
    left, right = _place_edges(x, x + width, crop[0], crop[2], size[1])
    top, bottom = _place_edges(y, y + height, crop[1], crop[3], size[0])
    return (left, top, right, bottom) if left < right and top < bottom else (0, 0, 0, 0)


def _place_edges(lower: float, upper: float, start: int, end: int, pixels: int) -> tuple[int, int]:
    lower, upper = max(lower, start), min(upper, end)
    if lower >= upper:
        return 0, 0
    extent = end - start
    return math.floor((lower - start) * pixels / extent), math.ceil((upper - start) * pixels / extent)


def short_side(box: PixelBox) -> int:
    """Return the shorter side of a box in pixels."""
    return min(box[2] - box[0], box[3] - box[1])


def area_to_size(area: float) -> Size:
    """Return COCO's class of an annotation's own area in pixels of the photo: below 32², below 96², or larger."""
    if area < SMALL_AREA:
        return "small"
    return "medium" if area < MEDIUM_AREA else "large"
