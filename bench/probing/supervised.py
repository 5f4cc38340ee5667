"""Networks that learnt to tell ImageNet's classes: the other end of the scale, where their weights are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torchvision import models

from bench.probing.backbone import Backbone
from bench.probing.settings import Input
from bench.scoring.states import check_state, read_state
from bench.weights import WeightsMissingError, find_weights
from datamodules.color import lab_to_rgb
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, in R G B, as torchvision's networks were trained."""


@dataclass(frozen=True, slots=True)
class Supervised:
    """Name a network of torchvision, its weight file, and its layers: path in `features` by name."""

    file: str
    layers: Mapping[str, str]


SUPERVISED: Mapping[str, Supervised] = MappingProxyType(
    {
        "alexnet": Supervised(
            "alexnet-owt-7be5be79.pth", {"conv1": "1", "conv2": "4", "conv3": "7", "conv4": "9", "conv5": "11"}
        ),
        "vgg16": Supervised(
            "vgg16-397923af.pth", {"conv1": "3", "conv2": "8", "conv3": "15", "conv4": "22", "conv5": "29"}
        ),
    }
)


class Features(Colorizer):
    """Hold the convolutions of a network that classifies, in the form in which networks are probed."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the convolutions."""
        return {"features": self.features}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Look at a grey picture; what is answered is no colour."""
        light = gray.light
        return self.see(torch.cat([light, light.new_zeros(len(light), 2, *light.shape[-2:])], dim=1))

    def see(self, lab: Tensor) -> Tensor:
        """Look at pictures, (B, 3, H, W) in Lab, as sRGB with ImageNet's mean and deviation."""
        rgb = lab_to_rgb(lab).clamp(0, 1)
        mean, std = (rgb.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        answer: Tensor = self.features((rgb - mean) / std)
        return answer


class SupervisedBackbone(Backbone):
    """Give the maps of a network that classifies; with `color` it sees the picture as it was trained to.

    Args:
        name: in `SUPERVISED`.
        path: its weight file.
        size: side of the pictures in pixels.
        variant: what it sees.
        layers: names of the maps; all where empty.

    Raises:
        UsageError: The file is not such a state dict.
    """

    def __init__(self, name: str, path: Path, size: int, variant: Input, layers: Sequence[str] = ()) -> None:
        self.declared = SUPERVISED[name].layers
        super().__init__(Features(load_features(name, path)), size, Input.gray, layers)
        self.variant = variant

    def show(self, lab: Tensor) -> None:
        """Let the network see pictures in its own colours, or in grey."""
        assert isinstance(self.method, Features)
        seen = lab if self.variant is Input.color else torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1)
        self.method.see(seen)


def load_features(name: str, path: Path) -> nn.Module:
    """Build the convolutions of a network of torchvision with the weights in a file."""
    state = read_state(path)
    with torch.device("meta"):
        network: nn.Module = getattr(models, name)()
    check_state(state, network, f"{path.name} does not hold {name}")
    network.load_state_dict(state, assign=True)
    features: nn.Module = network.get_submodule("features")
    return features


def find_supervised() -> tuple[dict[str, Path], list[str]]:
    """Return the weight files that are on this machine, by network, and what to say of the others."""
    found: dict[str, Path] = {}
    told: list[str] = []
    for name, network in SUPERVISED.items():
        try:
            found[name] = find_weights(network.file, download=False)
        except WeightsMissingError as error:
            told.append(f"supervised {name} is left out: {error}")
    return found, told
