"""Small embedded pictures, of a size and quality that lets all of them together fit into a page. Knows no torch."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.files import path_below
from bench.report.selection import spread
from datamodules.images import ImageError, read_image

BUDGET = 26_000_000
"""Characters of all pictures of a page together."""
SAMPLE = 48
METHOD = 2
"""WebP's own scale of effort: 2 takes half the time of 4, its default, for 3 % more bytes."""


class Grade(NamedTuple):
    """Hold the longest side of thumbnails in pixels, and their WebP quality."""

    side: int
    quality: int


SIDES = ((512, 85), (384, 85), (256, 85), (256, 80), (256, 75), (224, 75), (192, 75), (160, 72), (128, 70), (96, 65))
GRADES = tuple(Grade(side, quality) for side, quality in SIDES)
MOST = BUDGET // 3600
"""Thumbnails of a page that the lowest grade takes with certainty."""


class Place(NamedTuple):
    """Name a file of a picture: folder, key and what follows the key."""

    folder: Path
    key: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Hold a small picture as a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def load(place: Place) -> NDArray[np.uint8] | None:
    """Return a picture as (H, W, 3) uint8; None where there is none that can be read."""
    try:
        return read_image(path_below(*place))
    except (ImageError, ValueError):
        return None


def encode(whole: NDArray[np.uint8], grade: Grade) -> Thumbnail:
    """Return the thumbnail of (H, W, 3) uint8; a picture that is smaller keeps its size."""
    small = Image.fromarray(whole)
    small.thumbnail((grade.side, grade.side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "WEBP", quality=grade.quality, method=METHOD)
    uri = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    return Thumbnail(uri, *small.size)


def find_grade(places: Sequence[Place], budget: int = BUDGET) -> Grade:
    """Return the best grade at which all pictures fit into a budget of characters, judged by some of them.

    The lowest grade is taken where none fits.
    """
    pictures = [picture for picture in map(load, spread(places, SAMPLE)) if picture is not None]
    for grade in GRADES:
        length = sum(len(encode(picture, grade).uri) for picture in pictures)
        if length * len(places) <= budget * max(1, len(pictures)):
            return grade
    return GRADES[-1]


def colorfulness(picture: NDArray[np.uint8]) -> float:
    """Return the colorfulness of (H, W, 3) uint8, as the metric of that name defines it.

    Source:
        Hasler and Süsstrunk, Measuring Colourfulness in Natural Images, SPIE 2003, section 7.
    """
    red, green, blue = picture.reshape(-1, 3).T.astype(np.float64)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    deviation = math.hypot(red_green.std(), yellow_blue.std())
    return deviation + 0.3 * math.hypot(red_green.mean(), yellow_blue.mean())
