"""The fusion network of Su et al. 2020: instance features are blended into those of the whole picture, 13 times."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from datamodules.types import Boxes
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

TRAINED = (*WEIGHT_LAYERS.values(), "model10", "model_out")
"""Parts of the network that the fusion stage trains; the rest stays as it came from the whole-picture network."""

OUTSIDE_BONUS = 1e5
"""Added to the background's logit where no box is: its softmax share there is exactly 1."""


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

    def forward(self, light: Tensor, boxes: Sequence[Boxes], features: Mapping[str, Tensor]) -> Tensor:
        """Return the chroma of pictures, each with any number of boxes.

        Args:
            light: (B, 1, H, W), L* in [0, 100].
            boxes: one `Boxes` a picture, n in all; all are used, none is chosen.
            features: the 13 maps (n, C, h, w) of all crops, picture after picture, as from `SiggraphNet.features`.

        Returns:
            (B, 2, H, W) a* and b* in CIE units.
        """
        placements: dict[tuple[int, ...], Placement] = {}

        def fuse(name: str, background: Tensor) -> Tensor:
            crops = features[name]
            size, crop_size = background.shape[-2:], crops.shape[-2:]
            key = (*size, *crop_size)
            if key not in placements:
                placements[key] = Placement.of(boxes, (size[0], size[1]), (crop_size[0], crop_size[1]), light.device)
            return self.fuse(name, crops, background, placements[key])

        return self.trace(light, fuse)

    def fuse(self, name: str, crops: Tensor, background: Tensor, placement: Placement) -> Tensor:
        """Blend the map `name` of n crops, (n, C, h, w), into that of B pictures, (B, C, H, W)."""
        logits, background_logits = self.get_submodule(WEIGHT_LAYERS[name])(crops, background)
        return blend(crops, background, softmax_shares(logits, background_logits, placement), placement)


def softmax_shares(logits: Tensor, background_logits: Tensor, placement: Placement) -> Tensor:
    """Share each pixel among the instances of its picture and the background.

    Convention:
        As published, an instance has the logit 0 outside its own box and thereby takes a share of every pixel that some
        other box covers, although it has nothing to put there.

    Args:
        logits: (n, 1, h, w) of the crops' maps.
        background_logits: (B, 1, H, W).
        placement: of the n boxes on maps of (H, W).

    Returns:
        (B, most + 1, H, W), float32 or better, at each pixel 1 in sum: one plane a box, 0 where a picture has
        fewer, and the background last. Exactly 1 for the background outside of all boxes.
    """
    batch, _, height, width = background_logits.shape
    with torch.autocast(logits.device.type, enabled=False):
        exact = torch.promote_types(logits.dtype, torch.float32)
        placed = placement.resize(logits[:, 0].to(exact))
        empty = placed.new_full((batch, placement.most, height, width), -torch.inf)
        instances = empty.index_put(placement.owners, placed)
        background = background_logits.to(exact) + ~placement.union * OUTSIDE_BONUS
        return torch.cat([instances, background], dim=1).softmax(dim=1)


def blend(crops: Tensor, background: Tensor, shares: Tensor, placement: Placement) -> Tensor:
    """Return the sum of background and resized instance features, each times its share.

    Boxes are added one after the other inside their own pixels, so that memory does not grow with their number.

    Args:
        crops: (n, C, h, w).
        background: (B, C, H, W).
        shares: (B, most + 1, H, W), as `softmax_shares` gives them.
        placement: of the n boxes on maps of (H, W).
    """
    blended: Tensor = _Blend.apply(crops, background, shares, placement)
    return blended


class _Blend(torch.autograd.Function):
    """Paste in place with a gradient that is written down: autograd's own copies the whole map for every box."""

    @staticmethod
    def forward(ctx: Any, crops: Tensor, background: Tensor, shares: Tensor, placement: Placement) -> Tensor:
        ctx.save_for_backward(crops, background, shares)
        ctx.placement = placement
        blended = background * shares[:, -1:].to(background.dtype)
        for index, picture, slot, rows, columns in placement.regions():
            target = blended[picture, :, rows, columns]
            target.addcmul_(_stretch(crops[index], target), shares[picture, slot, rows, columns].to(target.dtype))
        return blended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        crops, background, shares = ctx.saved_tensors
        to_crops = torch.zeros_like(crops) if ctx.needs_input_grad[0] else None
        to_shares = torch.zeros_like(shares)
        to_shares[:, -1] = (gradient * background).sum(dim=1)
        for index, picture, slot, rows, columns in ctx.placement.regions():
            part = gradient[picture, :, rows, columns]
            to_shares[picture, slot, rows, columns] = (_stretch(crops[index], part) * part).sum(dim=0)
            if to_crops is not None:
                share = shares[picture, slot, rows, columns].to(part.dtype)
                to_crops[index] = _stretch_gradient(crops[index], part * share)
        return to_crops, gradient * shares[:, -1:].to(gradient.dtype), to_shares, None


def _stretch(crop: Tensor, target: Tensor) -> Tensor:
    """Resize one crop's map (C, h, w) to the size and type of its box (C, height, width)."""
    size = target.shape[-2:]
    return functional.interpolate(crop[None], size, mode="bilinear", align_corners=False)[0].to(target.dtype)


def _stretch_gradient(crop: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of the crop's map before `_stretch`, given the one after it."""
    with torch.enable_grad():
        leaf = crop.detach().requires_grad_()
        stretched = _stretch(leaf, gradient)
    return torch.autograd.grad(stretched, leaf, gradient)[0]


def _logit_stack(channels: int, hidden: int) -> nn.Sequential:
    """Return three convolutions, each with a ReLU after it, that end in one logit."""
    layers: list[nn.Module] = []
    for before, after in pairwise((channels, hidden, hidden, 1)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
