"""What accompanies a training: its learning rate, its last checkpoint, its progress, and a stop where it goes wrong."""

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from bench.processes import gathered, stop
from bench.progress import Advance
from datamodules.types import ColorBatch
from lightning_modules.adversarial import RATE_RATIO

STEPS_BETWEEN_LOOKS = 20
NAMED_PICTURES = 8


class StopOnNaN(pl.Callback):
    """Stop a training on all processes when the loss of one is no finite number any more.

    Convention:
        The loss of every step is looked at, which makes the device wait for it.

    Args:
        last: the last checkpoint, which need not be there yet.
    """

    def __init__(self, last: Path) -> None:
        self.last = last

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Look at the loss of the step that just ended.

        Raises:
            CommandError: It is NaN or infinite; the message names the step, the pictures and the last good checkpoint.
        """
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        wrong = (~torch.isfinite(loss.detach())).float()
        if not trainer.strategy.reduce(wrong.clone(), reduce_op="sum"):
            return
        found = [each for each in gathered((float(loss), batch.gray.key) if wrong else None) if each is not None]
        keys = [key for _, keys in found for key in keys]
        stop(trainer, f"the loss is {found[0][0]} at step {trainer.global_step}, {_pictures(keys)}; {self.advice()}")

    def advice(self) -> str:
        """Say what is left and what to do."""
        kept = str(self.last) if self.last.is_file() else "none yet"
        return (
            f"last good checkpoint: {kept}. Lower the learning rate, in the recipe or by --set, and give another --out"
        )


def _pictures(keys: Sequence[str]) -> str:
    more = len(keys) - NAMED_PICTURES
    return f"on the pictures {', '.join(keys[:NAMED_PICTURES])}{f' and {more} more' if more > 0 else ''}"


class KeepLast(Checkpoint):
    """Keep one checkpoint, the last, written whole before it takes the place of the one before.

    Args:
        path: of the file.
        every: steps from one to the next.
        seconds: as many at most, by the clock of the first process, looked at every few steps.
    """

    def __init__(self, path: Path, every: int, seconds: float = 1800.0) -> None:
        self.path = path
        self.every = every
        self.seconds = seconds
        self.saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Save a checkpoint where one is due.

        Raises:
            CommandError: The weights or statistics of BatchNorm are not finite; the checkpoint before is kept.
        """
        if not self._is_due(trainer):
            return
        if not all(bool(torch.isfinite(tensor).all()) for tensor in pl_module.state_dict().values()):
            stop(trainer, f"weights are not finite after step {trainer.global_step}; {StopOnNaN(self.path).advice()}")
        trainer.save_checkpoint(self.path)
        self.saved = time.monotonic()

    def _is_due(self, trainer: pl.Trainer) -> bool:
        step = trainer.global_step
        if step % self.every == 0:
            return True
        return step % STEPS_BETWEEN_LOOKS == 0 and trainer.strategy.broadcast(
            time.monotonic() > self.saved + self.seconds
        )


class LearningRate(pl.Callback):
    """Set the learning rate of every step, whatever the method's own schedule says.

    An optimiser beside the method's first, a discriminator's, keeps its ratio to that.

    Args:
        rate: from the number of a step, counted from 0, to its learning rate.
    """

    def __init__(self, rate: Callable[[int], float]) -> None:
        self.rate = rate

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Set the learning rate of the step that begins."""
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate(trainer.global_step) * group.get(RATE_RATIO, 1.0)


class Draws(pl.Callback):
    """Have what a network draws in a step, such as dropout, follow from the step's number and the process alone.

    A resumed training then draws what one without a break would have drawn.

    Args:
        seed: of the training.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Seed torch's generators for the step that begins."""
        state = np.random.SeedSequence((self.seed, trainer.global_rank, trainer.global_step)).generate_state(1)
        torch.manual_seed(int(state[0]))


class Steps(pl.Callback):
    """Move a progress bar by one a step."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin where a resumed training stands."""
        if trainer.is_global_zero:
            self.advance(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Count the step."""
        if trainer.is_global_zero:
            self.advance(1)


class SameOnAllProcesses(pl.Callback):
    """Check that training left the same weights on all processes.

    Convention:
        Running statistics of BatchNorm are each process's own; those of the first are saved.
    """

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the weights.

        Raises:
            CommandError: They differ: a loss that some processes compute otherwise, or a broken device.
        """
        if trainer.world_size > 1 and len(set(gathered(digest(dict(pl_module.named_parameters()))))) > 1:
            stop(trainer, f"the weights differ between processes after step {trainer.global_step}: nothing is saved")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the bits of named tensors."""
    state = sha256()
    for name, tensor in sorted(tensors.items()):
        state.update(name.encode())
        state.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
