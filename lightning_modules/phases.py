"""Trainings whose phases are shares of their steps."""

import math

import pytorch_lightning as pl


def training_steps(trainer: pl.Trainer) -> int:
    """Return how many steps a training has.

    Raises:
        ValueError: It has no end.
    """
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps):
        raise ValueError("the phases of this method are shares of its training: give max_steps or max_epochs")
    return int(steps)
