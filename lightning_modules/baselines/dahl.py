"""Colorization by regression of U and V from the features of VGG-16, after Ryan Dahl, 2016."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.blurred import BlurredDistance
from lightning_modules.networks.dahl import DahlNet
from lightning_modules.networks.output_space import decode, encode, gray_of


class DahlColorizer(Colorizer):
    """Predict U and V by a residual encoder on VGG-16.

    Convention:
        The author blurs RGB and then takes U and V; since both are linear, U and V are blurred here. His grey is the
        mean of red, green and blue; here it is the grey that has the given L*, from which all methods start. How he
        brought U and V to [0, 1] is not known; here 0 and 1 are what sRGB reaches.

    Args:
        network: answers with U and V on [0, 1].
        optimizer: `sgd` without momentum, as published, or `adam`.
        learning_rate: 0.1 for `sgd`, about 1e-3 for `adam`.
        input_size: side in pixels that light is resized to; None keeps its size.

    Source:
        tinyclouds.org/colorize and the author's program, as far as copies and ports of it show it.
    """

    def __init__(
        self,
        *,
        network: DahlNet,
        optimizer: Literal["sgd", "adam"] = "sgd",
        learning_rate: float = 0.1,
        input_size: int | None = 224,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.network = network
        self.optimizer = optimizer
        self.distance = BlurredDistance()

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return the convolutions of VGG-16."""
        return {"vgg16": self.network.trunk}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the a* and b* that U and V have beside the grey."""
        return decode("yuv", gray.light.float(), self.network(gray_of(gray.light)))

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the distance of U and V, on [0, 1], as `loss`: the mean over pictures."""
        light = batch.gray.light
        answer = self.network(gray_of(light))
        return {"loss": self.distance(answer, encode("yuv", light, batch.chroma)).mean()}

    def configure_optimizers(self) -> Any:
        """Return plain descent or Adam over what is trained."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if self.optimizer == "adam":
            return torch.optim.Adam(trained, lr=self.learning_rate)
        return torch.optim.SGD(trained, lr=self.learning_rate)
