"""The convolutions of VGG, under torchvision's names, for methods that build on ImageNet weights."""

from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from lightning_modules.networks.width import scaled

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


@dataclass(frozen=True, slots=True)
class Plan:
    """Say which convolutions a VGG has.

    Attributes:
        blocks: channels of the convolutions of each block; all are 3 x 3, and each block but the first begins behind a
            max pooling.
    """

    blocks: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Return the numbers that torchvision's `features` gives the convolutions, by block: 0, 2, 5, 7, 10, ..."""
        names, place = [], 0
        for block in self.blocks:
            names.append(tuple(str(place + 2 * number) for number in range(len(block))))
            place += 2 * len(block) + 1
        return tuple(names)

    @property
    def after_pooling(self) -> frozenset[str]:
        """Return the names of the convolutions that see what a max pooling gives."""
        return frozenset(names[0] for names in self.names[1:])

    def up_to(self, blocks: int) -> "Plan":
        """Return the plan of the first few blocks."""
        return Plan(self.blocks[:blocks])


VGG16 = Plan(((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)))
"""Source: Simonyan and Zisserman 2015, configuration D."""


def convolutions(plan: Plan, *, inputs: int = 3, width: float = 1.0) -> nn.ModuleDict:
    """Return the convolutions of a VGG by their names in torchvision's `features`, with He et al.'s first weights.

    Args:
        plan: which VGG.
        inputs: channels that the first one sees.
        width: multiplies the channel counts.
    """
    layers = nn.ModuleDict()
    for names, block in zip(plan.names, plan.blocks, strict=True):
        for name, channels in zip(names, block, strict=True):
            outputs = scaled(channels, width)
            layers[name] = keep_variance(nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
    return layers


def keep_variance(layer: Layer) -> Layer:
    """Draw the weights of a layer before a ReLU as He et al. 2015 do, without offset, and return it."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
