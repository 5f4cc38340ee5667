from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.scoring.frechet import frechet_distance

Features = NDArray[np.float64]


def make_features(seed: int, n: int, d: int, decay: float = 0.5) -> Features:
    """Return features like those of networks: correlated, never negative, of very unequal spread."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(d, d)) * (np.arange(d)[:, None] + 1.0) ** -decay
    return np.maximum(generator.normal(size=(n, d)) @ mixing + seed, 0)


def by_definition(prediction: Features, truth: Features) -> float:
    """Return equation 6 of Heusel et al. as it stands, with the matrix root of SciPy."""
    ours, theirs = np.cov(prediction, rowvar=False), np.cov(truth, rowvar=False)
    root = scipy.linalg.sqrtm(ours @ theirs)
    apart = np.sum((prediction.mean(axis=0) - truth.mean(axis=0)) ** 2)
    return float(apart + np.trace(ours + theirs - 2 * root.real))


def by_torch_fidelity(prediction: Features, truth: Features) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    moments = [fid_features_to_statistics(torch.from_numpy(features)) for features in (prediction, truth)]
    return float(fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"])


def by_many_digits(prediction: Features, truth: Features) -> float:
    """Return the same from the eigenvalues of the product, in so many digits that a singular one does no harm."""
    with mpmath.workdps(60):
        means, covariances = [], []
        for features in (prediction, truth):
            rows = mpmath.matrix(features.tolist())
            mean = mpmath.ones(1, rows.rows) * rows / rows.rows
            apart = rows - mpmath.ones(rows.rows, 1) * mean
            means.append(mean)
            covariances.append(apart.T * apart / (rows.rows - 1))
        values, _ = mpmath.eig(covariances[0] * covariances[1])
        common = sum(mpmath.re(mpmath.sqrt(value)) for value in values)
        spread = sum(covariance[i, i] for covariance in covariances for i in range(covariance.rows))
        return float(mpmath.norm(means[0] - means[1]) ** 2 + spread - 2 * common)


@pytest.mark.parametrize("n", [80, 700, 5000])
@pytest.mark.parametrize("peer", [by_definition, by_torch_fidelity])
def test_equals_others_where_they_are_well_conditioned(peer: Callable[[Features, Features], float], n: int) -> None:
    prediction, truth = make_features(1, n, 32), make_features(2, n + 40, 32)
    assert frechet_distance(prediction, truth) == pytest.approx(peer(prediction, truth), rel=1e-9)


@pytest.mark.parametrize("n", [2, 20, 63])
def test_equals_torch_fidelity_with_fewer_pictures_than_features(n: int) -> None:
    """Its eigenvalues of a singular matrix are off by the root of what rounding is, which is the tolerance here."""
    prediction, truth = make_features(1, n, 64), make_features(2, n, 64)
    assert frechet_distance(prediction, truth) == pytest.approx(by_torch_fidelity(prediction, truth), rel=1e-5)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_is_exact_with_fewer_pictures_than_features(n: int) -> None:
    prediction, truth = make_features(1, n, 8), make_features(2, n, 8)
    assert frechet_distance(prediction, truth) == pytest.approx(by_many_digits(prediction, truth), rel=1e-12)


def test_equals_the_closed_form_of_independent_features() -> None:
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3 / 4)
    ours, theirs = corners * [2, 3] + [10, 20], corners * [5, 1] + [7, 16]
    assert frechet_distance(ours, theirs) == pytest.approx(3**2 + 4**2 + (2 - 5) ** 2 + (3 - 1) ** 2, rel=1e-12)


@pytest.mark.parametrize("n", [5, 300])
def test_a_set_is_at_no_distance_from_itself(n: int) -> None:
    features = make_features(3, n, 48)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)


def test_a_single_picture_has_no_spread() -> None:
    assert frechet_distance(np.ones((1, 8)), np.ones((5, 8))) is None
    assert frechet_distance(np.ones((5, 8)), np.ones((0, 8))) is None


def test_is_the_same_to_the_last_bit_on_any_number_of_threads() -> None:
    prediction, truth = make_features(1, 700, 256).astype(np.float32), make_features(2, 700, 256).astype(np.float32)
    distances = set()
    for threads in (1, 2):
        with threadpool_limits(threads):
            distances.add(frechet_distance(prediction, truth))
    assert len(distances) == 1


@pytest.mark.parametrize("block", [1, 7, 50])
def test_blocks_change_nothing_but_rounding(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, truth = make_features(1, 100, 16), make_features(2, 100, 16)
    whole = frechet_distance(prediction, truth)
    monkeypatch.setattr("bench.scoring.frechet.BLOCK", block)
    assert frechet_distance(prediction, truth) == pytest.approx(whole, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("n", [500, 3000])
def test_equals_torch_fidelity_at_full_size(n: int) -> None:
    prediction, truth = make_features(1, n, 2048, 0.8), make_features(2, n, 2048, 0.8)
    tolerance = 1e-9 if n > 2048 else 1e-5
    assert frechet_distance(prediction, truth) == pytest.approx(by_torch_fidelity(prediction, truth), rel=tolerance)
