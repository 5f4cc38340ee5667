"""Sums over boxes of pictures, read from summed-area tables of integers.

Integers make them exact: what lies around a box, the order of the sum and the number of threads change no bit of it. So
real numbers are counted in units of a power of two before they are summed, and a mean is divided out last.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

LIMB_BITS = 30

Place = tuple[int, int, int, int, int]
"""Number of the picture in its batch; left, top, right, bottom in whole pixels, the last two outside of the box."""


class AreaTable:
    """Answer the sum of integer maps over any box of any picture of a batch by four look-ups.

    Args:
        maps: (B, K, H, W), or (B, H, W) for one map; integers, whose sum over any box that is asked for is below 2**63
            in absolute value. What lies outside of it may be beyond: differences of tables that wrap around are exact.

    Source:
        Crow, Summed-Area Tables for Texture Mapping, SIGGRAPH 1984.
    """

    def __init__(self, maps: Tensor) -> None:
        maps = maps[:, None] if maps.dim() == 3 else maps
        self._sums = functional.pad(maps.cumsum(-1, dtype=torch.int64).cumsum(-2), (1, 0, 1, 0))

    def sums(self, places: Sequence[Place]) -> list[list[int]]:
        """Return the sums of the K maps over each box."""
        if not places:
            return []
        index, left, top, right, bottom = torch.tensor(places, device=self._sums.device).unbind(1)
        corners = [self._sums[index, :, y, x] for y, x in ((bottom, right), (top, right), (bottom, left), (top, left))]
        sums: list[list[int]] = (corners[0] - corners[1] - corners[2] + corners[3]).tolist()
        return sums


def count_units(values: Tensor, bits: int) -> Tensor:
    """Return real numbers as whole multiples of 2**-bits, rounded half to even, int64."""
    return (values * 2.0**bits).round().long()


def split(units: Tensor) -> Tensor:
    """Return large counts as two maps that can be summed: multiples of 2**30, and what is left.

    Args:
        units: (B, H, W) int64 in [0, 2**60).

    Returns:
        (B, 2, H, W) int64; `join` makes one number of their two sums.
    """
    return torch.stack((units >> LIMB_BITS, units & (2**LIMB_BITS - 1)), 1)


def join(high: int, low: int) -> int:
    """Return the sum of counts from the sums of their two parts, of any size."""
    return (high << LIMB_BITS) + low
