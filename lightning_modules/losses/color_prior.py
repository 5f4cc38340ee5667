"""How often each colour bin occurs in a set of photos."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lightning_modules.losses.ab_bins import ab_bins, nearest_bin


def count_bins(chromas: Iterable[Tensor], bins: Tensor) -> Tensor:
    """Count the pixels nearest to each bin.

    Args:
        chromas: pictures, each (2, H, W) a* and b* in CIE units; sizes may differ.
        bins: (Q, 2) centres.

    Returns:
        (Q,) float64.
    """
    counts = torch.zeros(len(bins), dtype=torch.float64)
    for chroma in chromas:
        counts += torch.bincount(nearest_bin(chroma[None], bins).flatten(), minlength=len(bins))
    return counts


def smooth_counts(counts: Tensor, bins: Tensor, sigma: float = 5.0) -> Tensor:
    """Return the prior of the bins: their counts, spread over the neighbours by a Gaussian.

    Convention:
        What a bin gives away stays within the gamut: its Gaussian is normalised over the bins that exist.

    Args:
        counts: (Q,), at least one of them above 0.
        bins: (Q, 2) centres in CIE units.
        sigma: of the Gaussian, in CIE units.

    Returns:
        (Q,) float64, sums to 1.

    Source:
        Zhang et al. 2016, section 2.2.
    """
    distances = (bins[:, None].double() - bins.double()).square().sum(dim=2)
    kernel = (-distances / (2 * sigma**2)).exp()
    smooth = counts.double() @ (kernel / kernel.sum(dim=1, keepdim=True))
    return smooth / smooth.sum()


class ColorPrior(nn.Module):
    """Keep the prior of the colour bins as a part of a method's weights; uniform until `learn` is called.

    Attributes:
        probability: (313,) float32, sums to 1.
    """

    probability: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = ab_bins()
        self.register_buffer("probability", torch.full((len(bins),), 1 / len(bins)))

    def learn(self, chromas: Iterable[Tensor]) -> None:
        """Take the smoothed prior of pictures (2, H, W); without a single pixel it stays as it is."""
        bins = ab_bins()
        counts = count_bins(chromas, bins)
        if counts.sum() > 0:
            self.probability.copy_(smooth_counts(counts, bins))
