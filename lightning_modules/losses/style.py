"""The style loss of EdgeConnect: pictures are alike in style where the same features go together in them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.losses.perceptual import PERCEPTUAL_LAYERS, FeatureLoss

STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")
"""Where the authors' released code taps VGG-19."""

REVIEW_STYLE_LAYERS = PERCEPTUAL_LAYERS
"""Where a review of the paper has it: the layers of the perceptual loss. None of them is among the four above."""


def gram(maps: Tensor) -> Tensor:
    """Return how much the channels of (B, C, h, w) maps go together: (B, C, C), divided by h * w * C; no autocast."""
    batch, channels, height, width = maps.shape
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.reshape(batch, channels, height * width)
        flat = flat if flat.dtype == torch.float64 else flat.float()
        return flat @ flat.transpose(1, 2) / (height * width * channels)


class StyleLoss(FeatureLoss):
    """Compare pictures by the Gram matrices of VGG-19's maps: the mean absolute difference of each, added up.

    Convention:
        The network sees RGB in [0, 1] as it is, as for `PerceptualLoss`. The four layers are those of the authors'
        code; a review of the paper names the five of the perceptual loss, which `REVIEW_STYLE_LAYERS` holds. What is
        not to be compared is to be black in both pictures: the authors multiply both with the mask of the hole.

    Args:
        features: of VGG-19, in torchvision's layout; whoever makes the loss loads and freezes them.
        layers: that are compared.

    Source:
        Nazeri et al. 2019; `src/loss.py` of github.com/knazeri/edge-connect for layers and divisor.
    """

    def __init__(self, features: nn.Sequential, layers: Sequence[str] = STYLE_LAYERS) -> None:
        super().__init__(features, layers)

    def described(self, maps: Tensor) -> Tensor:
        """Return the Gram matrices of (B, C, h, w) maps."""
        return gram(maps)
