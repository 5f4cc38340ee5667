"""Irregular holes painted by a brush, for want of a published set of masks. Knows no torch."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Share = tuple[float, float]
"""More than the first and at most the second share of the picture's pixels."""

BRUSHES = (1 / 24, 1 / 8)
"""Narrowest and widest brush, in sides of the picture."""

REACHES = (1 / 12, 1 / 4)
"""Shortest and longest piece of a stroke, in sides of the picture."""

BEND = 1.2
"""Largest turn from one piece of a stroke to the next, in radians."""

MOST_PIECES = 8
"""Pieces of a stroke."""

STUBBORN = 64
"""Strokes in a row that leave too much uncovered or cover too much, before single pixels settle the share."""


@dataclass(slots=True)
class Brush:
    """Paint strokes on a square until a wanted share of it is covered.

    Attributes:
        side: of the square in pixels.
        random: where all chance comes from.
        covered: (side, side), what is painted already.
    """

    side: int
    random: np.random.Generator
    covered: NDArray[np.bool_]

    def stroke(self, widest: float) -> NDArray[np.bool_]:
        """Return what is covered after one more stroke, of a brush at most `widest` sides wide."""
        sheet = Image.fromarray(self.covered.astype(np.uint8))
        draw = ImageDraw.Draw(sheet)
        width = max(1, round(self.side * self.random.uniform(min(BRUSHES[0], widest), widest)))
        place, angle = self.random.uniform(0, self.side, 2), self.random.uniform(0, 2 * math.pi)
        for _ in range(int(self.random.integers(1, MOST_PIECES, endpoint=True))):
            angle += self.random.uniform(-BEND, BEND)
            reach = self.side * self.random.uniform(*REACHES)
            end = place + reach * np.array([math.cos(angle), math.sin(angle)])
            draw.line((*place.tolist(), *end.tolist()), fill=1, width=width)
            _dot(draw, end, width)
            place = end
        return np.array(sheet, dtype=bool)

    def settle(self, pixels: int) -> NDArray[np.bool_]:
        """Return what is covered with so many pixels, the next ones row by row below and right of the covered."""
        order = np.flatnonzero(~self.covered.ravel())
        covered = self.covered.copy().ravel()
        covered[order[: max(0, pixels - int(covered.sum()))]] = True
        return covered.reshape(self.covered.shape)


def _dot(draw: ImageDraw.ImageDraw, place: NDArray[np.float64], width: int) -> None:
    """Round the joint of two pieces."""
    left, top = (place - width / 2).tolist()
    draw.ellipse((left, top, left + width, top + width), fill=1)


def paint(side: int, share: Share, random: np.random.Generator) -> NDArray[np.bool_]:
    """Paint an irregular hole.

    Convention:
        Ours, seeded, where the authors of EdgeConnect train and test on the masks of Liu et al. 2018, which are drawn
        from occlusions in films: figures for these holes are no figures for theirs. A stroke that would cover too much
        is taken back and a narrower brush chosen.

    Args:
        side: of the square picture in pixels.
        share: of its pixels that the hole has: more than the first, at most the second.
        random: the same numbers give the same hole.

    Returns:
        (side, side), True in the hole.
    """
    total = side * side
    least, most = math.floor(share[0] * total) + 1, math.floor(share[1] * total)
    if not 0 < least <= most:
        raise ValueError(f"no hole in {side} x {side} pixels has more than {share[0]:.0%} and at most {share[1]:.0%}")
    brush = Brush(side, random, np.zeros((side, side), dtype=bool))
    wanted, widest, refused = int(random.integers(least, most, endpoint=True)), BRUSHES[1], 0
    while brush.covered.sum() < wanted and refused < STUBBORN:
        tried = brush.stroke(widest)
        if tried.sum() <= most:
            brush.covered = tried
        else:
            widest, refused = max(1 / side, widest / 1.5), refused + 1
    return brush.covered if brush.covered.sum() >= least else brush.settle(least)
