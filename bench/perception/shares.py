"""Shares of answers, and how sure they are when other people had judged other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics import DRAWS, LEVEL, SEED, Floats

CHUNK = 1000
"""Draws that are in memory at once."""

Vote = tuple[str, str, bool]
"""A participant, a picture, and whether the answer counts for what is asked."""


@dataclass(frozen=True, slots=True)
class Share:
    """Hold how many of some answers were of one kind.

    Attributes:
        count: of that kind.
        total: of all.
        error: standard error; None for fewer than two participants, like `low` and `high`.
        low: lower end of the 95 % interval, `high` the upper one.
    """

    count: int
    total: int
    error: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def share(self) -> float | None:
        """Return the share; None without any answer."""
        return self.count / self.total if self.total else None


def estimate_share(votes: Sequence[Vote], *, draws: int = DRAWS, seed: int = SEED) -> Share:
    """Return the share of votes that count, with its uncertainty.

    Participants and pictures are both drawn anew, with replacement and independently: neither the answers of one person
    nor those about one picture are independent of each other. Where all votes are alike no draw differs, and the exact
    binomial interval (Clopper and Pearson) stands.

    Source:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007. Zhang et al. 2016 draw participants, and then
        answers of each, and report the standard error.
    """
    count, total = sum(counts for *_, counts in votes), len(votes)
    participants = sorted({participant for participant, *_ in votes})
    if len(participants) < 2:
        return Share(count, total)
    if count in (0, total):
        return Share(count, total, 0.0, *exact_interval(count, total))
    shares = _draw(*_tables(votes, participants), draws, np.random.Generator(np.random.PCG64(seed)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    return Share(count, total, float(np.std(shares)), float(low), float(high))


def _tables(votes: Sequence[Vote], participants: Sequence[str]) -> tuple[Floats, Floats]:
    """Return how many votes count, and how many there are: (participants, pictures)."""
    rows = {name: place for place, name in enumerate(participants)}
    columns = {name: place for place, name in enumerate(sorted({picture for _, picture, _ in votes}))}
    counted, given = np.zeros((2, len(rows), len(columns)))
    for participant, picture, counts in votes:
        given[rows[participant], columns[picture]] += 1
        counted[rows[participant], columns[picture]] += counts
    return counted, given


def _draw(counted: Floats, given: Floats, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the shares of drawn participants and pictures; draws in which nobody judged anything are left out."""
    people, pictures = given.shape
    shares = []
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        person = generator.multinomial(people, [1 / people] * people, size).astype(np.float64)
        picture = generator.multinomial(pictures, [1 / pictures] * pictures, size).astype(np.float64)
        above, below = (((person @ table) * picture).sum(axis=1) for table in (counted, given))
        shares.append(above[below > 0] / below[below > 0])
    return np.concatenate(shares)


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a binomial share after Clopper and Pearson."""
    from scipy import stats

    ends = stats.binomtest(count, total).proportion_ci(LEVEL, method="exact")
    return float(ends.low), float(ends.high)


def even_p(count: int, total: int) -> float | None:
    """Return the two-sided exact p-value that both answers are equally likely; None without any."""
    if not total:
        return None
    from scipy import stats

    return float(stats.binomtest(count, total).pvalue)
