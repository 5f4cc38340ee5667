"""Colours against the published pairs of CIEDE2000, SciPy and plain loops; real photos are in the acceptance tests."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage import color
from torch import Tensor

from bench.prior import write_prior
from bench.scoring import colour
from bench.scoring.comparison import PIXEL_METRICS, Comparison, Region
from lightning_modules.losses.ab_bins import ab_bins

REFERENCE: Any = color

SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def as_picture(colors: list[tuple[float, float, float]]) -> Tensor:
    return torch.tensor(colors, dtype=torch.float64).t()[None, :, None]


def color_cube(steps: int) -> Tensor:
    """Return a picture of colours all over the 8-bit cube, its corners among them."""
    levels = torch.linspace(0, 255, steps).round().to(torch.uint8)
    return torch.cartesian_prod(levels, levels, levels).t().reshape(1, 3, steps, -1)


def to_arrays(pictures: Tensor) -> NDArray[np.uint8]:
    return pictures.permute(0, 2, 3, 1).numpy()


def test_ciede2000_of_the_published_pairs() -> None:
    first, second, expected = zip(*SHARMA, strict=True)
    for ours, theirs in ((first, second), (second, first)):
        found = colour.ciede2000_map(as_picture(list(ours)), as_picture(list(theirs)))
        assert found.flatten().tolist() == pytest.approx(expected, abs=5e-5)


def test_ciede2000_of_all_kinds_of_colours_is_that_of_scikit_image() -> None:
    cube = color_cube(18)
    shuffled = cube.flatten(2)[..., torch.randperm(cube[0, 0].numel(), generator=torch.Generator().manual_seed(1))]
    ours, theirs = colour.lab_of(cube), colour.lab_of(shuffled.view_as(cube))
    first, second = (REFERENCE.rgb2lab(to_arrays(each)) for each in (cube, shuffled.view_as(cube)))
    np.testing.assert_allclose(ours.permute(0, 2, 3, 1), first, atol=1e-11)
    np.testing.assert_allclose(colour.ciede2000_map(ours, theirs), REFERENCE.deltaE_ciede2000(first, second), atol=1e-9)
    assert not colour.ciede2000_map(ours, ours).any()


def test_areas_are_those_below_the_curve_of_one_pixel() -> None:
    distances = torch.tensor([0.0, 1e-9, 1.0, 1.0001, 2.0, 77.5, 149.0, 149.5, 150.0, 150.0001, 300.0])
    curves = [[float(distance <= threshold) for threshold in range(151)] for distance in distances.tolist()]
    expected = [2 * np.trapezoid(curve) for curve in curves]
    assert colour.half_areas(distances.double().square()).tolist() == expected
    assert expected[0] == 300
    assert expected[-1] == 0


def test_bins_are_the_nearest() -> None:
    chroma = colour.lab_of(color_cube(32))[:, 1:]
    expected = cKDTree(ab_bins().numpy()).query(chroma[0].flatten(1).t().numpy())[1]
    assert (colour.find_bins(chroma).flatten().numpy() == expected).all()


@pytest.mark.slow
def test_every_colour_of_8_bits_lies_in_the_cell_of_a_bin() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    for red in range(256):
        plane = torch.cartesian_prod(torch.tensor([red], dtype=torch.uint8), levels, levels)
        assert (colour.find_bins(colour.lab_of(plane.t().reshape(1, 3, 256, 256))[:, 1:]) >= 0).all()


def test_weights_are_the_inverse_prior_down_to_one_pixel() -> None:
    prior = json.loads(colour.PRIOR.read_text())
    probability = np.array(prior["probability"])
    assert probability.sum() == pytest.approx(1)
    assert prior["pixels"] == 970 * 64 * 64
    weights = colour.bin_weights().numpy() / 2**colour.WEIGHT_BITS
    np.testing.assert_allclose(weights, 1 / np.maximum(probability, 1 / prior["pixels"]), rtol=1e-6)
    assert weights.argmin() == ab_bins().tolist().index([0, 0])
    assert (weights == prior["pixels"]).sum() == 45


def test_a_changed_prior_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "prior.json"
    changed.write_text(colour.PRIOR.read_text().replace("0.2", "0.3", 1))
    monkeypatch.setattr(colour, "PRIOR", changed)
    with pytest.raises(RuntimeError, match=r"prior\.json has been changed"):
        colour.bin_weights.__wrapped__()
    assert hashlib.sha256(changed.read_bytes()).hexdigest() != colour.PRIOR_SHA256


@pytest.mark.slow
def test_the_prior_is_that_of_the_photos_it_names(shared: Path, tmp_path: Path) -> None:
    assert write_prior(shared / "data/imagenet1000-256", tmp_path / "prior.npy") == (970, 0)
    stored = json.loads(colour.PRIOR.read_text())["probability"]
    np.testing.assert_allclose(stored, np.load(tmp_path / "prior.npy"), rtol=1e-6, atol=1e-12)


def checkered(first: tuple[int, int, int], second: tuple[int, int, int]) -> Tensor:
    """Return a picture that is one colour and another in equal parts."""
    pixels = [first, second] * 32
    return torch.tensor(pixels, dtype=torch.uint8).t().reshape(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((90, 90, 90), (90, 90, 90), 0),
        ((7, 7, 7), (200, 200, 200), 0),
        # rg is 255 and -255, yb 127.5 in both: only signed values have a spread.
        ((255, 0, 0), (0, 255, 0), 255 + 0.3 * 127.5),
        # rg is 0, yb 255 and -255.
        ((255, 255, 0), (0, 0, 255), 255),
        ((255, 0, 0), (255, 0, 0), 0.3 * math.hypot(255, 127.5)),
    ],
)
def test_colorfulness_of_two_colours(
    first: tuple[int, int, int], second: tuple[int, int, int], expected: float
) -> None:
    picture = checkered(first, second)
    comparison = Comparison(picture, picture.flip(2))
    for name in ("colorfulness", "colorfulness_truth"):
        assert PIXEL_METRICS[name](comparison, [Region(0)]) == [pytest.approx(expected)]


def test_scores_hang_neither_on_the_batch_nor_on_threads() -> None:
    generator = torch.Generator().manual_seed(2)
    prediction, truth = torch.randint(0, 256, (2, 3, 3, 101, 131), dtype=torch.uint8, generator=generator)
    regions = [Region(2), Region(2, (5, 7, 77, 101))]

    def scores(chosen: slice) -> dict[str, list[float | None]]:
        comparison = Comparison(prediction[chosen], truth[chosen])
        last = len(comparison.truth) - 1
        return {
            name: metric(comparison, [Region(last, region.box) for region in regions])
            for name, metric in PIXEL_METRICS.items()
        }

    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found += [scores(slice(3)), scores(slice(2, 3))]
    finally:
        torch.set_num_threads(threads)
    assert all(each == found[0] for each in found)


def test_nothing_is_computed_that_no_metric_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("computed without need")

    for name in ("ssim_map", "lab_of", "ciede2000_map", "opponents"):
        monkeypatch.setattr(f"bench.scoring.comparison.{name}", refuse)
    picture = checkered((1, 2, 3), (4, 5, 6))
    assert PIXEL_METRICS["psnr"](Comparison(picture, picture), [Region(0)]) == [100]


def test_identical_pictures_and_boxes_have_no_error() -> None:
    generator = torch.Generator().manual_seed(4)
    prediction, truth = torch.randint(0, 256, (2, 1, 3, 40, 40), dtype=torch.uint8, generator=generator)
    prediction[..., 10:30, 10:30] = truth[..., 10:30, 10:30]
    comparison, inside = Comparison(prediction, truth), [Region(0, (10, 10, 30, 30))]
    found = {name: metric(comparison, inside)[0] for name, metric in PIXEL_METRICS.items()}
    assert found["colorfulness"] == found["colorfulness_truth"]
    expected = {"psnr": 100, "ssim": 1, "ab_rmse": 0, "ciede2000": 0, "auc": 100, "auc_rebalanced": 100}
    assert {name: found[name] for name in expected} == expected
