"""The network of Larsson, Maire and Shakhnarovich, Learning Representations for Automatic Colorization, ECCV 2016."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.vgg import VGG16, convolutions, keep_variance
from lightning_modules.networks.width import scaled

BINS = 32
"""Bins of the histogram of hue, and of that of chroma."""

MEAN, SPREAD = 0.4488, 0.226
"""What is taken from a grey in [0, 1], and what it is divided by, as ImageNet weights are used to."""

DENSE_STRIDE = 4
"""Pixels of the picture, per axis, that one hypercolumn of the dense network stands for."""


class LarssonNet(nn.Module):
    """Tell the distributions of hue and of chroma of a pixel from its hypercolumn: all layers of a VGG-16 at its place.

    The VGG-16 sees one channel, its first two dense layers are convolutions (7 x 7 and 1 x 1), the third is left out.
    A hypercolumn holds the grey itself and what the 13 convolutions, `fc6` and `fc7` answer there: 12 417 channels at
    the published size. One hidden layer follows, which hue and chroma share.

    Convention:
        Pooling rounds sizes up, as Caffe's does. The release takes 0.4488 from the mean of red, green and blue and no
        more; here the grey is that of the light, and is divided by 0.226 besides, since ImageNet weights come from
        torchvision, whose pictures are. In the paper those weights were trained for another epoch on grey photos.

    Args:
        width: multiplies channel counts, 1 is the published size; the two histograms keep their 32 bins.
        batch_norm: normalise after each convolution, without scale or offset, as the release's training from random
            weights does. Its published network has no such layers.
        dropout: chance that a channel of `fc6`, `fc7` and the hidden layer is left out in training.

    Source:
        Larsson et al. 2016, section 3 and figure 2; the prototxt files of github.com/gustavla/autocolorize.
    """

    def __init__(self, width: float = 1.0, batch_norm: bool = False, dropout: float = 0.5) -> None:
        super().__init__()
        c512, c1024, c4096 = (scaled(channels, width) for channels in (512, 1024, 4096))
        self.trunk = convolutions(VGG16, inputs=1, width=width)
        self.fc6 = keep_variance(nn.Conv2d(c512, c4096, 7, padding=3))
        self.fc7 = keep_variance(nn.Conv2d(c4096, c4096, 1))
        channels = [layer.out_channels for layer in self.modules() if isinstance(layer, nn.Conv2d)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(each, affine=False) for each in channels if batch_norm)
        self.dropout = nn.Dropout(dropout)
        self.hidden = keep_variance(nn.Linear(1 + sum(channels), c1024))
        self.hue = nn.Linear(c1024, BINS)
        self.chroma = nn.Linear(c1024, BINS)

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Return hue and chroma everywhere: the dense network of the release.

        Args:
            gray: (B, 1, H, W) sRGB grey in [0, 1], of any size.

        Returns:
            Two distributions, (B, 32, H, W) float32 or wider; the bins of a pixel add up to 1.

        Source:
            autocolorize.prototxt: layers are brought to a quarter of the size, by the mean where they are larger and
            bilinearly where they are smaller, and the distributions scaled up.
        """
        height, width = (-(-side // DENSE_STRIDE) for side in gray.shape[-2:])
        layers = [_dense(features, stride)[..., :height, :width] for stride, features in self.features(gray)]
        columns = torch.cat(layers, dim=1)
        hue, chroma = (logits.permute(0, 3, 1, 2) for logits in self.classify(columns.permute(0, 2, 3, 1)))
        return _shares(hue, gray), _shares(chroma, gray)

    def at(self, gray: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return hue and chroma at some pixels: the sparse network that is trained.

        Args:
            gray: (B, 1, H, W) sRGB grey in [0, 1].
            places: (B, N, 2) row and column of pixels.

        Returns:
            Two (B, N, 32) logits.

        Convention:
            A cell of a layer stands for the middle of the pixels under it, as in `forward`: cell 0 at stride 4 for 1.5.

        Source:
            `offset_height` and `offset_width` in caffe/README.rst; the released train_vgg16.prototxt leaves them out.
        """
        columns = [_sampled(features, (places - (stride - 1) / 2) / stride) for stride, features in self.features(gray)]
        return self.classify(torch.cat(columns, dim=-1))

    def classify(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of hue and of chroma, (..., 32) each, of (..., channels) hypercolumns."""
        hidden = self.dropout(functional.relu(self.hidden(columns)))
        return self.hue(hidden), self.chroma(hidden)

    def features(self, gray: Tensor) -> list[tuple[int, Tensor]]:
        """Return the layers that a hypercolumn goes through, the grey first, each with its stride in pixels."""
        signal, stride = (gray - MEAN) / SPREAD, 1
        layers = [(stride, signal)]
        for name, layer in self.trunk.items():
            if name in VGG16.after_pooling:
                signal, stride = functional.max_pool2d(signal, 2, ceil_mode=True), 2 * stride
            signal = self._activated(layer, signal, len(layers) - 1)
            layers.append((stride, signal))
        signal, stride = functional.max_pool2d(signal, 2, ceil_mode=True), 2 * stride
        for layer in (self.fc6, self.fc7):
            signal = self.dropout(self._activated(layer, signal, len(layers) - 1))
            layers.append((stride, signal))
        return layers

    def _activated(self, layer: nn.Module, signal: Tensor, number: int) -> Tensor:
        answer = layer(signal)
        return functional.relu(self.norms[number](answer) if self.norms else answer)


def _dense(features: Tensor, stride: int) -> Tensor:
    """Return features at the dense stride: means of blocks where theirs is smaller, bilinearly where it is larger."""
    if stride < DENSE_STRIDE:
        return functional.avg_pool2d(features, DENSE_STRIDE // stride, ceil_mode=True)
    return _enlarged(features, stride // DENSE_STRIDE)


def _enlarged(features: Tensor, factor: int) -> Tensor:
    return functional.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _sampled(features: Tensor, places: Tensor) -> Tensor:
    """Return (B, N, C) features at (B, N, 2) rows and columns between their own, bilinearly, the edge beyond it."""
    last = torch.tensor(features.shape[-2:], device=places.device) - 1
    grid = 2 * places / last.clamp(min=1) - 1
    found = functional.grid_sample(
        features.float(), grid[:, None].flip(-1).float(), padding_mode="border", align_corners=True
    )
    return found[:, :, 0].transpose(1, 2)


def _shares(logits: Tensor, gray: Tensor) -> Tensor:
    height, width = gray.shape[-2:]
    return _enlarged(logits.float().softmax(dim=1), DENSE_STRIDE)[..., :height, :width]
