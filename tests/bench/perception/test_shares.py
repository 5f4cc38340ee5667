"""Shares of answers and their intervals, against SciPy, plain loops, and simulated studies whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from bench.perception.shares import Vote, estimate_share, even_p, wilson_interval


def simulate(generator: np.random.Generator, people: int, pictures: int, spread: float) -> list[Vote]:
    """Return votes of people with their own taste on pictures that are more or less easy; nobody sees all."""
    taste, look = generator.normal(0, spread, people), generator.normal(0, spread, pictures)
    noise = generator.logistic(0, 1, (people, pictures))
    seen = generator.random((people, pictures)) < 0.5
    votes = taste[:, None] + look[None] + noise > 0.8
    return [(f"p{i}", f"i{j}", bool(votes[i, j])) for i, j in np.argwhere(seen).tolist()]


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_intervals_hold_the_truth_as_often_as_they_say(spread: float) -> None:
    generator = np.random.default_rng(0)
    large = generator.normal(0, spread, (2, 200_000)).sum(axis=0) + generator.logistic(0, 1, 200_000)
    truth = float(np.mean(large > 0.8))
    found = [estimate_share(simulate(generator, 16, 20, spread)) for _ in range(200)]
    held = np.mean([each.low is not None and each.low <= truth <= (each.high or 0) for each in found])
    assert 0.92 <= held <= 0.995


def test_error_is_that_of_many_studies() -> None:
    generator = np.random.default_rng(1)
    found = [estimate_share(simulate(generator, 30, 30, 1.0)) for _ in range(200)]
    errors = [each.error for each in found if each.error is not None]
    assert np.mean(errors) == pytest.approx(np.std([each.count / each.total for each in found]), rel=0.12)


def test_variance_is_that_of_pairs_of_answers_of_one_person_or_picture() -> None:
    votes = simulate(np.random.default_rng(2), 6, 9, 1.5)
    share = sum(vote[2] for vote in votes) / len(votes)
    people, pictures = len({vote[0] for vote in votes}), len({vote[1] for vote in votes})
    total = {"person": 0.0, "picture": 0.0, "both": 0.0}
    for one in votes:
        for other in votes:
            product = (one[2] - share) * (other[2] - share) / len(votes) ** 2
            total["person"] += product * (one[0] == other[0]) * people / (people - 1)
            total["picture"] += product * (one[1] == other[1]) * pictures / (pictures - 1)
            total["both"] += product * (one[:2] == other[:2]) * len(votes) / (len(votes) - 1)
    variance = total["person"] + total["picture"] - total["both"]
    assert variance > share * (1 - share) / len(votes), "the case is one in which the answers agree"
    assert estimate_share(votes).error == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize(("count", "total"), [(0, 12), (3, 12), (12, 12), (40, 100)])
def test_interval_is_wilsons(count: int, total: int) -> None:
    known = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(count / total, total) == pytest.approx((known.low, known.high), abs=1e-12)


def test_equal_answers_leave_doubt() -> None:
    found = estimate_share([(f"p{person}", "one", True) for person in range(12)])
    assert (found.share, found.high, found.error) == (1.0, 1.0, 0.0)
    assert found.low is not None
    assert 0.65 < found.low < stats.binomtest(12, 12).proportion_ci(0.95, method="wilson").low


def test_one_participant_tells_nothing_of_others() -> None:
    found = estimate_share([("p", "one", True), ("p", "two", False)])
    assert (found.share, found.low, found.high, found.error) == (0.5, None, None, None)
    assert estimate_share([]).share is None


def test_independent_answers_are_tested_as_by_the_binomial() -> None:
    votes = [(f"p{place}", f"i{place}", place < 110) for place in range(200)]
    assert even_p(votes) == pytest.approx(stats.binomtest(110, 200).pvalue, abs=0.03)
    assert even_p(votes[:1]) is None
    assert even_p([]) is None


def test_sides_of_their_own_do_not_make_sides_uneven() -> None:
    generator = np.random.default_rng(5)
    found, binomial = [], []
    for _ in range(150):
        likes = 1 / (1 + np.exp(-generator.normal(0, 1, 20)))
        votes = [(f"p{i}", f"i{j}", bool(generator.random() < likes[i])) for i in range(20) for j in range(40)]
        found.append((even_p(votes) or 0) < 0.05)
        binomial.append(stats.binomtest(sum(vote[2] for vote in votes), 800).pvalue < 0.05)
    assert np.mean(binomial) > 0.3, "what answers that hang together do to it"
    assert np.mean(found) < 0.09


def test_a_side_that_all_like_is_found() -> None:
    votes = [(f"p{i}", f"i{j}", (i + j) % 4 > 0) for i in range(20) for j in range(40)]
    assert (even_p(votes) or 1) < 0.001
