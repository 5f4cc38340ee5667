"""Cross-entropy over colour bins, in which rare colours weigh more."""

import torch
from torch import Tensor

from lightning_modules.losses.ab_bins import soft_encode
from lightning_modules.losses.global_batch import mean_count

GRAY_LIMIT = 5.0
"""A picture is grey, and teaches nothing, where no |a*| or |b*| of it is above this."""


def rebalancing_weights(prior: Tensor, uniform: float = 0.5) -> Tensor:
    """Return the weight of each bin, normalised so that its mean under the prior is 1.

    Args:
        prior: (Q,) smoothed probability of the bins.
        uniform: lambda, the part of the uniform distribution that is mixed into the prior; 1 gives equal weights.

    Returns:
        (Q,) like `prior`; 0 where both prior and `uniform` are 0.

    Source:
        Zhang et al. 2016, equation 4; Q is the number of bins with a prior above 0.
    """
    seen = (prior > 0).sum().to(prior)
    mixed = (1 - uniform) * prior + uniform / seen
    weights = torch.where(mixed > 0, 1 / mixed, 0)
    return weights / (prior * weights).sum()


def not_gray(chroma: Tensor) -> Tensor:
    """Return which pictures of (B, 2, H, W) chroma have any colour, as (B,) bool."""
    return (chroma.abs() > GRAY_LIMIT).flatten(1).any(dim=1)


def rebalanced_cross_entropy(
    logits: Tensor,
    chroma: Tensor,
    bins: Tensor,
    weights: Tensor,
    *,
    neighbours: int = 5,
    sigma: float = 5.0,
) -> tuple[Tensor, Tensor]:
    """Compare logits with the soft-encoded truth.

    Convention:
        The released training code weights the gradient only and reports the plain loss; here both are returned.

    Args:
        logits: (B, Q, H, W).
        chroma: (B, 2, H, W) a* and b* of the truth in CIE units. Pictures that are grey do not count.
        bins: (Q, 2) centres.
        weights: (Q,) of the bins; a pixel has that of its nearest bin.
        neighbours: bins that share a pixel.
        sigma: of their Gaussian, in CIE units.

    Returns:
        The rebalanced and the plain cross-entropy, in nat: means over the pixels that count in all training processes,
        0 where none does.

    Source:
        Zhang et al. 2016, equation 2.
    """
    index, share = soft_encode(chroma, bins, neighbours, sigma)
    surprise = -(logits.float().log_softmax(dim=1).gather(1, index) * share).sum(dim=1)
    counted = not_gray(chroma)[:, None, None].expand_as(surprise)
    total = mean_count(counted.sum())
    plain = torch.where(counted, surprise, 0)
    return (plain * weights[index[:, 0]]).sum() / total, plain.sum() / total
