"""The networks of the track for pictures of 64 x 64 pixels: a plain one and a U-Net that is the same with skips."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.losses.ab_bins import ab_bins, annealed_mean
from lightning_modules.networks.cells import BinNetwork, CellNetwork
from lightning_modules.networks.eccv16 import AB_SCALE
from lightning_modules.networks.width import scaled


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return two 3 x 3 convolutions, the first with `stride`, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for step in (stride, 1):
        layers += [nn.Conv2d(inputs, outputs, 3, step, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers)


class TinyTrunk(CellNetwork):
    """Answer `outputs` channels for each cell of 2 x 2 pixels: down to an eighth of the side, and up to half of it.

    With skips, what a way up brings is joined by what the way down had at the same size; nothing else differs.

    Convention:
        The track is this suite's own: it follows a report on 64 x 64 pictures whose source is not confirmed, and which
        is known by the names of its five methods alone. Sizes and layers are chosen here, for a small budget.

    Args:
        outputs: channels of the last layer, a 1 x 1 convolution, whatever the width.
        width: multiplies the channel counts, 1 is the full size.
        skips: whether it is a U-Net.
    """

    cell: ClassVar[int] = 2

    def __init__(self, outputs: int, width: float, *, skips: bool) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        self.skips = skips
        self.down1 = _block(1, c64)
        self.down2 = _block(c64, c128, stride=2)
        self.down3 = _block(c128, c256, stride=2)
        self.down4 = _block(c256, c512, stride=2)
        self.up3 = _block(c512 + (c256 if skips else 0), c256)
        self.up2 = _block(c256 + (c128 if skips else 0), c128)
        self.last = nn.Conv2d(c128, outputs, 1)

    def forward(self, light: Tensor) -> Tensor:
        """Return what the last layer gives.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size; 64 x 64 is what it is made for.

        Returns:
            (B, outputs, ceil(H / 2), ceil(W / 2)); a cell speaks for its 2 x 2 pixels, counted from the top left.
        """
        half = self.down2(self.down1((light - 50) / 100))
        quarter = self.down3(half)
        features = self.up3(self._joined(self.down4(quarter), quarter))
        features = self.up2(self._joined(features, half))
        answer: Tensor = self.last(features)
        return answer

    def _joined(self, features: Tensor, skip: Tensor) -> Tensor:
        """Return features at the size of `skip`, their pixels repeated, and `skip` beside them in a U-Net."""
        larger = functional.interpolate(features, skip.shape[-2:])
        return torch.cat([larger, skip], dim=1) if self.skips else larger


class TinyBinTrunk(TinyTrunk, BinNetwork):
    """Give each cell of 2 x 2 pixels a distribution over the 313 bins of `ab_bins`, as logits."""

    bins: Tensor

    def __init__(self, width: float, *, skips: bool) -> None:
        bins = ab_bins()
        super().__init__(len(bins), width, skips=skips)
        self.register_buffer("bins", bins, persistent=False)

    def decode(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the annealed mean of the bins, as (B, 2, h, w) a* and b* in CIE units."""
        return annealed_mean(logits, self.bins, temperature)


class TinyCnn(TinyBinTrunk):
    """Classify cells by the plain network.

    Args:
        width: multiplies the channel counts, 1 is the full size; the 313 outputs stay.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, skips=False)


class TinyUNet(TinyBinTrunk):
    """Classify cells by the U-Net.

    Args:
        width: multiplies the channel counts, 1 is the full size; the 313 outputs stay.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, skips=True)


class TinyRegressionCnn(TinyTrunk):
    """Give each cell of 2 x 2 pixels one chroma: the plain network with two outputs in place of the 313.

    The last layer begins small, so that the first answers are near grey.

    Args:
        width: multiplies the channel counts, 1 is the full size; the 2 outputs stay.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(2, width, skips=False)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.get_parameter("last.bias"))

    def forward(self, light: Tensor) -> Tensor:
        """Return the chroma of the cells, (B, 2, ceil(H / 2), ceil(W / 2)) float32 or wider, in CIE units."""
        return super().forward(light).float() * AB_SCALE
