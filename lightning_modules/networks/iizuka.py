"""The network of Iizuka, Simo-Serra and Ishikawa, Let there be Color!, SIGGRAPH 2016."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.output_space import CHANNELS, Space, decode
from lightning_modules.networks.width import scaled

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
        Batch norm and ReLU follow each convolution but the last, ReLU the dense layers but the logits. That holds for
        the fusion layer too, whose equation in the paper has a transfer function sigma and no batch norm. The release
        takes the mean grey of its training set from the picture, a figure that was never printed; here it is L* 50.

    Args:
        width: multiplies channel and feature counts, 1 is the published size; colours and classes stay.
        classes: of scenes; the published network knows the 205 of Places.
        global_size: side in pixels of the picture that the global branch sees; 224 as published.
        global_branch: without it, an ablation of the paper, colours follow from the middle level alone, and no scene is
            named.
        space: what the colours are predicted in: `lab` as published, or `yuv` or `rgb`, which the paper compares.

    Source:
        Iizuka et al. 2016, table 1 and section 3.
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 205,
        global_size: int = 224,
        global_branch: bool = True,
        space: Space = "lab",
    ) -> None:
        super().__init__()
        c32, c64, c128, c256, c512 = (scaled(channels, width) for channels in (32, 64, 128, 256, 512))
        self.classes = classes
        self.global_size = global_size
        self.global_branch = global_branch
        self.space: Space = space
        self.low = _convolutions(1, (c64, 2), (c128, 1), (c128, 2), (c256, 1), (c256, 2), (c512, 1))
        self.middle = _convolutions(c512, (c512, 1), (c256, 1))
        if global_branch:
            self._add_global_branch(width)
        self.fusion = _convolution(c256 + c256 if global_branch else c256, c256, kernel=1)
        self.color = nn.Sequential(
            _convolution(c256, c128),
            nn.Upsample(scale_factor=2),
            _convolution(c128, c64),
            _convolution(c64, c64),
            nn.Upsample(scale_factor=2),
            _convolution(c64, c32),
            nn.Conv2d(c32, CHANNELS[space], 3, padding=1),
            nn.Sigmoid(),
            nn.Upsample(scale_factor=2),
        )

    def _add_global_branch(self, width: float) -> None:
        c256, c512, c1024 = (scaled(channels, width) for channels in (256, 512, 1024))
        self.whole = _convolutions(c512, (c512, 2), (c512, 1), (c512, 2), (c512, 1))
        side = -(-self.global_size // (4 * STRIDE))
        self.scene = nn.Sequential(_dense(c512 * side**2, c1024), _dense(c1024, c512))
        self.summary = _dense(c512, c256)
        self.classifier = nn.Sequential(_dense(c512, c256), nn.Linear(c256, self.classes))

    def forward(self, light: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return chroma and scene logits.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, 2, H, W) a* and b* in CIE units, in `lab` within -100 and 100, and (B, classes) logits; no logits
            without the global branch.
        """
        answer, logits = self.answer(light)
        return decode(self.space, light, answer), logits

    def answer(self, light: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the sigmoid gives, (B, channels of `space`, H, W) float32 in [0, 1], and the scene logits."""
        size = light.shape[-2:]
        picture = (light - 50) / 100
        local = _resize(picture, [max(STRIDE, round(side / STRIDE) * STRIDE) for side in size])
        low = self.low(local)
        features, logits = self.middle(low), None
        if self.global_branch:
            thumbnail = _resize(picture, (self.global_size, self.global_size))
            scene = self.see_whole(low if local.shape == thumbnail.shape else self.low(thumbnail))
            everywhere = self.summary(scene)[:, :, None, None].expand(-1, -1, *low.shape[-2:])
            features, logits = torch.cat([everywhere, features], dim=1), self.classifier(scene)
        answer = self.color(self.fusion(features)).float()
        return functional.interpolate(answer, size, mode="bilinear", align_corners=False), logits

    def see_whole(self, low: Tensor) -> Tensor:
        """Return the features of the whole picture that colours and scene follow from."""
        features: Tensor = self.scene(self.whole(low).flatten(1))
        return features
