"""What one of several processes does of a run. Knows no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portion:
    """Say which part of a run a process does, and whom it tells how far it is.

    Attributes:
        rank: of this process.
        world: number of processes.
        done: pictures that have their row already.
        advance: called with how many more pictures are done.
        begin: called with the pictures that are about to be coloured or read.
        singly: pictures that come first, one by one.
    """

    rank: int = 0
    world: int = 1
    done: frozenset[str] = frozenset()
    advance: Callable[[int], object] = int
    begin: Callable[[Sequence[str]], object] = len
    singly: Sequence[str] = ()
