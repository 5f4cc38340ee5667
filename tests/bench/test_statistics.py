from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench import statistics
from bench.statistics import (
    Floats,
    bootstrap_interval,
    bootstrap_intervals,
    control_false_discoveries,
    paired_difference,
    sign_flip_ps,
    signed_rank_p,
    tie_groups,
)

PERMUTATION_TEST: Any = stats.permutation_test


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


def test_columns_have_the_intervals_that_each_has_alone() -> None:
    random = np.random.default_rng(8)
    counts = random.integers(1, 9, 37)
    sums = random.normal(20, 4, (37, 3)) * counts[:, None]
    sums[:, 2] *= 1e-3
    for found, column in zip(bootstrap_intervals(sums, counts), sums.T, strict=True):
        assert found == pytest.approx(bootstrap_interval(column, counts), rel=1e-11)


def test_no_order_of_addition_changes_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(9).normal(20, 4, (301, 2))
    whole = bootstrap_intervals(sums, np.ones(301))
    assert bootstrap_intervals(sums[:, ::-1], np.ones(301)) == whole[::-1]
    monkeypatch.setattr(statistics, "CHUNK_CELLS", 1000)
    assert bootstrap_intervals(sums, np.ones(301)) == whole
    rounded = statistics._round_to_exact(sums)
    assert sum(rounded[:, 0].tolist()) == sum(rounded[::-1, 0].tolist())


@pytest.mark.parametrize("n", [0, 1])
def test_columns_of_a_single_picture_have_no_interval(n: int) -> None:
    assert bootstrap_intervals(np.zeros((n, 2)), np.ones(n)) == [(None, None)] * 2


def test_columns_of_zeros_have_intervals_without_width() -> None:
    assert bootstrap_intervals(np.zeros((3, 1)), np.ones(3)) == [(0.0, 0.0)]


def test_a_difference_of_pictures_is_described_as_scipy_would() -> None:
    differences = np.random.default_rng(10).normal(0.3, 1, 41)
    found = paired_difference(differences, np.arange(41))
    assert (found.pictures, found.values) == (41, 41)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-15)
    assert (found.low, found.high) == bootstrap_interval(differences)
    assert found.rank_p_value == stats.wilcoxon(differences).pvalue
    assert found.p_value == pytest.approx(turned_p(differences), abs=0.01)
    assert found.above == (differences > 0).mean()


def test_instances_are_tested_by_the_mean_of_their_picture() -> None:
    random = np.random.default_rng(11)
    pictures = np.sort(random.integers(0, 30, 200))
    differences = random.normal(0.2, 1, 200)
    names = np.unique(pictures)
    means = [differences[pictures == name].mean() for name in names]
    sums = [differences[pictures == name].sum() for name in names]
    counts = [(pictures == name).sum() for name in names]
    found = paired_difference(differences, pictures)
    assert (found.pictures, found.values) == (len(names), 200)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-15)
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(sums, counts), abs=1e-12)
    assert found.rank_p_value == pytest.approx(stats.wilcoxon(means).pvalue, rel=1e-12)
    assert found.p_value == pytest.approx(turned_p(np.array(sums)), abs=0.01)


def test_equal_pictures_count_half_and_are_not_tested() -> None:
    found = paired_difference([0.0, 0.0, 1.0, 2.0, 3.0, -0.5, 4.0, 5.0, 6.0, 7.0], np.arange(10))
    assert found.above == (7 + 2 / 2) / 10
    assert found.rank_p_value == stats.wilcoxon([1.0, 2.0, 3.0, -0.5, 4.0, 5.0, 6.0, 7.0]).pvalue


def test_few_or_equal_pictures_prove_nothing() -> None:
    nothing = paired_difference([], [])
    assert (nothing.pictures, nothing.mean, nothing.p_value, nothing.above) == (0, None, None, None)
    single = paired_difference([3.0], [0])
    assert (single.mean, single.low, single.high, single.p_value, single.above) == (3.0, None, None, 1.0, 1.0)
    equal = paired_difference(np.zeros(9), np.arange(9))
    assert (equal.mean, equal.low, equal.high, equal.p_value, equal.above) == (0.0, 0.0, 0.0, 1.0, 0.5)
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 2**5)
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 2**6)


def test_a_test_of_few_tied_pictures_is_exact() -> None:
    random = np.random.default_rng(13)
    for n in range(2, 10):
        differences = random.choice([-2.0, -1.0, 1.0, 2.0, 3.0], n)
        differences[-1] = differences[0]
        assert signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences).pvalue, abs=1e-12)


def test_false_discoveries_are_controlled_by_the_rule_of_the_paper() -> None:
    p_values = [0.01, None, 0.04, 0.03, 0.005]
    ordered = [0.005, 0.01, 0.03, 0.04]
    raised = [p * 4 / place for place, p in enumerate(ordered, 1)]
    expected = {p: min(raised[place:]) for place, p in enumerate(ordered)}
    found = control_false_discoveries(p_values)
    assert found == [None if p is None else pytest.approx(expected[p]) for p in p_values]
    assert control_false_discoveries([]) == []
    assert control_false_discoveries([None]) == [None]


