"""The regression loss of Su et al. 2020, and which pictures it is not asked about."""

import torch
from torch import Tensor, nn

from lightning_modules.losses.global_batch import mean_count

CHROMA_SCALE = 110.0
GRAY_RANGE = 10.0


class HuberLoss(nn.Module):
    """Penalise wrong chroma: squared error up to `delta` CIE units, its tangent beyond.

    Args:
        delta: where the square ends, in CIE units.
        weight: multiplies the loss.

    Source:
        Su et al. 2020, section 3.5, delta 1; the authors' code divides chroma by 110, sums over a* and b*, takes the
        mean over pixels and multiplies by 10.
    """

    def __init__(self, delta: float = 1.0, weight: float = 10.0) -> None:
        super().__init__()
        self.delta = delta
        self.weight = weight

    def forward(self, chroma: Tensor, truth: Tensor) -> Tensor:
        """Return the loss, a scalar, of (B, 2, H, W) chroma against the truth, both in CIE units."""
        error = (chroma - truth).abs()
        penalty = torch.where(error < self.delta, 0.5 * error**2 / self.delta, error - 0.5 * self.delta)
        return penalty.sum(dim=1).mean() * (self.weight / CHROMA_SCALE)


def colorful(truth: Tensor, least_range: float = GRAY_RANGE) -> Tensor:
    """Tell which pictures have colours to learn from.

    Convention:
        The authors drop the whole batch for one grey picture; here each picture answers for itself.

    Args:
        truth: (B, 2, H, W) a* and b* in CIE units.
        least_range: what the ranges of a* and b* must reach in sum.

    Returns:
        (B,) bool, False for a grey picture.
    """
    low, high = truth.flatten(2).aminmax(dim=2)
    return (high - low).sum(dim=1) >= least_range


def mean_over(loss: nn.Module, keep: Tensor, chroma: Tensor, truth: Tensor) -> Tensor:
    """Return a loss over some pictures of a batch, normalised by how many are kept in all training processes.

    Args:
        loss: from (B, 2, H, W) chroma and truth to a scalar, a mean over pictures.
        keep: (B,) bool, which pictures count.
        chroma: (B, 2, H, W) in CIE units.
        truth: the same.

    Returns:
        A scalar; 0, with a gradient of zeros, where no picture is kept.
    """
    kept = keep.sum()
    total = mean_count(kept)
    if not kept:
        return chroma.sum() * 0.0
    result: Tensor = loss(chroma[keep], truth[keep])
    return result * (kept / total)
