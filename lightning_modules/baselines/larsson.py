"""Colorization by histograms of hue and chroma from hypercolumns, after Larsson et al., ECCV 2016."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from datamodules.color import lab_to_rgb, rgb_to_lab
from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.adversarial import RATE_RATIO
from lightning_modules.base import Colorizer
from lightning_modules.losses.hue_chroma import HueChromaLoss, mean_hue, median, to_rgb
from lightning_modules.networks.larsson import LarssonNet
from lightning_modules.networks.output_space import gray_of


class LarssonColorizer(Colorizer):
    """Predict histograms of hue and chroma of each pixel; colour by the mean hue and the median chroma.

    In training a few pixels of each picture are drawn, and the network answers at these alone. They come from torch's
    generator, as dropout does.

    Convention:
        The authors' grey is the mean of red, green and blue; here it is the grey that has the given L*, from which all
        methods start. The release draws pixels from the middle of its pictures, here they come from all over.

    Args:
        network: answers with two histograms.
        samples: pixels of a picture that are learnt from in a step.
        hue_weight: of the hue in the loss, `HueChromaLoss`.
        window: odd side in pixels of the square whose colours are predicted; 1 in the paper, 7 in the release.
        fade_ends: whether chroma counts less near black and white, as in the release.
        optimizer: `sgd` with momentum, as published, or `adam`. Biases do not decay; `sgd` gives them twice the rate.
        weight_decay: of `sgd`.
        learning_rate: of the weights.
        input_size: side in pixels that light is resized to; None keeps its size.

    Source:
        Larsson et al. 2016, section 3; solver_vgg16.prototxt in the authors' repository.
    """

    def __init__(
        self,
        *,
        network: LarssonNet,
        samples: int = 128,
        hue_weight: float = 5.0,
        window: int = 1,
        fade_ends: bool = False,
        optimizer: Literal["sgd", "adam"] = "sgd",
        weight_decay: float = 5e-4,
        learning_rate: float = 1e-3,
        input_size: int | None = 256,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.network = network
        self.samples = samples
        self.objective = HueChromaLoss(hue_weight, window, fade_ends)
        self.optimizer = optimizer
        self.weight_decay = weight_decay

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return the convolutions; `fc6`, `fc7` and what follows begin from random weights."""
        return {"vgg16": self.network.trunk}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the colours of mean hue and median chroma, faded where the hues contradict each other."""
        lightness = gray_of(gray.light)
        hues, chromas = self.network(lightness)
        hue, fading = mean_hue(hues)
        return rgb_to_lab(to_rgb(lightness.float(), hue, median(chromas) * fading))[:, 1:]

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return `loss` and its parts `hue`, weighted by chroma, and `chroma`, both in nat."""
        gray = gray_of(batch.gray.light)
        rgb = lab_to_rgb(torch.cat((batch.gray.light, batch.chroma), dim=1)).clamp(0, 1)
        places = self.places(batch)
        whole, hue, chroma = self.objective(self.network.at(gray, places), gray, rgb, places)
        return {"loss": whole, "hue": hue, "chroma": chroma}

    def places(self, batch: ColorBatch) -> Tensor:
        """Return row and column of the pixels of a step's pixels, (B, samples, 2) int64; validation's never change."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        size = torch.tensor(batch.gray.light.shape[-2:])
        drawn = torch.rand(len(batch), self.samples, 2, generator=generator)
        return (drawn * size).long().to(batch.gray.light.device)

    def configure_optimizers(self) -> Any:
        """Return the optimiser of all parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        weights = {"params": [each for each in self.parameters() if each.ndim > 1], "weight_decay": self.weight_decay}
        biases = {"params": [each for each in self.parameters() if each.ndim == 1], RATE_RATIO: 2.0}
        return torch.optim.SGD([weights, biases], lr=self.learning_rate, momentum=0.9)
