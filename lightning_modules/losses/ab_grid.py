"""The whole a*b* plane as a grid of 23 x 23 colours, those outside of the sRGB gamut among them."""

import torch
from torch import Tensor

STEP = 10.0
EDGE = 110.0
CELLS = 23
"""Cells an axis: centres from -110 to 110, every 10."""


def grid_cell(chroma: Tensor) -> Tensor:
    """Return the cell that each pixel lies in.

    Args:
        chroma: (B, 2, H, W) a* and b* in CIE units, within -115 and 115, as all of sRGB is.

    Returns:
        (B, H, W) int64 below 529: 23 times the cell of a*, plus that of b*.

    Source:
        colorization-pytorch of Zhang et al. 2017.
    """
    a, b = torch.round((chroma + EDGE) / STEP).long().unbind(dim=1)
    return a * CELLS + b
