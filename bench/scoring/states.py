"""State dicts of the networks that metrics look at pictures with: read without running anything, held to the letter."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.errors import UsageError
from lightning_modules.state_dicts import misfits, read_state_dict, with_counters


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name.

    Raises:
        UsageError: The file cannot be read, is no state dict, or holds what would have to be executed.
    """
    try:
        return read_state_dict(path)
    except ValueError as error:
        raise UsageError(f"{error}; give the published file of that name") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def check_state(state: Mapping[str, Tensor], network: nn.Module, name: str) -> None:
    """Refuse a state dict that is not of a network.

    Args:
        state: the tensors by name.
        network: on any device, `meta` too.
        name: of the file and of the network that it was to hold, for the message.

    Raises:
        UsageError: Names are missing or surplus, shapes differ, or values are not finite.
    """
    wanted = network.state_dict()
    problems = misfits(with_counters(state, wanted), wanted)
    if problems:
        raise UsageError(f"{name}: {problems}; give the published file of that name")
