"""The fusion network of Su et al. 2020: instance features are blended into those of the whole picture, 13 times."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from datamodules.types import Boxes
from lightning_modules.networks.blending import Softmax, blend, cover_shares, softmax_shares
from lightning_modules.networks.boxtables import Placement
from lightning_modules.networks.siggraph import MAPS, SiggraphTrunk, init_weights
from lightning_modules.networks.width import scaled

WEIGHT_LAYERS = dict(
    zip(
        MAPS,
        (
            *("weight_layer", "weight_layer2", "weight_layer3", "weight_layer4", "weight_layer5", "weight_layer6"),
            *("weight_layer7", "weight_layer8_1", "weight_layer8_2", "weight_layer9_1", "weight_layer9_2"),
            *("weight_layer10_1", "weight_layer10_2"),
        ),
        strict=True,
    )
)
"""The authors' name of the weight layer at each map."""

Level = Literal["both", "encoder", "decoder"]
Weighting = Literal["learned", "box", "mask"]

LEVELS: dict[Level, tuple[str, ...]] = {"both": MAPS, "encoder": MAPS[:7], "decoder": MAPS[7:]}
"""The maps at which instances are blended in: all as published, or only up to conv7_3, or only after it."""


class WeightGenerator(nn.Module):
    """Predict how much each instance and the background matter at each pixel: logits, 0 or more.

    Args:
        channels: of the feature maps.
        hidden: channels of the two inner convolutions.
    """

    def __init__(self, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.simple_instance_conv = _logit_stack(channels, hidden)
        self.simple_bg_conv = _logit_stack(channels, hidden)

    def forward(self, crops: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (n, 1, h, w) of all crops' maps and (B, 1, H, W) of all pictures'."""
        return self.simple_instance_conv(crops), self.simple_bg_conv(background)


class FusionNet(SiggraphTrunk):
    """Colour pictures with the help of their instances' features.

    35 270 831 parameters at width 1, `weight_layerout` among them, which the authors never use. Arguments: see
    `SiggraphTrunk`; `width` also scales the inner channels of the weight layers.

    Source:
        Su, Chu, Huang: Instance-aware Image Colorization, CVPR 2020, section 3.4.
    """

    def __init__(self, width: float = 1.0, classes: int = 529, mask_center: float = 0.5) -> None:
        super().__init__(width, classes, mask_center)
        hidden = scaled(16, width)
        for name, layer in WEIGHT_LAYERS.items():
            self.add_module(layer, WeightGenerator(self.map_channels[name], hidden))
        self.weight_layerout = WeightGenerator(2, hidden).requires_grad_(False)
        init_weights(self, 0.02 / width**0.5)

    def forward(
        self,
        light: Tensor,
        boxes: Sequence[Boxes],
        features: Mapping[str, Tensor],
        *,
        softmax: Softmax = "padded",
        weighting: Weighting = "learned",
        level: Level = "both",
    ) -> Tensor:
        """Return the chroma of pictures, each with any number of boxes.

        Args:
            light: (B, 1, H, W), L* in [0, 100].
            boxes: one `Boxes` a picture, n in all; all are used, none is chosen.
            features: the 13 maps (n, C, h, w) of all crops, picture after picture, as from `SiggraphNet.features`.
            softmax: of learned weights, see `softmax_shares`.
            weighting: by the weight layers as published, or by box or mask, see `cover_shares`.
            level: at which maps instances are blended in.

        Returns:
            (B, 2, H, W) a* and b* in CIE units.

        Raises:
            ValueError: Weighting is by mask and boxes have none.
        """

        @cache
        def place(size: tuple[int, int], crop_size: tuple[int, int]) -> tuple[Placement, Tensor | None]:
            placement = Placement.of(boxes, size, crop_size, light.device)
            by_mask = weighting == "mask"
            return placement, None if weighting == "learned" else cover_shares(boxes, placement, masks=by_mask)

        def fuse(name: str, background: Tensor) -> Tensor:
            if name not in LEVELS[level]:
                return background
            crops = features[name]
            placement, shares = place(_size(background), _size(crops))
            if shares is None:
                shares = softmax_shares(*self.logits(name, crops, background), placement, softmax)
            return blend(crops, background, shares, placement)

        return self.trace(light, fuse)

    def logits(self, name: str, crops: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weight layer's logits at the map `name`, see `WeightGenerator`."""
        weights: tuple[Tensor, Tensor] = self.get_submodule(WEIGHT_LAYERS[name])(crops, background)
        return weights


def trained_parts(weighting: Weighting = "learned", level: Level = "both") -> list[str]:
    """Return the parts of a `FusionNet` that its stage trains: last block, head, and what weight layers are in use."""
    layers = [WEIGHT_LAYERS[name] for name in LEVELS[level] if weighting == "learned"]
    return [*layers, "model10", "model_out"]


def _size(feature: Tensor) -> tuple[int, int]:
    return feature.shape[-2], feature.shape[-1]


def _logit_stack(channels: int, hidden: int) -> nn.Sequential:
    """Return three convolutions, each with a ReLU after it, that end in one logit."""
    layers: list[nn.Module] = []
    for before, after in pairwise((channels, hidden, hidden, 1)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
