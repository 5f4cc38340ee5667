"""The network of Zhang et al. 2017, which Su et al. use for the whole picture and for every instance."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_modules.networks.width import scaled

MAPS = (
    *("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3", "conv6_3", "conv7_3"),
    *("conv8_up", "conv8_3", "conv9_up", "conv9_3", "conv10_up", "conv10_2"),
)
"""Names of the 13 feature maps at which whole picture and instances can meet, in the order of the computation."""

CHROMA_SCALE = 110.0
"""What the authors divide a* and b* by."""

Tap = Callable[[str, Tensor], Tensor]
"""Is called with the name of each map and the map; what it returns takes the map's place."""


def untapped(_: str, feature: Tensor) -> Tensor:
    """Leave every map as it is: the `Tap` of a network that is used alone."""
    return feature


class SiggraphTrunk(nn.Module):
    """Hold the layers that the networks for picture, instance and fusion have in common, under the authors' names.

    Any size of light works: where it does not halve evenly, the up-sampled maps are cut to the size of their skip.

    Args:
        width: multiplies all channel counts (at least 4 remain) but those of the two heads.
        classes: outputs of the class head; the authors' 23 x 23 grid has 529. The head takes no gradient, so that
            distributed training waits for none, until a method whose objective uses it says otherwise.
        mask_center: the hint mask of a pixel without a hint is `-mask_center`; 0 for the weights of Zhang et al.

    Convention:
        As the authors', the blocks behind `conv8_up`, `conv9_up` and `conv10_up` begin with a ReLU in place: who keeps
        one of these maps at the tap holds it rectified after that. The published weights were trained so.

    Source:
        Zhang et al., Real-Time User-Guided Image Colorization with Learned Deep Priors, SIGGRAPH 2017, section 3.3.
    """

    def __init__(self, width: float = 1.0, classes: int = 529, mask_center: float = 0.5) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        levels = (c64, c128, c256, c512, c512, c512, c512, c256, c256, c128, c128, c128, c128)
        self.width = width
        self.mask_center = mask_center
        self.map_channels = dict(zip(MAPS, levels, strict=True))
        self.model1 = _block(4, c64, c64)
        self.model2 = _block(c64, c128, c128)
        self.model3 = _block(c128, c256, c256, c256)
        self.model4 = _block(c256, c512, c512, c512)
        self.model5 = _block(c512, c512, c512, c512, dilation=2)
        self.model6 = _block(c512, c512, c512, c512, dilation=2)
        self.model7 = _block(c512, c512, c512, c512)
        self.model8up = nn.Sequential(nn.ConvTranspose2d(c512, c256, 4, stride=2, padding=1))
        self.model3short8 = nn.Sequential(nn.Conv2d(c256, c256, 3, padding=1))
        self.model8 = nn.Sequential(nn.ReLU(inplace=True), *_block(c256, c256, c256))
        self.model9up = nn.Sequential(nn.ConvTranspose2d(c256, c128, 4, stride=2, padding=1))
        self.model2short9 = nn.Sequential(nn.Conv2d(c128, c128, 3, padding=1))
        self.model9 = nn.Sequential(nn.ReLU(inplace=True), *_block(c128, c128))
        self.model10up = nn.Sequential(nn.ConvTranspose2d(c128, c128, 4, stride=2, padding=1))
        self.model1short10 = nn.Sequential(nn.Conv2d(c64, c128, 3, padding=1))
        self.model10 = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(c128, c128, 3, padding=1), nn.LeakyReLU(0.2, inplace=True)
        )
        self.model_class = nn.Sequential(nn.Conv2d(c256, classes, 1)).requires_grad_(False)
        self.model_out = nn.Sequential(nn.Conv2d(c128, 2, 1), nn.Tanh())

    def trace(self, light: Tensor, tap: Tap, guide: Tensor | None = None) -> Tensor:
        """Colour light, with `tap` between the blocks.

        Args:
            light: (B, 1, H, W), L* in [0, 100].
            tap: is called at the 13 `MAPS` in their order.
            guide: see `planes`.

        Returns:
            (B, 2, H, W) a* and b*, within -110 and 110.
        """
        return self.decode(*self.encode(self.planes(light, guide), tap), tap)

    def encode(self, planes: Tensor, tap: Tap) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps that the decoder needs: conv1_2, conv2_2 and conv8_3, the one that the class head reads."""
        conv1_2 = tap("conv1_2", self.model1(planes))
        conv2_2 = tap("conv2_2", self.model2(conv1_2[:, :, ::2, ::2]))
        conv3_3 = tap("conv3_3", self.model3(conv2_2[:, :, ::2, ::2]))
        conv4_3 = tap("conv4_3", self.model4(conv3_3[:, :, ::2, ::2]))
        conv5_3 = tap("conv5_3", self.model5(conv4_3))
        conv6_3 = tap("conv6_3", self.model6(conv5_3))
        conv7_3 = tap("conv7_3", self.model7(conv6_3))
        conv8_up = tap("conv8_up", _add_cut(self.model8up(conv7_3), self.model3short8(conv3_3)))
        return conv1_2, conv2_2, tap("conv8_3", self.model8(conv8_up))

    def decode(self, conv1_2: Tensor, conv2_2: Tensor, conv8_3: Tensor, tap: Tap) -> Tensor:
        """Return the chroma, (B, 2, H, W) in CIE units, of what `encode` returns."""
        conv9_up = tap("conv9_up", _add_cut(self.model9up(conv8_3), self.model2short9(conv2_2)))
        conv9_3 = tap("conv9_3", self.model9(conv9_up))
        conv10_up = tap("conv10_up", _add_cut(self.model10up(conv9_3), self.model1short10(conv1_2)))
        conv10_2 = tap("conv10_2", self.model10(conv10_up))
        chroma: Tensor = self.model_out(conv10_2) * CHROMA_SCALE
        return chroma

    def planes(self, light: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the (B, 4, H, W) input of the authors: light in [-0.5, 0.5], a* and b* of the hints, their mask.

        In channels-last order, which all later maps keep and convolutions on a CPU are faster in.

        Args:
            light: (B, 1, H, W), L* in [0, 100].
            guide: (B, 3, H, W), a* and b* of the hints in CIE units, 0 elsewhere, and their mask of ones and zeros;
                None for no hints.
        """
        if guide is None:
            batch, _, height, width = light.shape
            guide = light.new_zeros(batch, 3, height, width)
        hints, mask = guide[:, :2] / CHROMA_SCALE, guide[:, 2:] - self.mask_center
        planes = torch.cat([(light - 50.0) / 100.0, hints, mask], dim=1)
        return planes.contiguous(memory_format=torch.channels_last)

    def classify(self, conv8_3: Tensor) -> Tensor:
        """Return the class head's logits, (B, classes, h, w), of the map `conv8_3`, which they give no gradient."""
        logits: Tensor = self.model_class(conv8_3.detach())
        return logits


