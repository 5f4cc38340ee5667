"""The 313 colours that Zhang et al. classify pixels into, and what a true colour is among them."""

import torch
from torch import Tensor

STEP = 10
_ROWS = (
    (-90, 50, 90),
    (-80, 20, 90),
    (-70, 0, 90),
    (-60, -20, 90),
    (-50, -30, 100),
    (-40, -40, 100),
    (-30, -50, 100),
    (-20, -50, 100),
    (-10, -60, 100),
    (0, -70, 100),
    (10, -80, 90),
    (20, -80, 90),
    (30, -90, 90),
    (40, -100, 90),
    (50, -100, 80),
    (60, -110, 80),
    (70, -110, 80),
    (80, -110, 70),
    (90, -110, 70),
    (100, -90, 0),
)
"""a*, and the least and the greatest b* that the sRGB gamut reaches there."""


def ab_bins() -> Tensor:
    """Return the centres of the 313 bins, those cells of a grid of step 10 that lie in the sRGB gamut.

    Returns:
        (313, 2) float32, a* and b* in CIE units, in ascending order of a*, then b*.

    Source:
        Zhang, Isola, Efros: Colorful Image Colorization, ECCV 2016, section 2.1.

    >>> ab_bins()[:2].tolist()
    [[-90.0, 50.0], [-90.0, 60.0]]
    """
    cells = [(a, b) for a, first, last in _ROWS for b in range(first, last + STEP, STEP)]
    return torch.tensor(cells, dtype=torch.float32)


def squared_distances(chroma: Tensor, bins: Tensor) -> Tensor:
    """Return the squared distance of every pixel to every bin.

    Args:
        chroma: (B, 2, H, W) a* and b* in CIE units.
        bins: (Q, 2) centres.

    Returns:
        (B, Q, H, W) in squared CIE units.
    """
    a, b = chroma[:, :1], chroma[:, 1:]
    return (a - bins[:, 0, None, None]).square() + (b - bins[:, 1, None, None]).square()


def nearest_bin(chroma: Tensor, bins: Tensor) -> Tensor:
    """Return the index of the bin nearest to each pixel of (B, 2, H, W) chroma, as (B, H, W) int64."""
    return squared_distances(chroma, bins).argmin(dim=1)


def soft_encode(chroma: Tensor, bins: Tensor, neighbours: int = 5, sigma: float = 5.0) -> tuple[Tensor, Tensor]:
    """Share each pixel among its nearest bins, by a Gaussian of its distance to them.

    Convention:
        The paper takes 5 neighbours, the released training code 10.

    Args:
        chroma: (B, 2, H, W) a* and b* in CIE units.
        bins: (Q, 2) centres.
        neighbours: how many bins share a pixel.
        sigma: of the Gaussian, in CIE units.

    Returns:
        The bins, (B, neighbours, H, W) int64, nearest first, and their shares of the same shape, which add up to 1.

    Source:
        Zhang et al. 2016, section 2.1; Convention as in their `NNEncLayer`.
    """
    near = squared_distances(chroma, bins).topk(neighbours, dim=1, largest=False)
    return near.indices, (-near.values / (2 * sigma**2)).softmax(dim=1)


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float) -> Tensor:
    """Return the mean of the bins under logits that were divided by a temperature.

    Args:
        logits: (B, Q, H, W).
        bins: (Q, 2) centres, in whatever unit.
        temperature: above 0.

    Returns:
        (B, 2, H, W) float32 or wider, in the unit of `bins`.

    Source:
        Zhang et al. 2016, equation 5.
    """
    share = (logits.float() / temperature).softmax(dim=1)
    return torch.einsum("bqhw,qc->bchw", share, bins.float())
