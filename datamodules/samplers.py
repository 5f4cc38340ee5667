"""Which photo comes when: a function of seed, epoch and rank alone.

Both are `DistributedSampler`s, which Lightning leaves as they are, whatever its `use_distributed_sampler` says. They
yield (epoch, position), so that what a dataset draws depends on the epoch without any state shared between workers.
"""

from collections.abc import Collection, Iterator, Sequence
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


def deal_batches(keys: Sequence[str], size: int, rank: int, world: int, done: Collection[str] = ()) -> list[int]:
    """Return the positions of one rank's photos, in batches that are the same whatever the number of ranks.

    The last bits of a network's answer may hang on the other photos of a batch. So batches follow from the list alone
    and are dealt out whole; one of which some photos are done is read whole again.

    Args:
        keys: of all photos, in order.
        size: photos of a batch; the last one of all may have fewer.
        rank: of this process.
        world: number of processes.
        done: keys of photos that need not be read; batches of nothing else are left out.

    Returns:
        Positions of whole batches, one after the other.

    Examples:
        >>> deal_batches("abcdefg", 2, 1, 2), deal_batches("abcdefg", 2, 0, 2, {"a", "b", "e"})
        ([2, 3, 6], [4, 5])
    """
    batches = [range(start, min(start + size, len(keys))) for start in range(0, len(keys), size)[rank::world]]
    return [position for batch in batches if any(keys[each] not in done for each in batch) for position in batch]
