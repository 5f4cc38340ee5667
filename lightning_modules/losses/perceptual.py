"""The perceptual loss of EdgeConnect: pictures are alike where a network that knows objects sees them alike."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from lightning_modules.networks.width import scaled

PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Where VGG-19 is tapped, one layer before each change of scale."""

RELU5_2 = 32
"""How many of torchvision's layers there are up to the deepest that is tapped."""


def feature_maps(features: nn.Sequential, picture: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
    """Return what some layers of a VGG network answer to a picture; the layers behind the last one are not run.

    Args:
        features: convolutions, ReLUs and poolings in torchvision's order; `relu3_2` is the second ReLU after the second
            pooling.
        picture: (B, 3, H, W).
        layers: names of ReLUs.

    Returns:
        The map of each layer, (B, channels, h, w), by its name.

    Raises:
        ValueError: The network has no layer of one of the names.
    """
    maps: dict[str, Tensor] = {}
    block = place = 1
    for layer in features:
        picture = layer(picture)
        if isinstance(layer, nn.MaxPool2d):
            block, place = block + 1, 1
        elif isinstance(layer, nn.ReLU):
            maps[f"relu{block}_{place}"] = picture
            place += 1
        if set(layers) <= set(maps):
            return {name: maps[name] for name in layers}
    missing = sorted(set(layers) - set(maps))
    raise ValueError(f"the network has no layer {missing[0]}; its layers are {', '.join(maps)}")


def vgg19_features(width: float = 1.0) -> nn.Sequential:
    """Return the layers of VGG-19 up to `relu5_2`, in torchvision's layout, with random weights that are not trained.

    Args:
        width: multiplies the channel counts; ImageNet's weights fit 1 alone.
    """
    from torchvision.models.vgg import cfgs, make_layers

    plan = [size if isinstance(size, str) else scaled(size, width) for size in cfgs["E"]]
    features: nn.Sequential = make_layers(plan)[:RELU5_2]
    return features.requires_grad_(False)


class FeatureLoss(nn.Module):
    """Compare pictures by what VGG-19 answers: the mean absolute difference of each layer's, added up.

    Args:
        features: of VGG-19, in torchvision's layout; whoever makes the loss loads and freezes them.
        layers: that are compared.
    """

    def __init__(self, features: nn.Sequential, layers: Sequence[str]) -> None:
        super().__init__()
        self.features = features
        self.layers = tuple(layers)

    def described(self, maps: Tensor) -> Tensor:
        """Return what is compared of (B, C, h, w) maps: here the maps themselves."""
        return maps

    def forward(self, picture: Tensor, truth: Tensor) -> Tensor:
        """Return the loss, a scalar, of (B, 3, H, W) RGB in [0, 1] against the truth."""
        got, wanted = (feature_maps(self.features, each, self.layers) for each in (picture, truth))
        apart = [self.described(got[name]) - self.described(wanted[name]) for name in self.layers]
        return torch.stack([each.abs().mean() for each in apart]).sum()


class PerceptualLoss(FeatureLoss):
    """Compare pictures by the maps of VGG-19: the mean absolute difference of each, added up.

    Convention:
        The network sees RGB in [0, 1] as it is, as in the authors' code, and not with ImageNet's mean and deviation.
        The paper divides by the number of activations, which is what the mean does.

    Args:
        features: of VGG-19, in torchvision's layout; whoever makes the loss loads and freezes them.
        layers: that are compared.

    Source:
        Nazeri et al. 2019; `src/loss.py` of github.com/knazeri/edge-connect for layers and their equal weights.
    """

    def __init__(self, features: nn.Sequential, layers: Sequence[str] = PERCEPTUAL_LAYERS) -> None:
        super().__init__(features, layers)
