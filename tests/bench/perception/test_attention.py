"""How many checks must be right, against the binomial distribution of SciPy."""

import math

import pytest
from scipy import stats

from bench.perception.attention import LEAST_CHECKS, MOST_CHANCE, chance, needed


@pytest.mark.parametrize("checks", range(1, 40))
def test_clicks_at_random_pass_seldom_and_some_slips_are_forgiven(checks: int) -> None:
    right = needed(checks)
    by_chance = stats.binom.sf(right - 1, checks, 0.5)
    assert chance(right, checks) == pytest.approx(by_chance)
    assert (by_chance <= MOST_CHANCE) == (checks >= LEAST_CHECKS)
    assert right >= math.ceil(0.75 * checks)
    assert right in (checks, math.ceil(0.75 * checks)) or stats.binom.sf(right - 2, checks, 0.5) > MOST_CHANCE
