"""Bradley and Terry's model against published estimates, and against another way to compute it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from bench.perception.strengths import (
    Choice,
    count_wins,
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


def choices_of(wins: Floats, names: Sequence[str], person: str = "p", picture: str = "i") -> list[Choice]:
    """Return answers of one person on one picture that are won so often."""
    places = [(i, j) for i, j in np.argwhere(wins).tolist() for _ in range(int(wins[i, j]))]
    return [(person, picture, names[i], names[j]) for i, j in places]


def simulate(generator: np.random.Generator, skills: Floats, people: int, pictures: int, spread: float) -> list[Choice]:
    """Return choices of people whose tastes differ, on pictures that suit some methods: one pair each."""
    names = "abcdefgh"[: len(skills)]
    tastes = generator.normal(0, spread, (people, len(skills)))
    suits = generator.normal(0, spread, (pictures, len(skills)))
    choices: list[Choice] = []
    for person, picture in np.ndindex(people, pictures):
        one, two = generator.choice(len(skills), 2, replace=False)
        worth = skills + tastes[person] + suits[picture]
        if worth[one] - worth[two] + generator.logistic() < 0:
            one, two = two, one
        choices.append((f"p{person}", f"i{picture}", names[one], names[two]))
    return choices


def population(skills: Floats, spread: float) -> Floats:
    """Return the strengths that endless people and pictures have."""
    noise = np.random.default_rng(9).normal(0, 2 * spread, 100_000)
    gaps = np.subtract.outer(skills, skills)
    chances = np.array([[np.mean(1 / (1 + np.exp(-gap - noise))) for gap in line] for line in gaps])
    return most_likely(1e4 * chances * (1 - np.eye(len(skills))))


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "people", "pictures"), [(0.0, 20, 20), (0.7, 20, 20), (0.7, 40, 8), (1.0, 12, 40)])
def test_intervals_hold_the_truth_as_often_as_they_say(spread: float, people: int, pictures: int) -> None:
    generator, skills = np.random.default_rng(0), np.array([0.8, 0.2, -0.2, -0.8])
    truth = dict(zip("abcd", population(skills, spread), strict=True))
    held = []
    for _ in range(150):
        found, _reason = fit_strengths("abcd", simulate(generator, skills, people, pictures, spread))
        held += [one.low <= truth[one.name] <= one.high for one in found]
    assert 0.92 <= np.mean(held) <= 0.99


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
    found, reason = fit_strengths("abcd", choices_of(wins, "abcd"))
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
    assert fit_strengths("abcd", choices_of(np.array(wins, np.float64), "abcd"))[0] == []


@pytest.mark.parametrize("way", ["people", "pictures"])
def test_answers_of_one_participant_or_picture_that_agree_widen_the_error(way: str) -> None:
    choices: list[Choice] = []
    for number in range(20):
        won = ("a", "b") if number < 12 else ("b", "a")
        others = [str(each) for each in range(5)]
        choices += [(str(number), each, *won) if way == "people" else (each, str(number), *won) for each in others]
    values = most_likely(np.array([[0, 60.0], [40, 0]]))
    alone = [("p", "i", chosen, other) for *_, chosen, other in choices]
    model, errors = standard_errors("ab", alone, values), standard_errors("ab", choices, values)
    assert 2 * model[0] == pytest.approx(np.sqrt(1 / 60 + 1 / 40), rel=1e-6), "of a log odds of 60 : 40"
    assert errors[0] == pytest.approx(model[0] * np.sqrt(100 / 19 - 100 / 99), rel=1e-6), "20 answers, five times each"


def test_errors_are_those_of_pairs_of_answers_that_share_a_person_or_a_picture() -> None:
    generator = np.random.default_rng(4)
    choices = simulate(generator, np.array([0.5, 0.0, -0.5]), 5, 6, 2.0)
    values = most_likely(count_wins("abc", choices))
    inverse = np.linalg.pinv(information(count_wins("abc", choices), values))
    gradients = []
    for *_, chosen, other in choices:
        side = np.array([float(name == chosen) - float(name == other) for name in "abc"])
        gradients.append(side / (1 + np.exp(side @ values)))
    meat = np.zeros((3, 3))
    for one, g in zip(choices, gradients, strict=True):
        for two, h in zip(choices, gradients, strict=True):
            product, cells = np.outer(g, h), len({choice[:2] for choice in choices})
            meat += product * ((one[0] == two[0]) * 5 / 4 + (one[1] == two[1]) * 6 / 5)
            meat -= product * (one[:2] == two[:2]) * cells / (cells - 1)
    wanted = np.sqrt(np.maximum(np.diag(inverse @ meat @ inverse), np.diag(inverse)))
    assert standard_errors("abc", choices, values) == pytest.approx(wanted)
    assert (wanted > np.sqrt(np.diag(inverse))).any(), "the case is one in which the answers agree"


def test_intervals_stand_around_the_strengths() -> None:
    found, _ = fit_strengths(TEAMS, choices_of(WINS, TEAMS))
    assert [one.name for one in found][:2] == ["Milwaukee", "Detroit"]
    assert sum(one.strength for one in found) == pytest.approx(0, abs=1e-12)
    for one in found:
        assert one.high - one.strength == pytest.approx(one.strength - one.low)
        assert one.high - one.low == pytest.approx(2 * stats.norm.ppf(0.975) * one.error)
