"""How sure a mean or a difference is: bootstrap over pictures, paired tests, and what they leave tied."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000
DRAWS_PER_PAIR = 40
SEED = 0
LEVEL = 0.95
FALSE_DISCOVERIES = 0.05
MOST_TIED = 13
MOST_TURNED = 13
CHUNK_CELLS = 100_000

Floats = NDArray[np.float64]
Interval = tuple[float, float] | tuple[None, None]


def bootstrap_interval(
    sums: ArrayLike, counts: ArrayLike | None = None, *, draws: int = DRAWS, seed: int = SEED, level: float = LEVEL
) -> Interval:
    """Return the percentile interval of a mean when the pictures are drawn anew.

    Pictures are drawn, also for means over instances, because the instances of one picture are not independent: the
    mean of a draw is the sum of its pictures' sums over the sum of their counts. Equal input gives equal output.

    Args:
        sums: (n,) the score of each picture, or the sum over its instances.
        counts: (n,) how many instances are in each sum, at least 1; None for one each.
        draws: how many sets of n pictures are drawn with replacement, by PCG64.
        seed: of the drawing.
        level: share of the draws inside the interval.

    Returns:
        Lower and upper end; (None, None) for fewer than two pictures, from which nothing can be learnt about spread.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    totals = np.asarray(sums, np.float64)
    weights = None if counts is None else np.asarray(counts, np.float64)
    if len(totals) < 2:
        return None, None
    means = _draw_means(totals, weights, draws, np.random.Generator(np.random.PCG64(seed)))
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _draw_means(totals: Floats, weights: Floats | None, draws: int, generator: np.random.Generator) -> Floats:
    n = len(totals)
    step = max(1, CHUNK_CELLS // n)
    means = []
    for start in range(0, draws, step):
        drawn = generator.integers(0, n, size=(min(step, draws - start), n))
        below = n if weights is None else weights[drawn].sum(axis=1)
        means.append(totals[drawn].sum(axis=1) / below)
    return np.concatenate(means)


def bootstrap_intervals(sums: ArrayLike, counts: ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> list[Interval]:
    """Return the interval of each column as `bootstrap_interval` does, from one set of draws.

    How often each picture was drawn, times the sums, is one matrix product for all columns. Sums are rounded to a
    multiple of a power of two, so small that their total has room for every digit (12 decimal digits of the largest
    stay): then no order of addition, no processor and no number of threads changes a bit.

    Args:
        sums: (n, columns) of each picture.
        counts: (n,) how many instances are in each sum, at least 1.
        draws: how many sets of n pictures are drawn with replacement, by PCG64.
        seed: of the drawing.
    """
    totals = _round_to_exact(np.asarray(sums, np.float64))
    n, columns = totals.shape
    if n < 2:
        return [(None, None)] * columns
    columns_of_draw = np.column_stack([totals, np.asarray(counts, np.float64)])
    generator = np.random.Generator(np.random.PCG64(seed))
    step = max(1, CHUNK_CELLS // n)
    drawn = [_draw_counts(n, min(step, draws - start), generator) @ columns_of_draw for start in range(0, draws, step)]
    means = np.concatenate(drawn)
    tail = (1 - LEVEL) / 2
    ends = np.quantile(means[:, :-1] / means[:, -1:], [tail, 1 - tail], axis=0)
    return [(float(low), float(high)) for low, high in ends.T]


def _draw_counts(n: int, draws: int, generator: np.random.Generator) -> Floats:
    """Return (draws, n): how often each of n pictures is among n drawn ones."""
    drawn = generator.integers(0, n, size=(draws, n))
    drawn += np.arange(draws)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def _round_to_exact(sums: Floats) -> Floats:
    """Round each column so that the sum of any n of its numbers, with repetition, is exact in 53 bits."""
    largest = np.abs(sums).max(axis=0, initial=0.0) * len(sums)
    _, exponent = np.frexp(largest)
    rounded: Floats = np.ldexp(np.rint(np.ldexp(sums, 52 - exponent)), exponent - 52)
    return rounded


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Hold how far one method lies above another on the same pictures.

    Attributes:
        pictures: that both have.
        values: differences in the mean: pictures, or instances.
        mean: of the differences; None without any.
        low: lower end of the 95 % bootstrap interval over pictures, `high` the upper one; None for a single picture.
        p_value: of `sign_flip_ps`, for the mean; None without any picture.
        rank_p_value: of `signed_rank_p` over pictures, for who is better on most of them; None without any.
        above: share of the pictures on which the first is higher; equal ones count half. None without any.
    """

    pictures: int
    values: int
    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None
    rank_p_value: float | None
    above: float | None


def paired_difference(differences: ArrayLike, pictures: ArrayLike) -> PairedDifference:
    """Describe the differences of two methods.

    Instances of one picture are not independent: the bootstrap draws pictures, the test of the mean turns the signs of
    all differences of a picture together, and the rank test and `above` see the mean difference of each picture.

    Args:
        differences: (n,) first less second, of each picture or instance that both have.
        pictures: (n,) the number of the picture that each belongs to.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        return PairedDifference(0, 0, None, None, None, None, None, None)
    sums, counts = _picture_sums(values, np.asarray(pictures, np.intp))
    low, high = bootstrap_interval(sums, counts)
    means = sums / counts
    above = float(np.mean((np.sign(means) + 1) / 2))
    mean = math.fsum(values.tolist()) / len(values)
    (p_value,) = sign_flip_ps(sums[:, None])
    return PairedDifference(len(means), len(values), mean, low, high, p_value, signed_rank_p(means), above)


def _picture_sums(values: Floats, pictures: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the sum and the number of the values of each picture that has any."""
    sums = np.bincount(pictures, weights=values).astype(np.float64)
    counts = np.bincount(pictures).astype(np.float64)
    return sums[counts > 0], counts[counts > 0]


def sign_flip_ps(sums: Floats, *, draws: int = DRAWS, seed: int = SEED) -> list[float]:
    """Return the two-sided p-value, for each column of paired differences, that their mean is zero.

    Were two methods alike, every picture's difference could as well have the other sign: the p-value is the share of
    all ways to choose the signs whose mean is as far from zero as the one that was seen. It asks the same as the
    interval of the mean and the rank by it. All ways are gone through for up to 13 pictures, else drawn, the seen one
    among them. No processor and no number of threads changes a bit.

    Args:
        sums: (n, columns) of each picture; 0 where a column lacks it.
        draws: how many ways are drawn, by PCG64.
        seed: of the drawing.

    Returns:
        Numbers in (0, 1]; 1 where all differences are zero.

    Source:
        Fisher, The Design of Experiments, 1935, section 21; equal to SciPy's `permutation_test` of type `samples`.
    """
    rounded = _round_to_exact(sums)
    seen = np.abs(rounded.sum(axis=0))
    generator = np.random.Generator(np.random.PCG64(seed))
    reached = np.ones(sums.shape[1])
    step = max(1, CHUNK_CELLS // max(1, len(sums)))
    for start in range(0, draws, step):
        signs = generator.integers(0, 2, size=(min(step, draws - start), len(sums))) * 2.0 - 1
        reached += (np.abs(signs @ rounded) >= seen).sum(axis=0)
    drawn: list[float] = (reached / (draws + 1)).tolist()
    few = (rounded != 0).sum(axis=0) <= MOST_TURNED
    return [_all_flips_p(rounded[:, place]) if few[place] else p for place, p in enumerate(drawn)]


def _all_flips_p(sums: Floats) -> float:
    """Return the p-value over all ways to choose the signs of a few differences."""
    unequal = sums[sums != 0]
    turned = np.arange(2 ** len(unequal))[:, None] >> np.arange(len(unequal)) & 1
    return float(np.mean(np.abs((1 - 2.0 * turned) @ unequal) >= abs(unequal.sum())))


def signed_rank_p(differences: ArrayLike) -> float | None:
    """Return the two-sided p-value of Wilcoxon's signed-rank test that differences lie evenly around zero.

    Zeros are left out; 1 where nothing else is there, None without any difference. Fewer than six non-zero differences
    cannot reach 0.05. The test is exact up to 50 differences, where some are tied up to 13.

    Source:
        Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1945; equal to SciPy's `wilcoxon`.
    """
    from scipy import stats

    values = np.asarray(differences, np.float64)
    if not len(values):
        return None
    unequal = values[values != 0]
    if not len(unequal):
        return 1.0
    if len(unequal) <= MOST_TIED and len(np.unique(np.abs(unequal))) < len(unequal):
        return _tied_p(stats.rankdata(np.abs(unequal)), unequal > 0)
    return float(stats.wilcoxon(unequal).pvalue)


def _tied_p(ranks: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the exact p-value of ranks with ties; SciPy goes through all signs for it, which takes a second."""
    halves = np.rint(2 * ranks).astype(np.intp)
    ways = np.ones(1)
    for rank in halves:
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    reached = halves[positive].sum()
    tail = min(ways[: reached + 1].sum(), ways[reached:].sum()) / ways.sum()
    return float(min(1.0, 2 * tail))


def control_false_discoveries(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values of a family of tests after Benjamini and Hochberg; those that are None are in no family.

    Source:
        Benjamini and Hochberg, Controlling the False Discovery Rate, JRSS B 1995; SciPy's `false_discovery_control`.
    """
    known = [p for p in p_values if p is not None]
    if not known:
        return list(p_values)
    from scipy import stats

    adjusted = iter(stats.false_discovery_control(known).tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]


def tie_groups(scores: Floats, pictures: NDArray[np.intp], rate: float = FALSE_DISCOVERIES) -> list[int]:
    """Group methods that cannot be told apart from the best of their group, on the pictures that both have.

    The first method opens group 1. Each next one belongs to it unless it differs from the one that opened it; the first
    that does opens the next group.

    No p-value of drawn signs is below one over their number, and a single pair that differs must come below `rate` over
    the number of pairs: signs are drawn 40 times for each pair, and 10 000 times at least.

    Args:
        scores: (n, methods) of each picture or instance, best method first; NaN where a method has none.
        pictures: (n,) the number of the picture that each line belongs to.
        rate: of false discoveries among the differences of all pairs of the methods.
    """
    methods = scores.shape[1]
    pairs = list(combinations(range(methods), 2))
    p_values = control_false_discoveries(_pair_ps(scores, pictures, pairs))
    differ = {pair for pair, p in zip(pairs, p_values, strict=True) if p is not None and p <= rate}
    groups, opener = [1] * min(methods, 1), 0
    for method in range(1, methods):
        opens = (opener, method) in differ
        groups.append(groups[-1] + opens)
        opener = method if opens else opener
    return groups


def _pair_ps(scores: Floats, pictures: NDArray[np.intp], pairs: Sequence[tuple[int, int]]) -> list[float | None]:
    """Return the p-value of each pair of methods over the pictures that both have; None where there are none."""
    if not pairs or not len(scores):
        return [None] * len(pairs)
    differences = np.column_stack([scores[:, one] - scores[:, two] for one, two in pairs])
    both = ~np.isnan(differences)
    known = np.where(both, differences, 0)
    sums = np.column_stack([np.bincount(pictures, weights=column) for column in known.T]).astype(np.float64)
    p_values = sign_flip_ps(sums, draws=max(DRAWS, DRAWS_PER_PAIR * len(pairs)))
    return [p if both[:, place].any() else None for place, p in enumerate(p_values)]
