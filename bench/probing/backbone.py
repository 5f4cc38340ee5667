"""A method's network as a backbone: pictures in, maps of its layers out, from light alone or with colour beside it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from bench.probing.layers import Layout, find_layout, gray_batch
from bench.probing.settings import Input
from lightning_modules.base import Colorizer

CHROMA_SCALE = 110.0
"""What a* and b* are divided by."""


class _Reached(Exception):  # noqa: N818 - it ends a computation that needs no more, and is no error
    """Say that the last layer that is wanted has answered."""


class Backbone(nn.Module):
    """Give the maps of some layers of a method's network.

    BatchNorm keeps its statistics, whatever mode the backbone is in.

    Convention:
        With `color` the first convolution has two more inputs, a* and b* divided by 110, whose weights begin at zero:
        at first the maps are those of `gray`, to the bit. They are kept as a convolution of their own beside the first.

    Args:
        method: whose network is tested; it is changed by fine-tuning.
        size: side of the pictures in pixels.
        variant: what the network sees.
        layers: names of the maps; all where empty.

    Raises:
        UsageError: There is no such layer, or the method cannot work at that size.

    Source:
        Zhang et al. 2016, section 3.2, for both variants.
    """

    declared: Mapping[str, str] | None = None
    """Paths of the layers by name, for a network whose layers are known to nobody else."""

    def __init__(self, method: Colorizer, size: int, variant: Input, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.method = method.eval()
        self.layout: Layout = find_layout(method, size, self.declared)
        self.names = self.layout.chosen(tuple(layers))
        network = method.networks()[self.layout.network]
        self._maps: dict[str, Tensor] = {}
        self._chroma: Tensor | None = None
        self.chroma: nn.Conv2d | None = None
        if variant is Input.color:
            first = network.get_submodule(self.layout.first)
            assert isinstance(first, nn.Conv2d)
            self.chroma = _beside(first)
            first.register_forward_hook(self._add_chroma)
        for name, path in self.layout.paths.items():
            network.get_submodule(path).register_forward_hook(partial(self._keep, name))

    def train(self, mode: bool = True) -> "Backbone":
        """Leave everything as for answering: no statistics are learnt, and nothing is dropped."""
        return super().train(False)

    def forward(self, lab: Tensor) -> dict[str, Tensor]:
        """Return the maps of the layers by name.

        Args:
            lab: (B, 3, H, W), L* in [0, 100], a* and b* in CIE units.
        """
        self._maps, self._chroma = {}, lab[:, 1:] / CHROMA_SCALE
        with suppress(_Reached):
            self.show(lab)
        maps, self._maps = self._maps, {}
        return maps

    def show(self, lab: Tensor) -> None:
        """Let the network see the light of pictures; `_add_chroma` adds the rest."""
        self.method.colorize(gray_batch(lab[:, :1]))

    def _keep(self, name: str, _: nn.Module, __: object, answer: Tensor) -> None:
        """Keep a wanted map when it is first answered; a copy, since what follows may work in place."""
        if name in self.names and name not in self._maps:
            self._maps[name] = answer.clone()
        if len(self._maps) == len(self.names):
            raise _Reached

    def _add_chroma(self, _: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        assert self._chroma is not None
        assert self.chroma is not None
        size = given[0].shape[-2:]
        chroma = self._chroma
        if chroma.shape[-2:] != size:
            chroma = functional.interpolate(chroma, size, mode="bilinear", align_corners=False, antialias=True)
        beside: Tensor = self.chroma(chroma)
        return answer + beside

    def channels(self, name: str) -> int:
        """Return how many channels the map of a layer has."""
        return self.layout.shapes[name][0]


def _beside(first: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution for a* and b* like the first one of a network, with weights of zero and no bias."""
    beside = nn.Conv2d(
        2,
        first.out_channels,
        (first.kernel_size[0], first.kernel_size[1]),
        (first.stride[0], first.stride[1]),
        first.padding if isinstance(first.padding, str) else (first.padding[0], first.padding[1]),
        (first.dilation[0], first.dilation[1]),
        bias=False,
        padding_mode=first.padding_mode,
    )
    nn.init.zeros_(beside.weight)
    return beside


def learn_statistics(backbone: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the statistics of every BatchNorm from pictures, for a network that was never trained.

    Args:
        backbone: changed in place.
        batches: of pictures, (B, 3, H, W) in Lab.
    """
    norms = [part for part in backbone.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        nn.Module.train(norm, True)
    with torch.no_grad():
        for lab in batches:
            backbone(lab)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        nn.Module.train(norm, False)
