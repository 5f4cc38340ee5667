"""The training loader: one that goes on in the middle of an epoch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from datamodules.samplers import EpochSampler


class TrainingLoader(DataLoader[Any]):
    """Serve training batches, and remember how many of an epoch were served.

    Lightning keeps `state_dict` in its checkpoints and gives it back, so that a training that was stopped within an
    epoch sees the batches that an unbroken one would have seen.

    Args:
        dataset: the photos, by (epoch, position).
        sampler: their order.
        batch_size: photos of a batch.
        collate: makes the batches.
        **settings: those of torch's `DataLoader`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        sampler: EpochSampler,
        batch_size: int,
        collate: Callable[[list[Any]], Any],
        **settings: Any,
    ) -> None:
        super().__init__(dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate, **settings)
        self.order = sampler
        self.photos_a_batch = batch_size
        self.served = 0
        self.resume = {"epoch": 0, "batches": 0}

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch says an iterator of its own
        self.served = self.resume["batches"] if self.resume["epoch"] == self.order.epoch else 0
        self.order.start = self.served * self.photos_a_batch
        for batch in super().__iter__():
            self.served += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches that were served."""
        return {"epoch": self.order.epoch, "batches": self.served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were served, once the sampler is set to that epoch."""
        self.resume = dict(state)
