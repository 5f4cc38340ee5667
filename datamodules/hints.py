"""Hints: squares of a picture whose mean colour is given away, as a user of Zhang et al. 2017 would click them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TRAINING_SIDES = (1, 9)
EVALUATION_SIDES = (6, 6)


@dataclass(frozen=True, slots=True)
class Hinting:
    """Say how many hints a picture gets, and how large they are.

    Convention:
        The paper and the authors' training code draw hints alike. To score, their sweep over numbers of hints takes
        squares of 6 pixels and draws all of them anew for every number; here the first n of n + 1 hints are those n.

    Attributes:
        count: of the hints; None draws it for every picture.
        stop: chance, before each hint, that none follows, where the count is drawn. 1 gives no hints.
        sides: least and greatest side of the squares in pixels; all sides between are equally likely.

    Source:
        Zhang et al. 2017, section 3.2; `test_sweep.py` of the authors' colorization-pytorch.
    """

    count: int | None
    stop: float = 1.0
    sides: tuple[int, int] = EVALUATION_SIDES

    @classmethod
    def for_training(cls, stop: float) -> Self:
        """Return hints of changing number, (1 - stop) / stop on average, and of changing size.

        Raises:
            ValueError: `stop` is not in (0, 1].
        """
        if not 0 < stop <= 1:
            raise ValueError(f"hint_stop is {stop}: it is a chance, give a number above 0 and up to 1")
        return cls(None, stop, TRAINING_SIDES)

    @classmethod
    def for_evaluation(cls, count: int) -> Self:
        """Return so many hints of one size.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError(f"hints is {count}: give how many each picture gets, 0 or more")
        return cls(count)

    def draw(self, size: tuple[int, int], random: np.random.Generator) -> Tensor:
        """Draw the squares of one picture.

        Args:
            size: (height, width) of the picture.
            random: where all chance comes from; the same numbers give the same squares.

        Returns:
            (n, 3) int64, top, left and side in pixels, all inside the picture, in the order in which they are given.
        """
        count = int(random.geometric(self.stop)) - 1 if self.count is None else self.count
        squares = [self._square(size, random) for _ in range(count)]
        return torch.tensor(squares, dtype=torch.int64).reshape(-1, 3)

    def _square(self, size: tuple[int, int], random: np.random.Generator) -> tuple[int, int, int]:
        height, width = size
        side = min(int(random.integers(*self.sides, endpoint=True)), height, width)
        return _start(height - side, random), _start(width - side, random), side


def _start(room: int, random: np.random.Generator) -> int:
    """Draw how far a square stands from the edge: normal about the middle, a quarter of the room wide, clipped."""
    places = room + 1
    return int(np.clip(random.normal(places / 2, places / 4), 0, room))


def reveal(chroma: Tensor, squares: Tensor) -> Tensor:
    """Return the guide of one picture: the mean colour of each square, a later one over an earlier.

    Args:
        chroma: (2, H, W) a* and b* of the truth in CIE units.
        squares: (n, 3), as `Hinting.draw` gives them.

    Returns:
        (3, H, W): a* and b*, 0 where no hint is, and a mask of ones and zeros.
    """
    guide = chroma.new_zeros(3, *chroma.shape[-2:])
    for top, left, side in squares.tolist():
        rows, columns = slice(top, top + side), slice(left, left + side)
        guide[:2, rows, columns] = chroma[:, rows, columns].mean(dim=(1, 2), keepdim=True)
        guide[2, rows, columns] = 1
    return guide


def made_guide(light: Tensor, count: int) -> Tensor:
    """Return hints of made colours for pictures whose truth nobody knows, to try a method on.

    Args:
        light: (B, 1, H, W) of the pictures.
        count: of the hints, the same squares in each.

    Returns:
        (B, 3, H, W), as `reveal` gives them, from red and green on the left to blue and yellow on the right.
    """
    squares = Hinting.for_evaluation(count).draw((light.shape[-2], light.shape[-1]), np.random.default_rng(0))
    ramp = torch.linspace(-40, 40, light.shape[-1], device=light.device).expand(light.shape[-2:])
    return reveal(torch.stack([ramp, -ramp]), squares).expand(len(light), -1, -1, -1).contiguous()


def resize_guide(guide: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a guide for pictures of another size; no hint is lost, however small the pictures become.

    Args:
        guide: (B, 3, H, W) a* and b* in CIE units, 0 where no hint is, and a mask of ones and zeros.
        size: (height, width) wanted. Each pixel takes the mean of the hints that it covers.
    """
    mean = functional.adaptive_avg_pool2d(guide, size)
    share = mean[:, 2:]
    colors = mean[:, :2] / torch.where(share > 0, share, 1)
    return torch.cat([colors, (share > 0).to(guide)], dim=1)
