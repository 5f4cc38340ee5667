"""Which pixels an instance covers: COCO's polygons and run lengths as masks, and back. Knows no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

FARTHEST = 100_000
"""Pixels from the photo's corner beyond which a corner of a polygon is an error; the library's time grows with it."""


def segmentation_to_mask(segmentation: object, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that a COCO segmentation covers.

    Convention:
        As pycocotools, which scores COCO: several polygons are joined, and their edges rounded as it does. Polygons of
        less than three corners cover nothing.

    Args:
        segmentation: polygons, a list of x, y, x, y, ... each, in pixels of the photo after its EXIF rotation; or run
            lengths, `size` and `counts`, the latter a list or COCO's compressed text.
        size: (height, width) of that photo.

    Raises:
        ValueError: It is neither, run lengths are not those of a photo of that size, or a polygon leads far astray.
    """
    if isinstance(segmentation, Mapping):
        return runs_to_mask(segmentation, size)
    if isinstance(segmentation, str) or not isinstance(segmentation, Sequence):
        raise ValueError(f"a segmentation is polygons or run lengths, but this one is a {type(segmentation).__name__}")
    polygons = [corners for polygon in segmentation if len(corners := check_polygon(polygon)) >= 6]
    if not polygons:
        return np.zeros(size, dtype=bool)
    runs = coco.merge(coco.frPyObjects(polygons, *size))
    return runs_to_mask({**runs, "counts": runs["counts"].decode("ascii")}, size)


def check_polygon(polygon: object) -> list[float]:
    """Return the corners of a polygon, x, y, x, y, ...

    Raises:
        ValueError: They are not pairs of numbers, or lie far outside of any photo.
    """
    try:
        corners = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.zeros((0, 0))
    if corners.ndim != 1 or corners.size % 2 or not (np.abs(corners) <= FARTHEST).all():
        raise ValueError("a polygon of a segmentation must be x, y, x, y, ... in pixels of the photo")
    pairs: list[float] = corners.tolist()
    return pairs


def runs_to_mask(segmentation: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that run lengths name: column after column, beginning with those outside.

    Read here and not by pycocotools, which leaves pixels to chance where the lengths don't add up to the photo.

    Raises:
        ValueError: They are not run lengths of a photo of (height, width).
    """
    given, counts = segmentation.get("size"), segmentation.get("counts")
    if isinstance(counts, str):
        counts = expand_counts(counts)
    if not isinstance(counts, Sequence) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("run lengths must be whole numbers that are not negative, or COCO's compressed text")
    if not isinstance(given, Sequence) or tuple(given) != size or sum(counts) != size[0] * size[1]:
        raise ValueError(
            f"run lengths are of size {given} and add up to {sum(counts)} pixels, but the photo has {size}, "
            "height and width"
        )
    covered = np.arange(len(counts)) % 2 == 1
    return np.repeat(covered, counts).reshape(size, order="F")


def expand_counts(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed text.

    Source:
        `rleFrString` of pycocotools: five bits a character, lowest first, a sixth that says whether more follow, the
        last one signed; from the fourth length on the difference to the one before the last.

    Examples:
        >>> expand_counts("52203")
        [5, 2, 2, 2, 5]

    Raises:
        ValueError: This is no such text.
    """
    counts: list[int] = []
    number = bits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"compressed run lengths do not contain {character!r}")
        number |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << bits
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = bits = 0
    if bits:
        raise ValueError("compressed run lengths end within a number")
    return counts


def mask_to_segmentation(mask: NDArray[np.bool_]) -> dict[str, object]:
    """Return a mask, (height, width), as COCO's compressed run lengths, ready for JSON."""
    runs = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode("ascii")}
