"""What the processes of one training know of each other, and who started them: Lightning, torchrun or SLURM."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]  # it names no exports
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.utilities import rank_zero_only
from torch import distributed

from bench.errors import CommandError, UsageError


def is_first_process() -> bool:
    """Tell whether this is the only process of a training, or the one that speaks and writes for all."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # Lightning sets it from the environment


def launcher(devices: int, nodes: int) -> list[ClusterEnvironment]:
    """Return who started the processes, as a plugin of the trainer; nothing where Lightning is to start them.

    A job of SLURM is not put back into its queue by Lightning: it would write a checkpoint of its own, which it then
    prefers to newer ones.

    Raises:
        UsageError: Their number is another than that of the devices.
    """
    if TorchElasticEnvironment.detect():
        found: ClusterEnvironment = TorchElasticEnvironment()
    elif SLURMEnvironment.detect():
        found = SLURMEnvironment(auto_requeue=False)
    else:
        return []
    if found.world_size() != devices * nodes:
        raise UsageError(
            f"{found.world_size()} processes were started, but --devices {devices} on --nodes {nodes} are "
            f"{devices * nodes}: make them equal; under SLURM start with srun, one task a device"
        )
    return [found]


def gathered(value: Any) -> list[Any]:
    """Return what every process of the training gave, by rank; all must call it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def stop(trainer: pl.Trainer, reason: str) -> None:
    """End the training on all processes, which must all call it; the first one says why.

    Raises:
        CommandError: On the first process.
        SystemExit: On the others, with the same exit status.
    """
    if not trainer.is_global_zero:
        raise SystemExit(CommandError.exit_status)
    raise CommandError(reason)
