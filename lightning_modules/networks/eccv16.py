"""The classification network of Zhang, Isola and Efros, Colorful Image Colorization, ECCV 2016."""

import math

import torch
from torch import Tensor, nn

from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.networks.width import scaled

AB_SCALE = 110.0
"""The released network gives chroma in units of 110."""


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


class Eccv16Net(nn.Module):
    """Give each cell of 4 x 4 pixels a distribution over the 313 bins of `ab_bins`.

    The keys of the state dict are those of the released PyTorch network. Its last layer, `model_out`, holds the centres
    of the bins and is not trained. Weights begin as He et al. 2015 (equation 10) would have them, which stands in for
    the authors' initialisation from k-means on photos.

    Args:
        width: multiplies the channel counts, 1 is the published size; the 313 outputs stay.

    Source:
        Zhang et al. 2016, table 4; github.com/richzhang/colorization for the order of ReLU and batch norm.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        bins = ab_bins()
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
            nn.Conv2d(c256, len(bins), 1),
        )
        _keep_variance(self)
        self.model_out = nn.Conv2d(len(bins), 2, 1, bias=False)
        self.model_out.weight = nn.Parameter((bins.T / AB_SCALE)[:, :, None, None].clone(), requires_grad=False)

    def forward(self, light: Tensor) -> Tensor:
        """Return the logits of the bins.

        Args:
            light: (B, 1, H, W), L* in [0, 100], of any size.

        Returns:
            (B, 313, ceil(H / 4), ceil(W / 4)); a cell speaks for its 4 x 4 pixels, counted from the top left.
        """
        features = (light - 50) / 100
        for block in (self.model1, self.model2, self.model3, self.model4):
            features = block(features)
        for block in (self.model5, self.model6, self.model7, self.model8):
            features = block(features)
        rows, columns = (-(-side // 4) for side in light.shape[-2:])
        return features[:, :, :rows, :columns]

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
        share = (logits.float() / temperature).softmax(dim=1)
        chroma: Tensor = torch.einsum("bqhw,cq->bchw", share, self.model_out.weight[:, :, 0, 0].float())
        return chroma * AB_SCALE
