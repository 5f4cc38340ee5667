"""How sure a mean is: percentile bootstrap over pictures."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000
SEED = 0
LEVEL = 0.95
CHUNK_CELLS = 4_000_000

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


def _draw_means(
    totals: NDArray[np.float64], weights: NDArray[np.float64] | None, draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    n = len(totals)
    step = max(1, CHUNK_CELLS // n)
    means = []
    for start in range(0, draws, step):
        drawn = generator.integers(0, n, size=(min(step, draws - start), n))
        below = n if weights is None else weights[drawn].sum(axis=1)
        means.append(totals[drawn].sum(axis=1) / below)
    return np.concatenate(means)
