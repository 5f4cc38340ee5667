"""Read state dicts from files that others made, without running what may be hidden in them."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

UNREADABLE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    SafetensorError,
    pickle.UnpicklingError,
)
"""What is raised on files that are damaged, are something else, or hold objects that are not executed."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a `.safetensors` file or of a file that `torch.save` wrote, on the CPU.

    Raises:
        ValueError: The file is broken, is no state dict, or holds objects other than tensors, which are not executed.
        OSError: The file cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path.name} cannot be read safely as a state dict: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path.name} is no state dict: wanted names with tensors, got {type(state).__name__}")
    return {str(name): value for name, value in state.items()}


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Load a state dict whose names and shapes must be the network's own.

    Args:
        network: what the tensors are copied into.
        state: the tensors by name.
        name: of the file, for the message.

    Raises:
        ValueError: Names are missing or surplus, or shapes differ; the message names them.
    """
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise ValueError(f"{name} does not fit {type(network).__name__}: {_shortened(str(error))}") from error


def _shortened(message: str, limit: int = 1500) -> str:
    text = " ".join(message.split())
    return text if len(text) <= limit else f"{text[:limit]} ..."
