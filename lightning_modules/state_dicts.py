"""Read state dicts from files that others made, without running what may be hidden in them."""

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
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


COUNTER = ".num_batches_tracked"
"""Ending of the keys that BatchNorm has since torch 0.4.1; nothing that is learnt."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a `.safetensors` file or of a file that `torch.save` wrote, on the CPU.

    What a file holds under `state_dict`, beside facts on its training, is taken for the whole.

    Raises:
        ValueError: The file is broken, is no state dict, or holds objects other than tensors, which are not executed.
        OSError: The file cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # on pickles that are refused right after
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"{path.name} cannot be read safely as a state dict: {_reason(error)}") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path.name} is no state dict: wanted names with tensors, got {_shown(state)}")
    return {str(name): value for name, value in state.items()}


def _reason(error: BaseException) -> str:
    """Say in a line why a file is not read, without torch's advice to execute it."""
    text = str(error)
    found = re.search(r"(?:GLOBAL|class|global)\s+(\w+(?:\.\w+)+)", text)
    if found:
        return f"it holds objects of {found[1]}, which are not executed"
    if isinstance(error, EOFError) or "unexpected EOF" in text or "zip archive" in text:
        return "it is empty, damaged or cut short"
    if isinstance(error, SafetensorError):
        return text.splitlines()[0]
    return "torch.save wrote no such file"


def _shown(state: object) -> str:
    if not isinstance(state, Mapping):
        return type(state).__name__
    name, value = next((name, value) for name, value in state.items() if not isinstance(value, Tensor))
    return f"{type(value).__name__} at {name!r}"


def without_prefix(state: Mapping[str, Tensor], prefix: str = "module.") -> dict[str, Tensor]:
    """Return the tensors under names without the prefix, if all have it, as `nn.DataParallel` writes them."""
    strip = all(name.startswith(prefix) for name in state)
    return {name.removeprefix(prefix) if strip else name: value for name, value in state.items()}


def with_counters(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, with the counters of BatchNorm at zero if the file, as by a torch before 0.4.1, has none."""
    if any(name.endswith(COUNTER) for name in state):
        return dict(state)
    return {**state, **{name: torch.tensor(0) for name in wanted if name.endswith(COUNTER)}}


def misfits(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return which names are missing, surplus, of another shape or not finite; empty where all is as wanted."""
    both = [name for name in wanted if name in state]
    shapes = [name for name in both if state[name].shape != wanted[name].shape]
    named = {
        "missing": [name for name in wanted if name not in state],
        "surplus": [name for name in state if name not in wanted],
        "of another shape": [f"{name} {tuple(state[name].shape)}, not {tuple(wanted[name].shape)}" for name in shapes],
        "not finite": [name for name in both if not state[name].isfinite().all()],
    }
    return "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in named.items() if names)


def _first(names: Iterable[str], most: int = 4) -> str:
    shown = list(names)
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


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
