"""Shares of answers, and how sure they are when other people had judged other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.perception.clusters import Groups, freedom, number_groups, quantile, two_way_variance
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
        Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts, Survey
        Methodology 1998; the variance is that of `two_way_variance`.
    """
    if not votes:
        return Share(0, 0)
    counts = np.array([counts for *_, counts in votes], np.float64)
    people, pictures = number_groups([vote[0] for vote in votes]), number_groups([vote[1] for vote in votes])
    count, total, share = int(counts.sum()), len(votes), float(counts.mean())
    if not people.max():
        return Share(count, total)
    binomial = share * (1 - share) / total
    variance = max(_variance(counts, people, pictures), binomial)
    independent = total * binomial / variance if variance else total
    low, high = wilson_interval(share, independent * _few_clusters(freedom(people, pictures)))
    return Share(count, total, float(np.sqrt(variance)), low, high)


def _variance(counts: Floats, people: Groups, pictures: Groups) -> float:
    """Return the variance of the mean."""
    rest = (counts - counts.mean())[:, None]
    return float(two_way_variance(rest, people, pictures)[0, 0]) / len(counts) ** 2


def _few_clusters(freedom: float) -> float:
    """Return by what the number of answers shrinks, because their variance is known from few clusters."""
    return (quantile(np.inf) / quantile(freedom)) ** 2


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


def even_p(votes: Sequence[Vote]) -> float | None:
    """Return the two-sided p-value that both answers are equally likely; None for fewer than two participants.

    People who have a side of their own, some the left and some the right, do not make the sides uneven: the variance is
    that of the share, robust to people and pictures, and never below that of independent answers.
    """
    if len({participant for participant, *_ in votes}) < 2:
        return None
    from scipy import stats

    counts = np.array([counts for *_, counts in votes], np.float64)
    people, pictures = number_groups([vote[0] for vote in votes]), number_groups([vote[1] for vote in votes])
    error = np.sqrt(max(_variance(counts, people, pictures), 0.25 / len(votes)))
    return float(2 * stats.t.sf(abs(counts.mean() - 0.5) / error, freedom(people, pictures)))
