"""Bradley and Terry's model against published estimates, and against another way to compute it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from bench.perception.strengths import (
    fit_strengths,
    information,
    most_likely,
    score,
    standard_errors,
    why_unbounded,
)
from bench.statistics import Floats

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    np.float64,
)
"""Baseball's American League East of 1987: wins of the line over the column, 13 games a pair. Agresti, Categorical
Data Analysis, 2002, table 10.10."""
PUBLISHED = {
    "Milwaukee": (1.5814, 0.3433),
    "Detroit": (1.4364, 0.3396),
    "Toronto": (1.2945, 0.3367),
    "New York": (1.2476, 0.3359),
    "Boston": (1.1077, 0.3339),
    "Cleveland": (0.6839, 0.3319),
}
"""Distance to Baltimore and its error, as the R package BradleyTerry2 (Turner and Firth, JSS 2012) prints them."""


def majorize(wins: Floats, steps: int = 20_000) -> Floats:
    """Return log strengths by the algorithm of Hunter, Annals of Statistics 2004, with plain loops over methods."""
    count = len(wins)
    worth = np.ones(count)
    for _ in range(steps):
        before = worth.copy()
        for i in range(count):
            below = sum((wins[i, j] + wins[j, i]) / (worth[i] + worth[j]) for j in range(count) if j != i)
            worth[i] = wins[i].sum() / below
        worth /= worth.sum()
        if np.abs(np.log(worth) - np.log(before)).max() < 1e-13:
            break
    logs: Floats = np.log(worth) - np.log(worth).mean()
    return logs


def test_estimates_are_the_published_ones() -> None:
    values = most_likely(WINS)
    inverse = np.linalg.inv(information(WINS, values)[:-1, :-1])
    for place, team in enumerate(TEAMS[:-1]):
        strength, error = PUBLISHED[team]
        assert values[place] - values[-1] == pytest.approx(strength, abs=5e-5)
        assert np.sqrt(inverse[place, place]) == pytest.approx(error, abs=5e-5)


def test_estimates_are_those_of_another_algorithm() -> None:
    assert most_likely(WINS) == pytest.approx(majorize(WINS), abs=1e-8)


@given(some.lists(some.lists(some.integers(0, 6), min_size=4, max_size=4), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_finite_strengths_are_those_of_another_algorithm_and_others_are_refused(lists: list[list[int]]) -> None:
    wins = np.array(lists, np.float64) * (1 - np.eye(4))
    found, reason = fit_strengths("abcd", wins[None])
    assert bool(reason) != bool(found)
    if found:
        values = {one.name: one.strength for one in found}
        assert [values[name] for name in "abcd"] == pytest.approx(majorize(wins), abs=1e-5)
        assert np.abs(score(wins, np.array([values[name] for name in "abcd"]))).max() < 1e-6


@pytest.mark.parametrize(
    ("wins", "reason"),
    [
        ([[0, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 4, 0]], "never compared with each other: a, b | c, d"),
        ([[0, 3, 1, 2], [2, 0, 1, 1], [0, 0, 0, 1], [0, 0, 4, 0]], "a, b never lost to c, d"),
        ([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], "a never lost to b, c, d"),
        ([[0, 1, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], "never compared with each other: a, b, c | d"),
    ],
)
def test_distances_without_bound_are_told(wins: list[list[int]], reason: str) -> None:
    assert reason in why_unbounded("abcd", np.array(wins, np.float64))
    assert fit_strengths("abcd", np.array([wins], np.float64))[0] == []


def test_answers_of_one_participant_that_agree_widen_the_error() -> None:
    alone = np.zeros((20, 2, 2))
    alone[:12, 0, 1] = alone[12:, 1, 0] = 5
    errors = standard_errors(alone, most_likely(alone.sum(axis=0)))
    model = standard_errors(alone.sum(axis=0)[None], most_likely(alone.sum(axis=0)))
    distance = 2 * model[0]
    assert distance == pytest.approx(np.sqrt(1 / 60 + 1 / 40), rel=1e-6), "of a log odds of 60 : 40"
    assert errors[0] == pytest.approx(model[0] * np.sqrt(5 * 20 / 19), rel=1e-6), "20 answers, five times each"


def test_intervals_stand_around_the_strengths() -> None:
    found, _ = fit_strengths(TEAMS, WINS[None])
    assert [one.name for one in found][:2] == ["Milwaukee", "Detroit"]
    assert sum(one.strength for one in found) == pytest.approx(0, abs=1e-12)
    for one in found:
        assert one.high - one.strength == pytest.approx(one.strength - one.low)
        assert one.high - one.low == pytest.approx(2 * stats.norm.ppf(0.975) * one.error)
