"""What scoring costs: beside a loop over cut-outs through scikit-image, and beside the method that is scored.

`uv run pytest tests/benchmarks/test_scoring_speed.py -m benchmark -n 0 -s` prints the figures, ratios within one run on
at most two threads; equal scores are asserted, time is not: it hangs on the machine.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from skimage import metrics
from torch import Tensor

from bench import catalog
from bench.build import build_method
from bench.scoring.comparison import PIXEL_METRICS, Comparison, Region
from bench.speed import random_batch
from datamodules.color import lab_to_rgb8

pytestmark = pytest.mark.benchmark

REFERENCE: Any = metrics
SIDE, BOXES, PICTURES = 256, 8, 4
PAIR = ("psnr", "ssim")
SETTINGS = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}

Scores = dict[str, list[float | None]]
Interleaved = Callable[..., dict[str, float]]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, 2))
    yield
    torch.set_num_threads(threads)


def pictures() -> tuple[Tensor, Tensor]:
    """Return smooth truths and noisy predictions, (4, 3, 256, 256) uint8 each."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(PICTURES, 3, 12, 12, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1) * 255
    prediction = truth + 12 * torch.randn(truth.shape, generator=generator)
    return prediction.round().clamp(0, 255).to(torch.uint8), truth.round().to(torch.uint8)


def regions() -> list[Region]:
    """Return the whole pictures, then eight boxes of each, of a quarter to a half of its side."""
    boxes = [each.xyxy.round().int().tolist() for each in random_batch(PICTURES, BOXES, None).boxes]
    return [Region(index) for index in range(PICTURES)] + [
        Region(index, tuple(box)) for index, of_picture in enumerate(boxes) for box in of_picture
    ]


REGIONS = regions()


def ours(prediction: Tensor, truth: Tensor, names: tuple[str, ...]) -> Scores:
    comparison = Comparison(prediction, truth)
    return {name: PIXEL_METRICS[name](comparison, REGIONS) for name in names}


def loop(prediction: Tensor, truth: Tensor) -> Scores:
    """Score picture by picture and cut-out by cut-out."""
    scores: Scores = {name: [] for name in PAIR}
    first, second = (each.permute(0, 2, 3, 1).numpy() for each in (prediction, truth))
    for region in REGIONS:
        left, top, right, bottom = region.box or (0, 0, SIDE, SIDE)
        cut_out = (region.index, slice(top, bottom), slice(left, right))
        a, b = first[cut_out], second[cut_out]
        scores["psnr"].append(float(REFERENCE.peak_signal_noise_ratio(b, a, data_range=255)))
        scores["ssim"].append(float(REFERENCE.structural_similarity(b, a, channel_axis=-1, **SETTINGS)))
    return scores


def per_picture(seconds: dict[str, float]) -> dict[str, float]:
    """Return times of a batch in milliseconds a picture."""
    return {name: 1000 * each / PICTURES for name, each in seconds.items()}


@torch.inference_mode()
def test_boxes_cost_less_than_a_loop_over_cut_outs(interleaved: Interleaved) -> None:
    pair = pictures()
    found, expected = ours(*pair, PAIR), loop(*pair)
    for name in PAIR:
        assert found[name] == pytest.approx(expected[name], abs=1e-9)
    took = per_picture(interleaved(15, ours=lambda: ours(*pair, PAIR), loop=lambda: loop(*pair)))
    print(f"\nPSNR and SSIM with {BOXES} boxes at {SIDE} px, {torch.get_num_threads()} threads: ms a picture {took}")
    print(f"{took['loop'] / took['ours']:.1f} x faster")


@torch.inference_mode()
def test_scoring_beside_the_forward_pass(interleaved: Interleaved) -> None:
    method = build_method(catalog.model_tree("instcolor-full")).eval()
    gray, truth = random_batch(PICTURES, BOXES, None), pictures()[1]

    def forward() -> Tensor:
        return lab_to_rgb8(gray.light, method(gray))

    prediction = forward()
    took = per_picture(
        interleaved(
            3,
            forward=forward,
            pair=lambda: ours(prediction, truth, PAIR),
            all=lambda: ours(prediction, truth, tuple(PIXEL_METRICS)),
            **{name: lambda name=name: ours(prediction, truth, (name,)) for name in PIXEL_METRICS},
        )
    )
    print(f"\ninstcolor-full in batches of {PICTURES}, {torch.get_num_threads()} threads: ms a picture {took}")
    for name in ("pair", "all"):
        print(f"{name}: scoring takes {100 * took[name] / (took[name] + took['forward']):.1f} % of the time")
