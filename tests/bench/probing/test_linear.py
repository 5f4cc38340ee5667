import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from bench.probing.linear import Features, assess, fit, held_out, in_span, mean_recall, pool, standardize


def problem(n: int, d: int, classes: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    values = torch.randn(n, d, generator=draw, dtype=torch.float64)
    return values, torch.randint(classes, (n,), generator=draw)


def objective(flat: np.ndarray, x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> float:
    """Return the same convex objective, written out with numpy alone."""
    weight, bias = flat[: x.shape[1] * classes].reshape(x.shape[1], classes), flat[x.shape[1] * classes :]
    logits = x @ weight + bias
    top = logits.max(1, keepdims=True)
    norm = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    return float((norm - logits[np.arange(len(y)), y]).mean() + penalty / 2 * (weight**2).sum())


@pytest.mark.parametrize("penalty", [0.05, 1.0])
def test_classifier_is_the_optimum_that_scipy_finds(penalty: float) -> None:
    values, labels = problem(40, 4, 3)
    x, y = values.numpy(), labels.numpy()
    found = minimize(objective, np.zeros(15), (x, y, 3, penalty), method="BFGS", options={"gtol": 1e-8})
    classifier = fit(values, labels, 3, penalty, 500)
    assert np.allclose(classifier.weight.numpy(), found.x[:12].reshape(4, 3), atol=1e-5)
    ours = objective(np.concatenate([classifier.weight.numpy().ravel(), classifier.bias.numpy()]), x, y, 3, penalty)
    assert ours == pytest.approx(found.fun, abs=1e-9)


def test_smaller_problem_has_the_same_answers() -> None:
    values, labels = problem(20, 60, 3)
    others = problem(30, 60, 3)[0] + 0.5
    direct = fit(values, labels, 3, 0.1, 500)
    small, small_others = in_span(values, others)
    assert small.shape == (20, 20)
    reduced = fit(small, labels, 3, 0.1, 500)
    assert torch.allclose(reduced(small_others), direct(others), atol=1e-4)


@pytest.mark.parametrize(("channels", "side"), [(96, 10), (256, 6), (384, 5), (64, 12), (512, 4), (20000, 1)])
def test_maps_become_about_as_many_numbers_as_in_the_authors_test(channels: int, side: int) -> None:
    assert pool(torch.zeros(1, channels, 27, 30)).shape == (1, channels * side**2)


def test_small_maps_keep_their_size_and_cells_are_means() -> None:
    feature = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    assert torch.equal(pool(feature), feature.flatten(1))
    large = torch.rand(1, 512, 8, 8)
    assert torch.allclose(pool(large)[0, 0], large[0, 0, :2, :2].mean())


def test_standardizing_is_by_the_photos_learnt_from() -> None:
    values, _ = problem(50, 5, 2)
    values[:, 2] = 7.0
    learnt, tested = standardize(values * 3 + 1, values[:10] * 3 + 1)
    assert torch.allclose(learnt.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-12)
    assert learnt.std(0, correction=0).tolist() == pytest.approx([1, 1, 0, 1, 1])
    assert torch.allclose(tested, learnt[:10])


def test_layer_that_tells_classes_apart_is_found_to() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    values = torch.nn.functional.one_hot(labels, 3).double() + 0.1 * torch.randn(60, 3, generator=draw).double()
    noise = torch.randn(60, 3, generator=draw, dtype=torch.float64)
    keys = tuple(str(place) for place in range(60))
    good, bad = (
        assess(Features(keys, each, labels), Features(keys, each.roll(3, 0), labels.roll(3, 0)), 3, 100)
        for each in (values, noise)
    )
    assert float(good.right.double().mean()) == 1.0 == mean_recall(good)
    assert mean_recall(bad) < 0.7


def test_mean_recall_counts_classes_alike() -> None:
    values = torch.tensor([[1.0], [1.0], [1.0], [-1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    learnt = Features(tuple("abcdefgh"), torch.cat([values, -values]), torch.tensor([0, 0, 0, 1, 1, 1, 1, 0]))
    outcome = assess(learnt, Features(tuple("wxyz"), values, labels), 2, 50)
    assert outcome.right.tolist() == [True, True, False, True]
    assert mean_recall(outcome) == pytest.approx((2 / 2 + 1 / 2) / 2)


def test_every_fifth_photo_chooses_the_penalty() -> None:
    keys = [f"photo{place}" for place in range(23)]
    chosen = dict(zip(keys, held_out(keys), strict=True))
    assert sum(chosen.values()) == math.ceil(23 / 5)
    assert dict(zip(keys[::-1], held_out(keys[::-1]), strict=True)) == chosen
