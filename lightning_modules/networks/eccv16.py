"""The networks of Zhang, Isola and Efros, Colorful Image Colorization, ECCV 2016: classification and regression."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from lightning_modules.losses.ab_bins import ab_bins, annealed_mean
from lightning_modules.networks.cells import BinNetwork, CellNetwork
from lightning_modules.networks.width import scaled

AB_SCALE = 110.0
"""The released network gives chroma in units of 110."""

CELL = 4
"""Pixels of the picture, per axis, that share one answer."""

LAST = ("model8.6.weight", "model8.6.bias")
"""Keys of the last convolution: 313 outputs for classification, 2 for regression."""

CENTRES = "model_out.weight"
"""Key of the centres of the bins, which only a network that classifies has."""


def _block(inputs: int, outputs: int, *, convolutions: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return 3 x 3 convolutions with ReLU, the last with `stride`, and one batch norm at the end."""
    layers: list[nn.Module] = []
    for number in range(convolutions):
        step = stride if number == convolutions - 1 else 1
        layers += [nn.Conv2d(inputs, outputs, 3, step, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs))


def _keep_variance(network: nn.Module) -> None:
    """Draw the weights of all convolutions so that the variance of activations stays from layer to layer."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            cells = layer.kernel_size[0] * layer.kernel_size[1]
            if isinstance(layer, nn.ConvTranspose2d):
                cells //= layer.stride[0] * layer.stride[1]
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (layer.in_channels * cells)))
            nn.init.zeros_(layer.bias)


class Eccv16Trunk(CellNetwork):
    """Answer `outputs` channels for each cell of 4 x 4 pixels: all layers that the networks of the paper share.

    Weights begin as He et al. 2015 (equation 10) would have them, which stands in for the authors' initialisation from
    k-means on photos.

    Args:
        outputs: channels of the last layer, a 1 x 1 convolution, whatever the width.
        width: multiplies the channel counts, 1 is the published size.

    Source:
        Zhang et al. 2016, table 4; github.com/richzhang/colorization for the order of ReLU and batch norm.
    """

    cell: ClassVar[int] = CELL

    def __init__(self, outputs: int, width: float) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        self.model1 = _block(1, c64, convolutions=2, stride=2)
        self.model2 = _block(c64, c128, convolutions=2, stride=2)
        self.model3 = _block(c128, c256, convolutions=3, stride=2)
        self.model4 = _block(c256, c512, convolutions=3)
        self.model5 = _block(c512, c512, convolutions=3, dilation=2)
        self.model6 = _block(c512, c512, convolutions=3, dilation=2)
        self.model7 = _block(c512, c512, convolutions=3)
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(c512, c256, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c256, c256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c256, c256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c256, outputs, 1),
        )
        _keep_variance(self)

    def forward(self, light: Tensor) -> Tensor:
        """Return what the last layer gives.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, outputs, ceil(H / 4), ceil(W / 4)); a cell speaks for its 4 x 4 pixels, counted from the top left.
        """
        features = (light - 50) / 100
        for block in (self.model1, self.model2, self.model3, self.model4):
            features = block(features)
        for block in (self.model5, self.model6, self.model7, self.model8):
            features = block(features)
        rows, columns = (-(-side // CELL) for side in light.shape[-2:])
        return features[:, :, :rows, :columns]


class Eccv16Net(Eccv16Trunk, BinNetwork):
    """Give each cell of 4 x 4 pixels a distribution over the 313 bins of `ab_bins`, as logits.

    The keys of the state dict are those of the released PyTorch network. Its last layer, `model_out`, holds the centres
    of the bins and is not trained.

    Args:
        width: multiplies the channel counts, 1 is the published size; the 313 outputs stay.
    """

    def __init__(self, width: float = 1.0) -> None:
        bins = ab_bins()
        super().__init__(len(bins), width)
        self.model_out = nn.Conv2d(len(bins), 2, 1, bias=False)
        self.model_out.weight = nn.Parameter((bins.T / AB_SCALE)[:, :, None, None].clone(), requires_grad=False)

    def decode(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the annealed mean of the bins.

        Convention:
            At 1 it is the mean that the released network gives, near 0 the mode; the paper takes 0.38.

        Args:
            logits: (B, 313, h, w).
            temperature: divides the logits, above 0.

        Returns:
            (B, 2, h, w) float32 or wider, a* and b* in CIE units.

        Source:
            Zhang et al. 2016, equation 5.
        """
        return annealed_mean(logits, self.model_out.weight[:, :, 0, 0].T, temperature) * AB_SCALE


class Eccv16RegressionNet(Eccv16Trunk):
    """Give each cell of 4 x 4 pixels one chroma: the same network with two outputs in place of the 313.

    The last layer begins small, so that the first answers are near grey.

    Args:
        width: multiplies the channel counts, 1 is the published size; the 2 outputs stay.

    Source:
        Zhang et al. 2016, section 2.1, equation 1, for the two outputs; nobody published weights of it.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(2, width)
        nn.init.normal_(self.get_parameter(LAST[0]), std=0.01)

    def forward(self, light: Tensor) -> Tensor:
        """Return the chroma of the cells.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, 2, ceil(H / 4), ceil(W / 4)) float32 or wider, a* and b* in CIE units.
        """
        return super().forward(light).float() * AB_SCALE

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load the state of this network, or the trunk of an `Eccv16Net`, beside which the last layer stays as it is.

        This is how a training of the regression begins from one of the classification (`train --init`).

        Raises:
            RuntimeError: With `strict`, names are missing or surplus, or shapes differ.
        """
        if CENTRES in state_dict:
            trunk = {key: value for key, value in state_dict.items() if key not in (*LAST, CENTRES)}
            state_dict = trunk | {key: value for key, value in self.state_dict().items() if key in LAST}
        return super().load_state_dict(state_dict, strict, assign)
