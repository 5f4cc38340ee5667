"""The residual encoder of Ryan Dahl, Automatic Colorization, 2016."""

from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.vgg import VGG16, convolutions
from lightning_modules.networks.width import scaled

LAYERS = VGG16.up_to(4)
"""What is used of VGG-16: all up to `conv4_3`."""

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R, G and B in [0, 1], as torchvision's ImageNet weights expect them."""


class DahlNet(nn.Module):
    """Answer with U and V: each block of a VGG-16 adds its features to what came up from the block below.

    `conv4_3` goes through a 1 x 1 convolution, and then, scaled up and added to the next larger block's last layer,
    through 3 x 3 convolutions with 256, 128, 64 and, beside the grey picture, 3 and 3 inputs; the last has a sigmoid.
    Batch norm is applied to what VGG-16 gives and stands behind every convolution in place of a bias.

    Convention:
        As in the author's code, known from a public copy of it: the grey picture is added less 0.5, and batch norm also
        follows the 1 x 1 convolution. Ports of the page (colornet, Automatic-Image-Colorization) agree on layers and
        channels, but have neither. The grey is what torchvision's weights expect; the author's VGG-16 came from Caffe.

    Args:
        width: multiplies the channel counts, 1 is the published size; 3 channels and U and V stay.
        freeze: leave the VGG-16 as it is loaded, as the author's program does.

    Source:
        tinyclouds.org/colorize; `color_encoder` in the author's program.
    """

    def __init__(self, width: float = 1.0, freeze: bool = True) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        self.trunk = convolutions(LAYERS, width=width)
        self.trunk.requires_grad_(not freeze)
        self.norms = nn.ModuleList(nn.BatchNorm2d(each, eps=1e-3) for each in (c64, c128, c256, c512))
        self.color4 = _convolution(c512, c256, kernel=1)
        self.color3 = _convolution(c256, c128)
        self.color2 = _convolution(c128, c64)
        self.color1 = _convolution(c64, 3)
        self.color0 = _convolution(3, 3)
        self.uv = _convolution(3, 2)

    def forward(self, gray: Tensor) -> Tensor:
        """Return U and V, (B, 2, H, W) float32 in [0, 1], of (B, 1, H, W) sRGB grey in [0, 1]."""
        ends = [norm(features) for norm, features in zip(self.norms, self.features(gray), strict=True)]
        signal = functional.relu(self.color4(ends[3]))
        for convolution, end in zip((self.color3, self.color2, self.color1), reversed(ends[:3]), strict=True):
            scaled_up = functional.interpolate(signal, end.shape[-2:], mode="bilinear", align_corners=False)
            signal = functional.relu(convolution(end + scaled_up))
        signal = functional.relu(self.color0(signal + gray - 0.5))
        answer: Tensor = self.uv(signal).float().sigmoid()
        return answer

    def features(self, gray: Tensor) -> list[Tensor]:
        """Return the last layer of each of the four blocks, before its pooling."""
        mean, spread = (gray.new_tensor(each)[:, None, None] for each in (MEAN, SPREAD))
        signal = (gray.expand(-1, 3, -1, -1) - mean) / spread
        ends: list[Tensor] = []
        for names in LAYERS.names:
            if ends:
                signal = functional.max_pool2d(signal, 2, ceil_mode=True)
            for name in names:
                signal = functional.relu(self.trunk[name](signal))
            ends.append(signal)
        return ends


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution whose bias is that of the batch norm behind it."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.trunc_normal_(convolution.weight, std=0.01, a=-0.02, b=0.02)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3))
