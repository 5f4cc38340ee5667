"""Which maps of a network are tested, found by one picture that passes through it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bench.errors import UsageError
from datamodules.types import Boxes, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.networks.dahl import DahlNet
from lightning_modules.networks.eccv16 import Eccv16Trunk
from lightning_modules.networks.iizuka import IizukaNet
from lightning_modules.networks.larsson import LarssonNet
from lightning_modules.networks.siggraph import SiggraphTrunk
from lightning_modules.networks.vgg import VGG16

VGG_BLOCKS = {f"conv{number}": f"trunk.{names[-1]}" for number, names in enumerate(VGG16.names, 1)}
LOW_LEVEL = {f"low{number}": f"low.{number - 1}" for number in range(1, 7)}
CONVOLUTIONS = {f"conv{number}": f"model{number}" for number in range(1, 8)}

DECLARED: Mapping[type[nn.Module], Mapping[str, str]] = {
    Eccv16Trunk: {**CONVOLUTIONS, "conv8": "model8.5"},
    SiggraphTrunk: {**CONVOLUTIONS, "conv8": "model8"},
    IizukaNet: {**LOW_LEVEL, "mid1": "middle.0", "mid2": "middle.1"},
    DahlNet: {name: path for name, path in VGG_BLOCKS.items() if name != "conv5"},
    LarssonNet: {**VGG_BLOCKS, "fc6": "fc6", "fc7": "fc7"},
}
"""Names of layers, and the parts that answer with their maps, which are tapped as these answer: behind the ReLU where
it belongs to the part, as in blocks, else before it. Of all other networks every part at their top, or in a list at
their top, is a layer if it answers with a map, by the name that it has in the network."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Say where a method's network is tapped.

    Attributes:
        network: name of the part in `Colorizer.networks` that is tested.
        first: path of its first convolution, which sees the picture.
        paths: of the parts that answer with maps, by the layer's name, in the order of the computation.
        shapes: (channels, height, width) of the maps.
    """

    network: str
    first: str
    paths: Mapping[str, str]
    shapes: Mapping[str, tuple[int, int, int]]

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the layers of these names in the order of the computation, all of them without any.

        Raises:
            UsageError: There is no such layer.
        """
        unknown = [name for name in names if name not in self.paths]
        if unknown:
            raise UsageError(f"there is no layer {unknown[0]!r} in {self.network}; it has {', '.join(self.paths)}")
        return tuple(name for name in self.paths if not names or name in names)

    def deepest(self) -> str:
        """Return the last of the layers whose maps are smallest, which heads of other tasks are put on."""
        least = min(height * width for _, height, width in self.shapes.values())
        return [name for name, (_, height, width) in self.shapes.items() if height * width == least][-1]


def gray_batch(light: Tensor) -> GrayBatch:
    """Return light, (B, 1, H, W), as methods take it, without boxes."""
    height, width = light.shape[-2:]
    names = tuple(str(place) for place in range(len(light)))
    boxes = tuple(Boxes.empty((height, width)) for _ in names)
    return GrayBatch(names, light, boxes, light.new_zeros(0, 1, 1, 1))


def find_layout(method: Colorizer, size: int, declared: Mapping[str, str] | None = None) -> Layout:
    """Let a grey picture pass through a method and return where its network can be tapped.

    The network is the first of `networks` with a convolution that the picture reaches.

    Args:
        method: to be tried.
        size: side of the picture in pixels.
        declared: paths of the network's parts by the layer's name, instead of those that are known of it.

    Raises:
        UsageError: The method has no such network, or cannot work at that size.
    """
    calls: dict[str, dict[str, tuple[int, ...]]] = {}
    with _recording(method.networks(), calls), torch.no_grad():
        try:
            method.colorize(gray_batch(torch.full((1, 1, size, size), 50.0)))
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"the method cannot work at {size} x {size} pixels: {error}; give another --size"
            ) from error
    for name, network in method.networks().items():
        first = next((path for path in calls[name] if isinstance(network.get_submodule(path), nn.Conv2d)), None)
        if first is not None:
            return _layout(name, first, calls[name], declared or known_layers(network))
    raise UsageError("the method has no network with a convolution that a picture passes: there is nothing to probe")


def _layout(name: str, first: str, called: Mapping[str, tuple[int, ...]], layers: Mapping[str, str]) -> Layout:
    order = [path for path, shape in called.items() if len(shape) == 4]
    there = sorted((layer for layer in layers if layers[layer] in order), key=lambda layer: order.index(layers[layer]))
    shapes = {layer: called[layers[layer]] for layer in there}
    return Layout(
        name,
        first,
        {layer: layers[layer] for layer in there},
        {layer: (shape[1], shape[2], shape[3]) for layer, shape in shapes.items()},
    )


def known_layers(network: nn.Module) -> Mapping[str, str]:
    """Return the declared layers of a network, else its parts."""
    declared = next((layers for kind, layers in DECLARED.items() if isinstance(network, kind)), None)
    return declared if declared is not None else {path: path for path in _parts(network)}


def _parts(network: nn.Module) -> Iterator[str]:
    """Give the paths of the parts at the top of a network, those in lists one by one."""
    for name, part in network.named_children():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            yield from (f"{name}.{each}" for each, _ in part.named_children())
        else:
            yield name


@contextmanager
def _recording(networks: Mapping[str, nn.Module], calls: dict[str, dict[str, tuple[int, ...]]]) -> Iterator[None]:
    """Note the parts of networks that answer with a tensor, and its shape, when they first do."""
    handles: list[RemovableHandle] = []
    for name, network in networks.items():
        seen = calls.setdefault(name, {})
        handles += [part.register_forward_hook(partial(_note, seen, path)) for path, part in network.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note(seen: dict[str, tuple[int, ...]], path: str, _: nn.Module, __: object, answer: object) -> None:
    if isinstance(answer, Tensor):
        seen.setdefault(path, tuple(answer.shape))
