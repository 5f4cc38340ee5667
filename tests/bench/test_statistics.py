import numpy as np
import pytest
from scipy import stats

from bench import statistics
from bench.statistics import bootstrap_interval


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(3).normal(24, 3, 57)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.Generator(np.random.PCG64(0))
    ).confidence_interval
    assert bootstrap_interval(values) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_over_instances_draws_pictures() -> None:
    random = np.random.default_rng(4)
    counts = random.integers(1, 9, 23)
    sums = random.normal(20, 4, 23) * counts
    expected = stats.bootstrap(
        (sums, counts),
        lambda top, below, axis: top.sum(axis) / below.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.Generator(np.random.PCG64(0)),
    ).confidence_interval
    assert bootstrap_interval(sums, counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_groups_of_one_are_the_mean_over_pictures() -> None:
    values = np.random.default_rng(5).normal(size=12)
    assert bootstrap_interval(values) == bootstrap_interval(values, np.ones(12))


def test_memory_is_bounded_without_a_change_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(6).normal(size=31)
    whole = bootstrap_interval(values)
    monkeypatch.setattr(statistics, "CHUNK_CELLS", 1000)
    assert bootstrap_interval(values) == whole


@pytest.mark.parametrize("values", [[], [3.0]])
def test_a_single_picture_has_no_interval(values: list[float]) -> None:
    assert bootstrap_interval(values) == (None, None)


def test_equal_values_have_an_interval_without_width() -> None:
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_interval_covers_the_mean_it_should() -> None:
    random = np.random.default_rng(7)
    inside = 0
    for _ in range(60):
        low, high = bootstrap_interval(random.normal(size=40), draws=500)
        assert low is not None
        assert high is not None
        inside += low < 0 < high
    assert 51 <= inside <= 60
