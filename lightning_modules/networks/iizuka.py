"""The network of Iizuka, Simo-Serra and Ishikawa, Let there be Color!, SIGGRAPH 2016."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.width import scaled

AB_SCALE = 100.0
"""A sigmoid of 0 and of 1 stands for a chroma of minus and plus this, in CIE units."""

STRIDE = 8
"""Pixels of the picture that one cell of the low-level features covers, per axis."""


def _convolution(inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _convolutions(inputs: int, *layers: tuple[int, int]) -> nn.Sequential:
    """Return 3 x 3 convolutions of (outputs, stride), each with batch norm and ReLU."""
    blocks = []
    for outputs, stride in layers:
        blocks.append(_convolution(inputs, outputs, stride=stride))
        inputs = outputs
    return nn.Sequential(*blocks)


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(inplace=True))


def _resize(light: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(light.shape[-2:]) == tuple(size):
        return light
    return functional.interpolate(light, tuple(size), mode="bilinear", align_corners=False, antialias=True)


class IizukaNet(nn.Module):
    """Colour a picture from features of its places and of its whole, and say what scene it is.

    The local branch works at the picture's size, rounded to multiples of 8, the global one on the picture stretched to
    `global_size`; both begin with the same low-level layers. They are computed once where the two sizes agree.

    Convention:
        Batch norm and ReLU follow each convolution but the last, ReLU the dense layers but the logits. The release
        takes the mean grey of its training set from the picture, a figure that was never printed; here it is L* 50.

    Args:
        width: multiplies channel and feature counts, 1 is the published size; chroma and classes stay.
        classes: of scenes; the published network knows the 205 of Places.
        global_size: side in pixels of the picture that the global branch sees; 224 as published.

    Source:
        Iizuka et al. 2016, table 1 and section 3.
    """

    def __init__(self, width: float = 1.0, classes: int = 205, global_size: int = 224) -> None:
        super().__init__()
        c32, c64, c128, c256, c512, c1024 = (scaled(channels, width) for channels in (32, 64, 128, 256, 512, 1024))
        self.classes = classes
        self.global_size = global_size
        self.low = _convolutions(1, (c64, 2), (c128, 1), (c128, 2), (c256, 1), (c256, 2), (c512, 1))
        self.middle = _convolutions(c512, (c512, 1), (c256, 1))
        self.whole = _convolutions(c512, (c512, 2), (c512, 1), (c512, 2), (c512, 1))
        side = -(-global_size // (4 * STRIDE))
        self.scene = nn.Sequential(_dense(c512 * side**2, c1024), _dense(c1024, c512))
        self.summary = _dense(c512, c256)
        self.classifier = nn.Sequential(_dense(c512, c256), nn.Linear(c256, classes))
        self.fusion = _convolution(c256 + c256, c256, kernel=1)
        self.color = nn.Sequential(
            _convolution(c256, c128),
            nn.Upsample(scale_factor=2),
            _convolution(c128, c64),
            _convolution(c64, c64),
            nn.Upsample(scale_factor=2),
            _convolution(c64, c32),
            nn.Conv2d(c32, 2, 3, padding=1),
            nn.Sigmoid(),
            nn.Upsample(scale_factor=2),
        )

    def forward(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Return chroma and scene logits.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, 2, H, W) a* and b* in CIE units, within -100 and 100, and (B, classes) logits.
        """
        size = light.shape[-2:]
        picture = (light - 50) / 100
        local = _resize(picture, [max(STRIDE, round(side / STRIDE) * STRIDE) for side in size])
        thumbnail = _resize(picture, (self.global_size, self.global_size))
        low = self.low(local)
        shared = low if local.shape == thumbnail.shape else self.low(thumbnail)
        scene = self.scene(self.whole(shared).flatten(1))
        everywhere = self.summary(scene)[:, :, None, None].expand(-1, -1, *low.shape[-2:])
        color = self.color(self.fusion(torch.cat([everywhere, self.middle(low)], dim=1)))
        chroma = functional.interpolate((2 * color.float() - 1) * AB_SCALE, size, mode="bilinear", align_corners=False)
        return chroma, self.classifier(scene)
