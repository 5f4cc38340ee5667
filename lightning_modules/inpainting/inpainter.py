"""What every inpainting method is: a picture with a hole in, a picture out, and no way to score itself."""

from collections.abc import Mapping

import pytorch_lightning as pl
from torch import nn

from datamodules.inpaint_batch import Filling, HoledBatch


class Inpainter(pl.LightningModule):
    """Fill the holes of pictures.

    A method implements `fill`; a trainable one also `networks` and the steps of Lightning.
    """

    draws_edges: bool = False
    """Whether it draws lines before it fills, which are then scored as well."""

    skipped_share: float = 0.0
    """Share of a recipe's steps, the first ones, that it does without: an ablation lacks their phase."""

    def fill(self, holed: HoledBatch) -> Filling:
        """Fill a batch.

        Args:
            holed: what is known; white in the hole.

        Returns:
            (B, 3, H, W) sRGB in [0, 1]; what it says outside of the hole is not looked at.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement fill()")

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the parts that a weights folder holds, one file each. Empty for a method without weights."""
        return {}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return the parts that begin from torchvision's ImageNet weights, by torchvision's name. Empty for none."""
        return {}

    def forward(self, holed: HoledBatch) -> Filling:
        """Return the answer of `fill`."""
        return self.fill(holed)
