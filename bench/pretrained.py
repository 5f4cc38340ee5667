"""Parts of methods that begin a training from torchvision's ImageNet weights."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bench.downloads import file_sha256
from bench.errors import UsageError
from bench.processes import is_first_process
from bench.progress import say
from bench.weights import find_weights
from lightning_modules.state_dicts import load_strictly, misfits, read_state_dict

FILES: Mapping[str, str] = MappingProxyType({"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"})
"""The weight file of each of torchvision's networks that a part may begin from."""

FEATURES = "features."
"""Prefix, in these files, of the keys of the convolutions."""


def check_parts(parts: Mapping[str, nn.Module], stage: str) -> None:
    """Check that parts have the form of torchvision's networks; no file is needed for that, and no memory.

    Args:
        parts: as `Colorizer.pretrained` gives them.
        stage: id of what is to be trained.

    Raises:
        UsageError: One has not, as where its width is not the published one.
    """
    import torchvision

    for name, part in parts.items():
        with torch.device("meta"):
            theirs = torchvision.models.get_model(name, weights=None).state_dict()
        wanted = {key: (value.shape, tensor.shape) for key, value, tensor in _pairs(part, theirs)}
        other = [key for key, (ours, published) in wanted.items() if ours != published]
        if other:
            first, (ours, published) = other[0], wanted[other[0]]
            raise UsageError(
                f"{stage} cannot begin from torchvision's {name}: {first} is {tuple(ours)} here and {tuple(published)} "
                "there. ImageNet weights fit the published size alone: train with `width: 1.0`, or with "
                f"`pretrained: false` for {stage} in the recipe (`--pretrained false` of `colorbench fit`), which "
                "begins from random weights"
            )


def load_pretrained(parts: Mapping[str, nn.Module], stage: str) -> dict[str, str]:
    """Load ImageNet weights into parts of a method that is to be trained, whatever command trains it.

    Args:
        parts: as `Colorizer.pretrained` gives them.
        stage: id of what is to be trained.

    Returns:
        The sha256 of each file that was read, by its name.

    Raises:
        MissingError: A file is not on this machine and cannot be fetched; the message says how it is got.
        UsageError: A part has not the form of its network, or a file is not what its name says.
    """
    check_parts(parts, stage)
    digests = {}
    for name, part in parts.items():
        path = find_weights(FILES[name])
        try:
            state = read_state_dict(path)
            chosen = {key: tensor for key, _, tensor in _pairs(part, state)}
            wrong = misfits(chosen, part.state_dict())
            if wrong:
                raise ValueError(f"{path.name} does not hold torchvision's {name}: {wrong}")
            load_strictly(part, chosen, path.name)
        except ValueError as error:
            raise UsageError(f"{stage} cannot begin from {path}: {error}. Give the published file") from error
        digests[path.name] = file_sha256(path)
        if is_first_process():
            say(f"{stage}: its {name} begins from {path}")
    return digests


def _pairs(part: nn.Module, state: Mapping[str, Tensor]) -> list[tuple[str, Tensor, Tensor]]:
    """Return key, own tensor and published tensor of each entry of a part that a state of torchvision has.

    A first layer that sees one channel gets the sum of the published one over red, green and blue: it answers to a grey
    picture as that does.
    """
    pairs = []
    for key, own in part.state_dict().items():
        theirs = state.get(FEATURES + key)
        if theirs is None:
            continue
        if theirs.ndim == 4 and own.ndim == 4 and (own.shape[1], theirs.shape[1]) == (1, 3):
            theirs = theirs.sum(dim=1, keepdim=True)
        pairs.append((key, own, theirs))
    return pairs
