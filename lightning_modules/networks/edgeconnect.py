"""The two generators of EdgeConnect: lines first, colour next; Nazeri, Ng, Joseph, Qureshi and Ebrahimi 2019."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

from lightning_modules.networks.width import scaled

BLOCKS = 8
"""Residual blocks in the middle of a generator."""

DILATION = 2
"""Of the first convolution of each block."""

CELL = 4
"""Pixels of the picture, per axis, that share one place in the middle of a generator."""

LEAST_SIDE = 12
"""Pixels of the smallest picture that the layers take: the middle must be wider than the reflection around it."""

INITIAL_DEVIATION = 0.02


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d, spectral: bool) -> nn.Module:
    """Draw the weights of a convolution as the authors do, and divide them by their spectral norm if asked to."""
    nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if spectral else layer


def _normalised(layer: nn.Conv2d | nn.ConvTranspose2d, spectral: bool) -> list[nn.Module]:
    """Return a convolution with instance norm and ReLU."""
    return [_convolution(layer, spectral), nn.InstanceNorm2d(layer.out_channels), nn.ReLU(inplace=True)]


class ResidualBlock(nn.Module):
    """Add to its input what two 3 x 3 convolutions make of it, the first one dilated; no ReLU follows the sum.

    Args:
        channels: in and out.
        spectral: divide weights by their spectral norm, and have no biases.
    """

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        first = nn.Conv2d(channels, channels, 3, dilation=DILATION, bias=not spectral)
        second = nn.Conv2d(channels, channels, 3, bias=not spectral)
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(DILATION),
            *_normalised(first, spectral),
            nn.ReflectionPad2d(1),
            _convolution(second, spectral),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        added: Tensor = self.conv_block(features)
        return features + added


class Generator(nn.Module):
    """Hold the layers that both generators share: two halvings, eight residual blocks, two doublings.

    The keys of the state dict are those of the authors' release.

    Convention:
        The authors' networks want sides that are multiples of 4. Here the last row and column of other pictures, and of
        those under 12 pixels, are repeated up to such a side, and the answer is cut to the picture's size.

    Args:
        in_channels: of the picture.
        out_channels: of the answer.
        width: multiplies the channel counts between them, 1 is the published size.
        spectral: divide the weights of all convolutions but the last by their spectral norm.

    Source:
        Nazeri et al. 2019; `src/networks.py` of github.com/knazeri/edge-connect for biases, paddings and which weights
        are divided by their norm.
    """

    def __init__(self, in_channels: int, out_channels: int, width: float, spectral: bool) -> None:
        super().__init__()
        c64, c128, c256 = (scaled(channels, width) for channels in (64, 128, 256))
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normalised(nn.Conv2d(in_channels, c64, 7), spectral),
            *_normalised(nn.Conv2d(c64, c128, 4, stride=2, padding=1), spectral),
            *_normalised(nn.Conv2d(c128, c256, 4, stride=2, padding=1), spectral),
        )
        self.middle = nn.Sequential(*(ResidualBlock(c256, spectral) for _ in range(BLOCKS)))
        self.decoder = nn.Sequential(
            *_normalised(nn.ConvTranspose2d(c256, c128, 4, stride=2, padding=1), spectral),
            *_normalised(nn.ConvTranspose2d(c128, c64, 4, stride=2, padding=1), spectral),
            nn.ReflectionPad2d(3),
            _convolution(nn.Conv2d(c64, out_channels, 7), spectral=False),
        )

    def answer(self, picture: Tensor) -> Tensor:
        """Return what the last convolution gives, float32 or wider, for a (B, in_channels, H, W) picture."""
        height, width = picture.shape[-2:]
        down, right = (max(LEAST_SIDE, -(-side // CELL) * CELL) - side for side in (height, width))
        whole = functional.pad(picture, (0, right, 0, down), mode="replicate") if down or right else picture
        features = self.decoder(self.middle(self.encoder(whole)))
        answer: Tensor = features[:, :, :height, :width]
        return answer if answer.dtype == torch.float64 else answer.float()


class EdgeGenerator(Generator):
    """Draw the lines of a picture from what is known of it.

    Args:
        in_channels: 3 as published: grey picture, its known edges, and a mask of what is missing.
        width: multiplies the channel counts, 1 is the published size; the one output stays.
    """

    def __init__(self, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__(in_channels, 1, width, spectral=True)

    def forward(self, known: Tensor) -> Tensor:
        """Return (B, 1, H, W) in [0, 1], 1 for an edge, of a (B, in_channels, H, W) picture with values in [0, 1]."""
        return self.answer(known).sigmoid()


class CompletionGenerator(Generator):
    """Fill what is missing in a picture whose lines are known.

    Args:
        in_channels: 4 as published: RGB of what is known, and the edges of all.
        out_channels: 3 as published: RGB.
        width: multiplies the channel counts, 1 is the published size; the outputs stay.
    """

    def __init__(self, in_channels: int = 4, out_channels: int = 3, width: float = 1.0) -> None:
        super().__init__(in_channels, out_channels, width, spectral=False)

    def forward(self, known: Tensor) -> Tensor:
        """Return (B, out_channels, H, W) in [0, 1] of a (B, in_channels, H, W) picture with values in [0, 1]."""
        return (self.answer(known).tanh() + 1) / 2