class SiggraphNet(SiggraphTrunk):
    """Colour a whole picture, or one instance.

    34 187 027 parameters at width 1. Arguments: see `SiggraphTrunk`.
    """

    def __init__(self, width: float = 1.0, classes: int = 529, mask_center: float = 0.5) -> None:
        super().__init__(width, classes, mask_center)
        init_weights(self, 0.02 / width**0.5)

    def forward(self, light: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the chroma, (B, 2, H, W) in CIE units, of light, (B, 1, H, W) with L* in [0, 100], and hints.

        For the hints see `planes`.
        """
        return self.trace(light, untapped, guide)

    def both_heads(self, light: Tensor, guide: Tensor | None, *, classify: bool) -> tuple[Tensor, Tensor]:
        """Return chroma and the class head's logits, for a training in which only one of them teaches the trunk.

        Args:
            light: (B, 1, H, W), L* in [0, 100].
            guide: hints, see `planes`; None for none.
            classify: let the logits teach what they are computed from, and the chroma only the layers behind it; else
                the chroma teaches everything, and the logits only their own layer.

        Returns:
            (B, 2, H, W) in CIE units, and (B, classes, H / 4, W / 4), rounded up.
        """
        maps = self.encode(self.planes(light, guide), untapped)
        conv1_2, conv2_2, conv8_3 = [each.detach() for each in maps] if classify else maps
        logits: Tensor = self.model_class(maps[2]) if classify else self.classify(conv8_3)
        return self.decode(conv1_2, conv2_2, conv8_3, untapped), logits

    def features(self, light: Tensor) -> dict[str, Tensor]:
        """Return the 13 `MAPS` of instance crops as the fusion wants them.

        Args:
            light: (K, 1, S, S), L* in [0, 100].

        Returns:
            For each name (K, C, s, s); `conv8_up`, `conv9_up` and `conv10_up` after the ReLU that follows them.
        """
        kept: dict[str, Tensor] = {}
        self.trace(light, kept.setdefault)
        return kept


def init_weights(network: nn.Module, std: float = 0.02) -> None:
    """Draw the authors' starting weights from torch's global generator.

    Args:
        network: changed in place: convolutions from N(0, std) without bias, BatchNorm from N(1, 0.02) without shift.
        std: 0.02 at the published width. A network of other width divides it by the root of the width, which keeps the
            strength of the signals: three narrow layers at 0.02 would sink below BatchNorm's epsilon.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _block(*channels: int, dilation: int = 1) -> nn.Sequential:
    """Stack convolutions, each followed by a ReLU, and one BatchNorm after the last ReLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


def _add_cut(upsampled: Tensor, skip: Tensor) -> Tensor:
    """Add an up-sampled map to its skip, in place, without the last row or column where the skip's size is odd."""
    height, width = skip.shape[-2:]
    return skip.add_(upsampled[..., :height, :width])
