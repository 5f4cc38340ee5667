"""What attention checks tell of a participant: whether somebody who clicks without looking would have done as well."""

from math import ceil, comb

PASS = 0.75
MOST_CHANCE = 0.05
LEAST_CHECKS = 5
"""The fewest checks that somebody who clicks at random gets all right more seldom than that: in 3 of 100 cases."""


def chance(right: int, checks: int) -> float:
    """Return how likely so many right answers, or more, are at random.

    >>> chance(5, 5), chance(0, 5)
    (0.03125, 1.0)
    """
    return sum(comb(checks, number) for number in range(right, checks + 1)) * 0.5**checks


def needed(checks: int) -> int:
    """Return how many of so many checks must be right for a participant to be counted.

    These are three quarters, and more where somebody who clicks at random got that many in more than 5 % of the cases;
    all of them where even that is likelier.

    >>> [needed(checks) for checks in (1, 4, 5, 8, 10, 20)]
    [1, 4, 5, 7, 9, 15]
    """
    enough = range(ceil(PASS * checks), checks)
    return next((right for right in enough if chance(right, checks) <= MOST_CHANCE), checks)
