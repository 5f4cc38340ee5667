"""Who sees what in which order: conditions, pictures and sides dealt out evenly by a seed. Knows no files.

A condition is what is shown of a picture: a pair of methods, a method beside the truth, or one of all.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold one trial: places of a condition and a picture in their lists; `swapped` turns left and right round."""

    condition: int
    picture: int
    swapped: bool


def generator_of(*words: object) -> Generator:
    """Return a generator that hangs on its words alone, so that one thing drawn more changes nothing else."""
    return np.random.Generator(np.random.PCG64(list("\n".join(map(str, words)).encode())))


def deal(conditions: int, pictures: int, trials: int, sessions: int, generator: Generator) -> list[list[Shown]]:
    """Return the trials of each session, in the order in which they are shown.

    All cells, a condition of a picture, are gone through before one comes again. A session goes in rounds, each of
    which shows every picture once; its conditions differ by two trials at most, and over all sessions by one. A cell
    that comes again has its sides turned; the sides of conditions, of pictures and of a session are kept even.

    Args:
        conditions: how many there are.
        pictures: how many there are.
        trials: of a session, `conditions * pictures` at most.
        sessions: how many there are.
        generator: of the order.
    """
    cells = _walk(conditions, pictures, trials * sessions, generator)
    sides = Sides(generator)
    dealt = []
    for start in range(0, len(cells), trials):
        ordered = _shuffle_rounds(cells[start : start + trials], start, pictures, generator)
        sides.begin_session()
        dealt.append([Shown(condition, picture, sides.turn(condition, picture)) for condition, picture in ordered])
    return dealt


def _walk(conditions: int, pictures: int, length: int, generator: Generator) -> list[tuple[int, int]]:
    """Return cells along the diagonals of the table of conditions and pictures, each diagonal one step further."""
    names = generator.permutation(conditions).tolist()
    places = generator.permutation(pictures).tolist()
    diagonals = math.gcd(conditions, pictures)
    around = conditions * pictures // diagonals
    return [
        (names[(step + step // around % diagonals) % conditions], places[step % pictures]) for step in range(length)
    ]


def _shuffle_rounds(
    cells: Sequence[tuple[int, int]], start: int, pictures: int, generator: Generator
) -> list[tuple[int, int]]:
    """Shuffle cells within each round of all pictures; no picture comes twice running where there are several."""
    ends = [*range(pictures - start % pictures, len(cells), pictures), len(cells)]
    ordered: list[tuple[int, int]] = []
    for first, last in zip([0, *ends], ends, strict=False):
        part = [cells[first + place] for place in generator.permutation(last - first)]
        if ordered and len(part) > 1 and part[0][1] == ordered[-1][1]:
            part.append(part.pop(0))
        ordered += part
    return ordered


class Sides:
    """Choose left and right so that neither is more frequent than the other, as far as that goes."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._surplus = Counter[tuple[str, object]]()

    def begin_session(self) -> None:
        """Forget how the sides of the last session stood."""
        self._surplus["session", 0] = 0

    def turn(self, condition: int, picture: int) -> bool:
        """Return whether the sides of the next trial are turned."""
        kinds = [("cell", (condition, picture)), ("condition", condition), ("session", 0), ("picture", picture)]
        cell, of_condition, of_session, of_picture = (self._surplus[kind] for kind in kinds)
        lean = cell or of_condition + of_session or of_picture
        turned = lean > 0 if lean else bool(self._generator.integers(2))
        for kind in kinds:
            self._surplus[kind] += -1 if turned else 1
        return turned


def scatter(length: int, extra: int, generator: Generator) -> list[int]:
    """Return at which of `length + extra` places the extra trials stand: one in each stretch, none at the start."""
    total = length + extra
    edges = [1 + (total - 1) * part // extra for part in range(extra + 1)] if extra else []
    return [int(generator.integers(low, high)) for low, high in pairwise(edges)]
