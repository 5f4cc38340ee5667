"""What a computation ran on, and how much memory it took."""

import resource
import sys
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"


def device_name() -> str:
    """Return what the pictures are coloured on: the GPU's name, or `cpu`."""
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "cpu"


def device_of(rank: int) -> torch.device:
    """Return what a process works on: a GPU, shared where there are more processes than GPUs, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", rank % torch.cuda.device_count())


def reset_peak_memory() -> None:
    """Let `peak_memory_mb` count from now on; on a CPU this is possible on Linux only."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        try:
            CLEAR.write_text(RESET_PEAK)
        except OSError:
            return  # not allowed in every container: then the peak is that of the whole process


def peak_memory_mb() -> float:
    """Return the most memory that was in use, in MB: the GPU's where there is one, else this process's."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    if STATUS.exists():
        peak = next((line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            return round(int(peak.split()[1]) * 1024 / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
