"""The regression loss of the released code of Zhang et al. 2017."""

from torch import Tensor, nn

from lightning_modules.losses.huber import CHROMA_SCALE


class AbsoluteLoss(nn.Module):
    """Penalise wrong chroma by its absolute error.

    Convention:
        The paper takes `HuberLoss` with delta 1; the authors' released code takes this one.

    Args:
        weight: multiplies the loss.

    Source:
        colorization-pytorch of the authors: chroma is divided by 110, the error summed over a* and b*, its mean over
        pixels multiplied by 10.
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, chroma: Tensor, truth: Tensor) -> Tensor:
        """Return the loss, a scalar, of (B, 2, H, W) chroma against the truth, both in CIE units."""
        return (chroma - truth).abs().sum(dim=1).mean() * (self.weight / CHROMA_SCALE)
