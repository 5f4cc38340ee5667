"""Which photo comes when: a function of seed, epoch and rank alone.

Both are `DistributedSampler`s, which Lightning leaves as they are, whatever its `use_distributed_sampler` says. They
yield (epoch, position), so that what a dataset draws depends on the epoch without any state shared between workers.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Go through all photos once an epoch, shared out over the ranks.

    Every rank gets the same number: where the photos don't divide evenly, the first of the order come twice.

    Args:
        count: number of photos.
        seed: of the order.
        shuffle: draw a new order each epoch; else the order is that of the photos and the epoch is always 0.
        rank: of this process.
        world: number of processes.
    """

    def __init__(self, count: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world: int = 1) -> None:
        super().__init__(cast("Dataset[int]", range(count)), num_replicas=world, rank=rank, shuffle=shuffle, seed=seed)
        self.count = count
        self.start = 0
        """Places of this rank's order that are left out at its beginning, where an epoch is taken up again."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch if self.shuffle else 0
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        shared = np.resize(order, self.total_size)[self.rank :: self.num_replicas]
        return iter([(epoch, int(position)) for position in shared[self.start :]])


class ShardSampler(DistributedSampler[tuple[int, int]]):
    """Go through one rank's share of the photos once; it may be none.

    Args:
        positions: of the photos, in order.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(cast("Dataset[int]", positions), num_replicas=1, rank=0, shuffle=False)
        self.positions = list(positions)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(0, position) for position in self.positions])
