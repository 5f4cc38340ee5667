"""The order of a study: even, and hanging on nothing but its seed."""

from collections import Counter
from itertools import groupby, pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from bench.perception.design import Shown, deal, generator_of, scatter


@some.composite
def designs(draw: some.DrawFn) -> tuple[int, int, int, int]:
    conditions, pictures = draw(some.integers(1, 12)), draw(some.integers(1, 12))
    return conditions, pictures, draw(some.integers(1, conditions * pictures)), draw(some.integers(1, 6))


def spread_of(counts: Counter[int], kinds: int) -> int:
    values = [counts[kind] for kind in range(kinds)]
    return max(values) - min(values)


@given(designs(), some.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_everything_is_shown_equally_often(design: tuple[int, int, int, int], seed: int) -> None:
    conditions, pictures, trials, sessions = design
    dealt = deal(*design, generator_of(seed))
    everything = [shown for session in dealt for shown in session]
    assert [len(session) for session in dealt] == [trials] * sessions
    for session in dealt:
        assert len({(shown.condition, shown.picture) for shown in session}) == trials
        assert spread_of(Counter(shown.picture for shown in session), pictures) <= 1
        assert spread_of(Counter(shown.condition for shown in session), conditions) <= 2
    assert spread_of(Counter(shown.condition for shown in everything), conditions) <= 1
    cells = Counter(shown.condition * pictures + shown.picture for shown in everything)
    assert spread_of(cells, conditions * pictures) <= 1


def lean(shown: list[Shown]) -> int:
    return abs(sum(-1 if each.swapped else 1 for each in shown))


@given(designs(), some.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_side_is_more_frequent(design: tuple[int, int, int, int], seed: int) -> None:
    dealt = deal(*design, generator_of(seed))
    everything = sorted((shown for each in dealt for shown in each), key=lambda shown: (shown.condition, shown.picture))
    for _, cell in groupby(everything, key=lambda shown: (shown.condition, shown.picture)):
        assert lean(list(cell)) <= 1
    for _, condition in groupby(everything, key=lambda shown: shown.condition):
        assert lean(list(condition)) <= 4
    assert all(lean(session) <= max(4, len(session) / 4) for session in dealt)


def test_methods_change_sides_as_often_in_a_study_of_the_papers_size() -> None:
    dealt = deal(7, 50, 40, 40, generator_of(0))
    for condition in range(7):
        assert lean([each for session in dealt for each in session if each.condition == condition]) <= 4
    assert max(map(lean, dealt)) <= 8, "of 40 trials"


def test_a_picture_never_follows_itself() -> None:
    for session in deal(6, 5, 30, 8, generator_of(1)):
        assert all(one.picture != other.picture for one, other in pairwise(session))


def test_order_hangs_on_the_seed_alone() -> None:
    assert deal(5, 7, 20, 3, generator_of(1, "order")) == deal(5, 7, 20, 3, generator_of(1, "order"))
    assert deal(5, 7, 20, 3, generator_of(1, "order")) != deal(5, 7, 20, 3, generator_of(2, "order"))


@given(some.integers(1, 60), some.integers(0, 10), some.integers(0, 5))
def test_checks_are_spread_over_the_session(length: int, extra: int, seed: int) -> None:
    extra = min(extra, length)
    places = scatter(length, extra, generator_of(seed))
    assert len(places) == extra
    assert all(1 <= place < length + extra for place in places)
    assert all(one < other for one, other in pairwise(places))
    stretches = [1 + (length + extra - 1) * part // extra for part in range(extra + 1)] if extra else []
    assert all(low <= place < high for place, (low, high) in zip(places, pairwise(stretches), strict=True))
