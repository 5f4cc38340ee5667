"""The scores of filled pictures, against scikit-image and plain numpy; of lines, against a plain loop."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import metrics
from skimage.color import rgb2gray
from torch import Tensor

from bench.inpainting.metrics import INPAINT_METRICS
from bench.inpainting.record import score_of
from bench.inpainting.scoring import score_edges, score_filled

SIDE = 60
peak_signal_noise_ratio: Any = metrics.peak_signal_noise_ratio
structural_similarity: Any = metrics.structural_similarity


def pair() -> tuple[Tensor, Tensor]:
    """Return two pictures that differ in a hole."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    filled = truth.copy()
    filled[:, 10:40, 20:50] = random.integers(0, 256, (3, 30, 30), dtype=np.uint8)
    return torch.from_numpy(filled), torch.from_numpy(truth)


def picture(rgb: Tensor) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = rgb.permute(1, 2, 0).numpy()
    return values


def test_scores_are_those_of_scikit_image_and_of_numpy() -> None:
    filled, truth = pair()
    ours, theirs = picture(filled), picture(truth)
    gray = rgb2gray(ours), rgb2gray(theirs)
    similarity = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = {
        "psnr": peak_signal_noise_ratio(theirs, ours, data_range=255),
        "l1_relative": 100 * np.abs(gray[0] - gray[1]).sum() / (gray[0] + gray[1]).sum(),
        "l1_of_truth": 100 * np.abs(ours.astype(float) - theirs).sum() / theirs.astype(float).sum(),
        "psnr_gray": peak_signal_noise_ratio(gray[1], gray[0], data_range=1),
        "ssim_gray51": structural_similarity(gray[1], gray[0], data_range=1, win_size=51),
    }
    _, full = structural_similarity(theirs, ours, channel_axis=-1, full=True, **similarity)
    expected["ssim"] = full[5:-5, 5:-5].mean()
    found = score_filled(filled, truth)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert set(found) <= set(INPAINT_METRICS)


def test_the_true_picture_is_without_fault() -> None:
    _, truth = pair()
    assert score_filled(truth, truth) == {
        "psnr": 100.0,
        "ssim": pytest.approx(1),
        "l1_relative": 0.0,
        "l1_of_truth": 0.0,
        "psnr_gray": 100.0,
        "ssim_gray51": pytest.approx(1),
    }


def test_what_a_picture_is_too_small_or_too_dark_for_is_missing() -> None:
    black = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert score_filled(black, black) == {
        "psnr": 100.0,
        "ssim": None,
        "l1_relative": None,
        "l1_of_truth": None,
        "psnr_gray": 100.0,
        "ssim_gray51": None,
    }


def test_lines_are_counted_in_the_hole_alone() -> None:
    random = np.random.default_rng(1)
    drawn, truth, hole = random.random((9, 9)), random.random((9, 9)) < 0.3, random.random((9, 9)) < 0.5
    found = score_edges(torch.from_numpy(drawn), torch.from_numpy(truth).float(), torch.from_numpy(hole).float())
    counts = {"both": 0, "drawn": 0, "true": 0}
    for place in np.argwhere(hole):
        made, true = drawn[tuple(place)] > 0.5, truth[tuple(place)]
        counts["drawn"] += bool(made)
        counts["true"] += bool(true)
        counts["both"] += bool(made and true)
    assert found == {
        "edge_precision": counts["both"] / counts["drawn"],
        "edge_recall": counts["both"] / counts["true"],
    }


def test_lines_where_there_are_none_are_as_the_authors_count_them() -> None:
    none, all_over = torch.zeros(3, 3), torch.ones(3, 3)
    assert score_edges(none, none, all_over) == {"edge_precision": 1.0, "edge_recall": 1.0}
    assert score_edges(all_over, none, all_over) == {"edge_precision": 0.0, "edge_recall": 0.0}
    assert score_edges(none, all_over, all_over) == {"edge_precision": 0.0, "edge_recall": 0.0}


def test_a_mean_is_over_the_pictures_that_have_the_score() -> None:
    values = [1.0, None, 4.0, 1.0]
    score = score_of(values)
    assert (score.n, score.mean) == (3, 2.0)
    assert score.std == pytest.approx(np.std([1.0, 4.0, 1.0], ddof=1))
    assert score.low is not None
    assert score.high is not None
    assert 1.0 <= score.low <= 2.0 <= score.high <= 4.0
    assert score_of([None]).n == 0
