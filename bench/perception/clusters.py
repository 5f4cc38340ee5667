"""How sure a sum over answers is when neither those of one person nor those on one picture are independent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.statistics import LEVEL, Floats

Groups = NDArray[np.intp]


def number_groups(names: Sequence[str]) -> Groups:
    """Return a number from 0 for each name, the same for equal ones."""
    return np.unique(np.array(names, object), return_inverse=True)[1].astype(np.intp)


def two_way_variance(scores: Floats, people: Groups, pictures: Groups) -> Floats:
    """Return the covariance of the sum of scores: by people and by pictures, less what both have in common.

    Args:
        scores: (answers, values), each column of mean 0.
        people: (answers,) number of the person.
        pictures: (answers,) number of the picture.

    Returns:
        (values, values); of one way alone where all answers are on one picture.

    Source:
        Cameron, Gelbach and Miller, Robust inference with multiway clustering, JBES 2011.
    """
    cells = people * (pictures.max() + 1) + pictures
    by_people, by_pictures, by_cells = (_by_groups(scores, groups) for groups in (people, pictures, cells))
    return by_people + by_pictures - by_cells if pictures.max() else by_people


def _by_groups(scores: Floats, groups: Groups) -> Floats:
    """Return the covariance of a sum whose terms may depend on each other within groups; 0 for one group."""
    sums = np.stack([np.bincount(groups, weights=column) for column in scores.T])
    number = len(np.unique(groups))
    return sums @ sums.T * number / max(1, number - 1)


def freedom(people: Groups, pictures: Groups) -> float:
    """Return the degrees of freedom of that variance: the fewer of people and pictures less one; infinite for none."""
    several = [int(groups.max()) for groups in (people, pictures) if groups.max()]
    return float(min(several, default=np.inf))


def quantile(freedom: float) -> float:
    """Return how many standard errors a 95 % interval reaches to each side, by Student's t."""
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
