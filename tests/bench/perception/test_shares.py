"""Shares of answers and their intervals, against plain loops and SciPy."""

import numpy as np
import pytest
from scipy import stats

from bench.perception.shares import Vote, estimate_share, even_p, exact_interval


def draw_votes(people: int, pictures: int, seed: int) -> list[Vote]:
    generator = np.random.default_rng(seed)
    taste, look = generator.normal(0, 1, people), generator.normal(0, 1, pictures)
    return [
        (f"p{person}", f"i{picture}", bool(generator.random() < 1 / (1 + np.exp(-taste[person] - look[picture]))))
        for person in range(people)
        for picture in range(pictures)
        if generator.random() < 0.7
    ]


def test_share_is_that_of_a_plain_loop() -> None:
    votes = draw_votes(9, 12, 0)
    found = estimate_share(votes)
    assert (found.count, found.total) == (sum(vote[2] for vote in votes), len(votes))
    assert found.share == sum(vote[2] for vote in votes) / len(votes)


def test_interval_is_that_of_people_and_pictures_drawn_one_by_one() -> None:
    votes = draw_votes(9, 12, 1)
    people, pictures = sorted({vote[0] for vote in votes}), sorted({vote[1] for vote in votes})
    generator = np.random.default_rng(5)
    shares = []
    for _ in range(1500):
        person = [people[place] for place in generator.integers(0, len(people), len(people))]
        picture = [pictures[place] for place in generator.integers(0, len(pictures), len(pictures))]
        drawn = [counts for one, image, counts in votes for _ in range(person.count(one) * picture.count(image))]
        shares.append(sum(drawn) / len(drawn))
    found = estimate_share(votes)
    assert found.low is not None
    assert (found.low, found.high) == pytest.approx(np.quantile(shares, [0.025, 0.975]).tolist(), abs=0.02)
    assert found.error == pytest.approx(np.std(shares), rel=0.06)


def test_interval_is_wider_than_if_answers_were_independent() -> None:
    votes = [(f"p{person}", f"i{picture}", person < 5) for person in range(10) for picture in range(20)]
    found = estimate_share(votes)
    assert found.low is not None
    assert found.high is not None
    low, high = exact_interval(100, 200)
    assert found.high - found.low > 3 * (high - low)


def test_equal_answers_get_the_exact_interval() -> None:
    votes = [(f"p{person}", "one", True) for person in range(12)]
    found = estimate_share(votes)
    assert (found.low, found.high) == pytest.approx((stats.beta.ppf(0.025, 12, 1), 1.0))


def test_one_participant_tells_nothing_of_others() -> None:
    found = estimate_share([("p", "one", True), ("p", "two", False)])
    assert (found.share, found.low, found.high, found.error) == (0.5, None, None, None)
    assert estimate_share([]).share is None


def test_sides_are_tested_by_the_binomial() -> None:
    assert even_p(30, 40) == pytest.approx(2 * stats.binom.sf(29, 40, 0.5))
    assert even_p(0, 0) is None
