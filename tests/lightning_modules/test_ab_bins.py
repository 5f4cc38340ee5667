"""The colour bins and what is computed from them, against NumPy and SciPy."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.special import log_softmax

from lightning_modules.losses.ab_bins import ab_bins, nearest_bin, soft_encode
from lightning_modules.losses.color_prior import ColorPrior, count_bins, smooth_counts
from lightning_modules.losses.rebalanced import not_gray, rebalanced_cross_entropy, rebalancing_weights

ROWS = [5, 8, 10, 12, 14, 15, 16, 16, 17, 18, 18, 18, 19, 20, 19, 20, 20, 19, 19, 10]
RELEASED_SHA256 = "b5dec01315c34f43f1c8c089e84c45ae35d1838d8e77ed0e7ca930f79ffa450e"


def some_chroma(*shape: int, seed: int = 0, reach: float = 100) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * reach


def test_the_bins_are_the_released_ones() -> None:
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (313, 2), }".ljust(69) + b"\n"
    file = b"\x93NUMPY\x01\x00F\x00" + header + ab_bins().numpy().astype("<i8").tobytes()
    assert hashlib.sha256(file).hexdigest() == RELEASED_SHA256


def test_the_bins_have_the_published_counts() -> None:
    bins = ab_bins().numpy()
    assert bins.shape == (313, 2)
    assert [int((bins[:, 0] == a).sum()) for a in range(-90, 110, 10)] == ROWS
    assert np.array_equal(bins, np.array(sorted(map(tuple, bins))))


def test_the_bins_equal_the_file_of_the_authors(shared: Path) -> None:
    assert np.array_equal(ab_bins().numpy(), np.load(shared / "data" / "ab_bins" / "pts_in_hull.npy"))


@pytest.mark.parametrize("neighbours", [1, 5, 10])
def test_soft_encoding_is_a_gaussian_of_the_nearest(neighbours: int) -> None:
    chroma = some_chroma(2, 2, 5, 7).double()
    index, share = soft_encode(chroma, ab_bins().double(), neighbours)
    points = chroma.permute(0, 2, 3, 1).reshape(-1, 2).numpy()
    distance, nearest = cKDTree(ab_bins().numpy()).query(points, k=list(range(1, neighbours + 1)))
    weight = np.exp(-(distance**2) / (2 * 5**2))
    weight /= weight.sum(axis=1, keepdims=True)
    assert np.array_equal(index.permute(0, 2, 3, 1).reshape(-1, neighbours).numpy(), nearest)
    np.testing.assert_allclose(share.permute(0, 2, 3, 1).reshape(-1, neighbours).numpy(), weight, rtol=1e-9, atol=1e-15)
    assert torch.equal(nearest_bin(chroma, ab_bins().double()), index[:, 0])


def test_a_centre_shares_with_its_neighbours() -> None:
    _, share = soft_encode(torch.tensor([10.0, 20.0])[None, :, None, None], ab_bins())
    assert share[0, 0].item() == pytest.approx(1 / (1 + 4 * np.exp(-2)))


def test_counts_are_those_of_a_histogram() -> None:
    pictures = [some_chroma(2, 8, 6, seed=1), some_chroma(2, 3, 9, seed=2)]
    points = np.concatenate([picture.reshape(2, -1).T.numpy() for picture in pictures])
    wanted = np.bincount(cKDTree(ab_bins().numpy()).query(points)[1], minlength=313)
    assert np.array_equal(count_bins(pictures, ab_bins()).numpy(), wanted)


def test_smoothing_spreads_each_count_by_a_gaussian_within_the_gamut() -> None:
    bins = ab_bins().numpy().astype(float)
    counts = np.random.default_rng(0).integers(0, 50, 313).astype(float)
    wanted = np.zeros(313)
    for place, count in enumerate(counts):
        kernel = np.exp(-((bins - bins[place]) ** 2).sum(axis=1) / 50)
        wanted += count * kernel / kernel.sum()
    smooth = smooth_counts(torch.from_numpy(counts), ab_bins())
    np.testing.assert_allclose(smooth.numpy(), wanted / wanted.sum(), rtol=1e-12)


@pytest.mark.parametrize("uniform", [0.1, 0.5, 1.0])
def test_weights_follow_the_formula_of_the_paper(uniform: float) -> None:
    prior = np.random.default_rng(1).random(313) ** 4
    prior[:13] = 0
    prior /= prior.sum()
    raw = 1 / ((1 - uniform) * prior + uniform / 300)
    weights = rebalancing_weights(torch.from_numpy(prior), uniform)
    np.testing.assert_allclose(weights.numpy(), raw / (prior * raw).sum(), rtol=1e-12)
    assert (prior * weights.numpy()).sum() == pytest.approx(1)


def test_a_bin_without_a_prior_weighs_nothing_where_nothing_is_mixed_in() -> None:
    weights = rebalancing_weights(torch.tensor([0.0, 0.25, 0.75]), 0.0)
    assert weights.tolist() == pytest.approx([0, 2, 2 / 3])


def test_rare_colours_weigh_more() -> None:
    counts = torch.zeros(313)
    bins = ab_bins().tolist()
    counts[bins.index([0, 0])], counts[bins.index([80, 60])] = 990, 10
    weights = rebalancing_weights(smooth_counts(counts, ab_bins()))
    assert weights.argmin() == bins.index([0, 0])
    assert weights[bins.index([0, 0])] < weights[bins.index([80, 60])] < weights[bins.index([-80, 80])]


def test_a_prior_is_uniform_until_it_has_learnt() -> None:
    prior = ColorPrior()
    assert prior.probability.sum().item() == pytest.approx(1)
    prior.learn([])
    assert torch.equal(prior.probability, torch.full((313,), 1 / 313))
    prior.learn([torch.tensor([30.0, 40.0])[:, None, None].expand(2, 4, 4)])
    assert ab_bins()[prior.probability.argmax()].tolist() == [30, 40]
    assert ColorPrior().load_state_dict(prior.state_dict())


def test_the_loss_is_the_cross_entropy_of_the_dense_encoding() -> None:
    chroma = some_chroma(3, 2, 4, 5, seed=3)
    chroma[1] /= 100
    logits = torch.randn(3, 313, 4, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(313, generator=torch.Generator().manual_seed(1))
    rebalanced, plain = rebalanced_cross_entropy(logits, chroma, ab_bins(), weights)

    tree = cKDTree(ab_bins().numpy())
    values, weighted = [], []
    for picture in (0, 2):
        log_p = log_softmax(logits[picture].numpy().astype(float), axis=0)
        for y, x in np.ndindex(4, 5):
            distance, nearest = tree.query(chroma[picture, :, y, x].numpy(), k=5)
            dense = np.zeros(313)
            dense[nearest] = np.exp(-(distance**2) / 50)
            value = -(dense / dense.sum() * log_p[:, y, x]).sum()
            values.append(value)
            weighted.append(value * weights[dense.argmax()].item())
    assert plain.item() == pytest.approx(np.mean(values), rel=1e-5)
    assert rebalanced.item() == pytest.approx(np.mean(weighted), rel=1e-5)


def test_weights_multiply_the_gradient_of_each_pixel_as_in_the_released_training_code() -> None:
    chroma = some_chroma(1, 2, 3, 4, seed=5)
    weights = torch.rand(313, generator=torch.Generator().manual_seed(1))
    gradients = []
    for which in (0, 1):
        logits = torch.zeros(1, 313, 3, 4, requires_grad=True)
        torch.autograd.backward(rebalanced_cross_entropy(logits, chroma, ab_bins(), weights)[which])
        assert logits.grad is not None
        gradients.append(logits.grad)
    boost = weights[nearest_bin(chroma, ab_bins())][:, None]
    torch.testing.assert_close(gradients[0], gradients[1] * boost)


def test_gray_pictures_do_not_count() -> None:
    chroma = torch.zeros(3, 2, 4, 4)
    chroma[1, 0, 2, 2] = -5.1
    chroma[2] = 5
    assert not_gray(chroma).tolist() == [False, True, False]
    logits = torch.randn(2, 313, 4, 4, requires_grad=True)
    loss, plain = rebalanced_cross_entropy(logits, chroma[::2], ab_bins(), torch.ones(313))
    torch.autograd.backward(loss)
    assert loss.item() == plain.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
