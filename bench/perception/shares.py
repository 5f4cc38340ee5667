"""Shares of answers, and how sure they are when other people had judged other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics import LEVEL, Floats

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


def estimate_share(votes: Sequence[Vote]) -> Share:
    """Return the share of votes that count, with its uncertainty.

    Neither the answers of one person nor those about one picture are independent of each other. The variance is robust
    to both, and never below that of independent answers. The interval is Wilson's for as many independent answers as
    have that variance, wider by Student's t where there are few participants or pictures.

    Source:
        Cameron, Gelbach and Miller, Robust inference with multiway clustering, JBES 2011; Korn and Graubard, Confidence
        intervals for proportions with small expected number of positive counts, Survey Methodology 1998.
    """
    if not votes:
        return Share(0, 0)
    counts = np.array([counts for *_, counts in votes], np.float64)
    people, pictures = _places([vote[0] for vote in votes]), _places([vote[1] for vote in votes])
    count, total, share = int(counts.sum()), len(votes), float(counts.mean())
    if not people.max():
        return Share(count, total)
    binomial = share * (1 - share) / total
    variance = max(two_way_variance(counts, people, pictures), binomial)
    independent = total * binomial / variance if variance else total
    clusters = 1 + min(int(groups.max()) for groups in (people, pictures) if groups.max())
    low, high = wilson_interval(share, independent * _few_clusters(clusters))
    return Share(count, total, float(np.sqrt(variance)), low, high)


def _places(names: Sequence[str]) -> NDArray[np.intp]:
    """Return a number from 0 for each name, the same for equal ones."""
    return np.unique(np.array(names, object), return_inverse=True)[1].astype(np.intp)


def two_way_variance(counts: Floats, people: NDArray[np.intp], pictures: NDArray[np.intp]) -> float:
    """Return the variance of the mean of `counts`, by people and pictures less what both have in common."""
    rest = counts - counts.mean()
    cells = people * (pictures.max() + 1) + pictures
    by_people, by_pictures, by_cells = (_variance(rest, groups) for groups in (people, pictures, cells))
    return by_people + by_pictures - by_cells if pictures.max() else by_people


def _variance(rest: Floats, groups: NDArray[np.intp]) -> float:
    """Return the variance of a mean whose residuals may depend on each other within groups; 0 for one group."""
    sums = np.bincount(groups, weights=rest)
    number = len(np.unique(groups))
    return float((sums**2).sum()) / len(rest) ** 2 * number / max(1, number - 1)


def _few_clusters(clusters: int) -> float:
    """Return by what the number of answers shrinks, because their variance is known from few clusters."""
    from scipy import stats

    tail = (1 + LEVEL) / 2
    return float((stats.norm.ppf(tail) / stats.t.ppf(tail, clusters - 1)) ** 2)


def wilson_interval(share: float, answers: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of independent answers, whose number need not be whole.

    Source:
        Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    from scipy import stats

    square = float(stats.norm.ppf((1 + LEVEL) / 2)) ** 2 / answers
    centre = (share + square / 2) / (1 + square)
    half = np.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def even_p(count: int, total: int) -> float | None:
    """Return the two-sided exact p-value that both answers are equally likely; None without any."""
    if not total:
        return None
    from scipy import stats

    return float(stats.binomtest(count, total).pvalue)