@pytest.mark.parametrize("n", [2, 5, 13])
def test_the_test_of_the_mean_goes_through_all_signs_of_few_pictures_as_scipy_does(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    padded = np.r_[differences, 0.0, 0.0]
    expected = PERMUTATION_TEST(
        (differences,), lambda values, axis: np.abs(values.mean(axis)), permutation_type="samples",
        n_resamples=np.inf, alternative="greater", vectorized=True,
    ).pvalue  # fmt: skip
    assert sign_flip_ps(padded[:, None]) == [pytest.approx(expected, abs=1e-12)]


def test_the_test_of_the_mean_asks_what_its_interval_asks() -> None:
    skewed = np.r_[np.full(60, 0.2), np.full(20, -3.0)]
    found = paired_difference(skewed, np.arange(80))
    assert found.high is not None
    assert found.high < 0, "the mean is below zero, though most pictures are above it"
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert found.above == 0.75


def test_no_order_and_no_company_changes_the_test_of_a_mean() -> None:
    random = np.random.default_rng(15)
    sums = random.normal(0.2, 1, (60, 3))
    found = sign_flip_ps(sums)
    assert sign_flip_ps(sums[:, ::-1]) == found[::-1]
    assert sign_flip_ps(sums[:, 1:2]) == found[1:2]
    assert sign_flip_ps(np.zeros((20, 1))) == [1.0]
    assert sign_flip_ps(np.ones((40, 1))) == [pytest.approx(1 / 10_001)]


def test_means_of_no_difference_are_rarely_told_apart() -> None:
    random = np.random.default_rng(16)
    found = np.array(sign_flip_ps(random.normal(size=(50, 400)), draws=999))
    assert 0.02 <= np.mean(found <= 0.05) <= 0.08


def turned_p(differences: Floats) -> float:
    """Return SciPy's p-value of signs drawn otherwise."""
    found = PERMUTATION_TEST(
        (differences,), lambda values, axis: np.abs(values.mean(axis)), permutation_type="samples",
        n_resamples=20_000, alternative="greater", vectorized=True, rng=np.random.default_rng(1),
    )  # fmt: skip
    return float(found.pvalue)


def test_groups_are_those_of_a_plain_loop() -> None:
    random = np.random.default_rng(12)
    pictures = np.repeat(np.arange(25), 2)
    level = random.normal(20, 3, (50, 1))
    scores = level - np.array([0.0, 0.1, 0.4, 0.5, 0.55, 1.5]) + random.normal(0, 0.5, (50, 6))
    p_values = {}
    for one in range(6):
        for two in range(one + 1, 6):
            sums = [(scores[pictures == each, one] - scores[pictures == each, two]).sum() for each in range(25)]
            p_values[one, two] = turned_p(np.array(sums))
    adjusted = dict(zip(p_values, stats.false_discovery_control(list(p_values.values())), strict=True))
    expected, opener = [1], 0
    for method in range(1, 6):
        if adjusted[opener, method] <= 0.05:
            opener = method
            expected.append(expected[-1] + 1)
        else:
            expected.append(expected[-1])
    assert tie_groups(scores, pictures) == expected
    assert 1 < expected[-1] < 6, "the case is to have ties and groups"


def test_a_single_pair_that_differs_is_found_among_many() -> None:
    noise = np.random.default_rng(17).normal(0, 100, (40, 34))
    scores = np.column_stack([np.ones(40), noise, np.zeros(40)])
    assert tie_groups(scores, np.arange(40)) == [1] * 35 + [2], "one pair of 630, all others are of noise"


def test_a_group_is_judged_by_the_method_that_opened_it() -> None:
    base, noise = np.linspace(20, 30, 12), np.random.default_rng(14).normal(0, 0.1, 12)
    first, second, third = base, base + noise - noise.mean() - 0.001, base - 1
    assert tie_groups(np.column_stack([first, second, third]), np.arange(12)) == [1, 1, 2]
    assert tie_groups(np.column_stack([first, third, third]), np.arange(12)) == [1, 2, 2]


def test_boards_of_no_one_or_unpaired_methods_have_groups() -> None:
    assert tie_groups(np.empty((0, 0)), np.empty(0, np.intp)) == []
    assert tie_groups(np.ones((4, 1)), np.arange(4)) == [1]
    unpaired = np.array([[1.0, np.nan], [np.nan, 2.0]])
    assert tie_groups(unpaired, np.arange(2)) == [1, 1]
    missing = np.column_stack([np.arange(9.0), np.r_[np.nan, np.arange(1.0, 9.0) - 1]])
    assert tie_groups(missing, np.arange(9)) == [1, 2]
