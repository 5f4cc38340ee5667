"""What a computation ran on, and how much memory it took."""

import resource
import sys

import torch


def device_name() -> str:
    """Return what the pictures are coloured on: the GPU's name, or `cpu`."""
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "cpu"


def peak_memory_mb() -> float:
    """Return the most memory that was in use so far, in MB: the GPU's where there is one, else this process's."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
