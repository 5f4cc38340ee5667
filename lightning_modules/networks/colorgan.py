"""The networks of Nazeri, Ng and Ebrahimi, Image Colorization Using Generative Adversarial Networks, 2018."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from datamodules.color import lab_to_rgb
from lightning_modules.networks.width import scaled

SLOPE = 0.2
"""Of the leaky ReLUs."""

EPSILON = 1e-3
"""That is added to variances: what the authors' framework takes."""

DROPOUT = 0.5
JUDGE = ((64, 2), (128, 2), (256, 2), (512, 1))
"""Channels and strides of the discriminator's convolutions, the last left out."""

Shape = Literal["places365", "cifar10"]


@dataclass(frozen=True, slots=True)
class Layers:
    """List the convolutions of a generator.

    Attributes:
        encoder: channels and strides.
        decoder: channels of the transposed convolutions, all of stride 2.
        dropped: how many of these, the first, are followed by dropout.
    """

    encoder: tuple[tuple[int, int], ...]
    decoder: tuple[int, ...]
    dropped: int = 0


SHAPES: Mapping[Shape, Layers] = MappingProxyType(
    {
        "places365": Layers(
            ((64, 1), (64, 2), (128, 2), (256, 2), (512, 2), (512, 2), (512, 2), (512, 2)),
            (512, 512, 512, 256, 128, 64, 64),
        ),
        "cifar10": Layers(((64, 1), (128, 2), (256, 2), (512, 2), (512, 2)), (512, 256, 128, 64), dropped=2),
    }
)
"""The two published generators: for pictures of 256 and of 32 pixels."""


class PictureNorm(nn.BatchNorm2d):
    """Normalise by the statistics of the batch in training, and by those of each picture alone otherwise.

    Convention:
        The authors' program never uses running statistics; it colours one picture at a time by the statistics of that
        picture. Taking each picture's own, an answer has nothing to do with the other pictures of its batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPSILON, track_running_stats=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, channels, H, W) features of mean 0 and variance 1, scaled and shifted as was learned."""
        if self.training:
            return super().forward(features)
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0, keepdim=True)
        scale = self.weight[:, None, None] * (variance + self.eps).rsqrt()
        return ((features - mean) * scale + self.bias[:, None, None]).to(features.dtype)


def _convolution(inputs: int, outputs: int, stride: int, *, norm: bool = True) -> nn.Sequential:
    """Return a 4 x 4 convolution whose output has 1 / stride of the pixels, rounded up, and a leaky ReLU."""
    layers = [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(inputs, outputs, 4, stride)]
    return nn.Sequential(*layers, *([PictureNorm(outputs)] if norm else []), nn.LeakyReLU(SLOPE, inplace=True))


def _transposed(inputs: int, outputs: int, *, drop: bool) -> nn.Sequential:
    """Return a 4 x 4 transposed convolution of stride 2 and a ReLU, with or without dropout."""
    layers = [nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), PictureNorm(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *([nn.Dropout(DROPOUT)] if drop else []))


def _initialise(network: nn.Module) -> None:
    """Draw all weights from a normal distribution of variance 1 / fan-in, cut off at two standard deviations."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            spread = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=spread, a=-2 * spread, b=2 * spread)
            nn.init.zeros_(layer.bias)


def gray_levels(light: Tensor) -> Tensor:
    """Return the level, in [0, 255], of the grey that has this light, (B, 1, H, W) L* in [0, 100]."""
    neutral = light.new_zeros(len(light), 2, *light.shape[-2:])
    return lab_to_rgb(torch.cat((light, neutral), dim=1))[:, :1] * 255


class ColorGanGenerator(nn.Module):
    """Answer the whole L*a*b* picture, by a U-Net of 4 x 4 convolutions.

    Convention:
        Norm and activation follow each convolution, then dropout, then what comes from the encoder is put before it.
        Maps of odd size are cut to the encoder's, where the authors' network takes multiples of its stride alone. Their
        code turns dropout off in training, too, by a comparison that never holds; here it works as their lists have it.

    Args:
        width: multiplies the channel counts, 1 is the published size; the three channels of the answer stay.
        shape: `places365`, published for 256 pixels, or `cifar10`, for small pictures.

    Source:
        `src/networks.py`, `src/models.py` and `src/ops.py` in the authors' repository.
    """

    def __init__(self, width: float = 1.0, shape: Shape = "places365") -> None:
        super().__init__()
        layers = SHAPES[shape]
        down = [1, *(scaled(channels, width) for channels, _ in layers.encoder)]
        strides = [stride for _, stride in layers.encoder]
        self.encoder = nn.ModuleList(map(_convolution, down, down[1:], strides))
        decoder, inputs = [], down[-1]
        for number, (channels, beside) in enumerate(zip(layers.decoder, down[-2:0:-1], strict=True)):
            outputs = scaled(channels, width)
            decoder.append(_transposed(inputs, outputs, drop=number < layers.dropped))
            inputs = beside + outputs
        self.decoder = nn.ModuleList(decoder)
        self.last = nn.Conv2d(inputs, 3, 1)
        _initialise(self)

    def forward(self, light: Tensor) -> Tensor:
        """Return L*, a* and b* on the tanh's scale.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, 3, H, W) float32 in [-1, 1]; see `lab_scale`.
        """
        features, passed = gray_levels(light), []
        for layer in self.encoder:
            features = layer(features)
            passed.append(features)
        for layer, beside in zip(self.decoder, passed[-2::-1], strict=True):
            height, width = beside.shape[-2:]
            features = torch.cat((beside, layer(features)[:, :, :height, :width]), dim=1)
        answer: Tensor = self.last(features).float().tanh()
        return answer


class ColorGanDiscriminator(nn.Module):
    """Answer for each patch of a picture, seen with its grey, whether its colours are real, as logits.

    Args:
        width: multiplies the channel counts, 1 is the published size; the one channel of the answer stays.

    Source:
        As for `ColorGanGenerator`. Grey has the levels 0 to 255 there, colours are in [-1, 1]; no norm evens that out.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [4, *(scaled(count, width) for count, _ in JUDGE)]
        blocks = [
            _convolution(channels[number], channels[number + 1], stride, norm=number > 0)
            for number, (_, stride) in enumerate(JUDGE)
        ]
        self.layers = nn.Sequential(*blocks, nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(channels[-1], 1, 4))
        _initialise(self)

    def forward(self, light: Tensor, lab: Tensor) -> Tensor:
        """Return logits, (B, 1, h, w) with an eighth of the pixels an axis, rounded up.

        Args:
            light: (B, 1, H, W), L* in [0, 100], that the picture was made from.
            lab: (B, 3, H, W) on the generator's scale.
        """
        answer: Tensor = self.layers(torch.cat((gray_levels(light), lab), dim=1))
        return answer
