"""What training and decoding may ask of a network that answers once for a cell of several pixels."""

from typing import ClassVar

from torch import Tensor, nn


class CellNetwork(nn.Module):
    """Answer for cells of (B, 1, H, W) light, counted from the top left: (B, channels, ceil(H / n), ceil(W / n))."""

    cell: ClassVar[int]
    """Pixels of the picture, per axis, that share one answer: n."""


class BinNetwork(CellNetwork):
    """Answer with logits of the 313 bins of `ab_bins`."""

    def decode(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the annealed mean of the bins.

        Convention:
            At 1 it is the mean, near 0 the mode; Zhang et al. 2016 take 0.38.

        Args:
            logits: (B, 313, h, w).
            temperature: divides the logits, above 0.

        Returns:
            (B, 2, h, w) float32 or wider, a* and b* in CIE units.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement decode()")
