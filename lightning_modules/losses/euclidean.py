"""Half the squared distance of colours, the regression that classification was compared with."""

import torch
from torch import Tensor

from lightning_modules.losses.global_batch import mean_count
from lightning_modules.losses.rebalanced import not_gray


def euclidean_loss(chroma: Tensor, truth: Tensor, scale: float) -> Tensor:
    """Return half the squared distance of colour to truth.

    Convention:
        The paper adds up over pixels, here it is their mean: a sum changes the step of plain descent, not that of Adam.

    Args:
        chroma: (B, 2, H, W) a* and b* in CIE units.
        truth: the same of the truth. Pictures that are grey do not count.
        scale: CIE units that are taken as 1.

    Returns:
        A scalar: the mean over the pixels that count in all training processes, 0 where none does.

    Source:
        Zhang et al. 2016, equation 1.
    """
    squares = ((chroma.float() - truth) / scale).square().sum(dim=1)
    counted = not_gray(truth)[:, None, None].expand_as(squares)
    return torch.where(counted, squares, 0).sum() / (2 * mean_count(counted.sum()))
