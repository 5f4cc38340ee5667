import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import metrics
from torch import Tensor

from bench.scoring.comparison import Comparison, Region, psnr, ssim
from bench.scoring.fidelity import PixelBox, error_to_psnr, find_gray, ssim_map
from bench.scoring.instances import area_to_size, find_instances, place_box
from datamodules.photos import Annotation
from datamodules.protocol import PROTOCOLS

REFERENCE: Any = metrics
SETTINGS = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "win_size": 11, "data_range": 255}


def to_array(picture: Tensor) -> NDArray[np.uint8]:
    return picture.permute(1, 2, 0).numpy()


def reference_psnr(prediction: Tensor, truth: Tensor) -> float:
    return float(REFERENCE.peak_signal_noise_ratio(to_array(truth), to_array(prediction), data_range=255))


def reference_ssim(prediction: Tensor, truth: Tensor) -> float:
    return float(REFERENCE.structural_similarity(to_array(truth), to_array(prediction), channel_axis=-1, **SETTINGS))


def make_pair(kind: str, height: int = 53, width: int = 70, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(batch, 3, 6, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear") * 255
    truth = smooth.round().to(torch.uint8)
    noise = torch.randn(truth.shape, generator=generator)
    if kind == "noise":
        changed = smooth + 12 * noise
    elif kind == "shift":
        changed = smooth + 9
    elif kind == "random":
        changed = 128 + 80 * noise
    elif kind == "white":
        truth, changed = torch.full_like(truth, 255), 255 - (noise > 0).float()
    else:
        changed = smooth.mean(1, keepdim=True).expand_as(smooth)
    return changed.round().clamp(0, 255).to(torch.uint8), truth


def scores(prediction: Tensor, truth: Tensor, index: int = 0, box: PixelBox | None = None) -> tuple[float, float]:
    """Return PSNR and SSIM of a picture of a batch, or of a box in it; NaN for none."""
    comparison, region = Comparison(prediction, truth), [Region(index, box)]
    found = [metric(comparison, region)[0] for metric in (psnr, ssim)]
    return tuple(math.nan if value is None else value for value in found)  # type: ignore[return-value]


def reference(prediction: Tensor, truth: Tensor) -> tuple[float, float]:
    return reference_psnr(prediction, truth), reference_ssim(prediction, truth)


@pytest.mark.parametrize("kind", ["noise", "shift", "random", "white", "gray"])
def test_pictures_score_as_in_scikit_image(kind: str) -> None:
    prediction, truth = make_pair(kind)
    for index in range(len(truth)):
        expected = reference(prediction[index], truth[index])
        assert scores(prediction, truth, index) == pytest.approx(expected, abs=1e-10)


def half_and_half(level: int) -> Tensor:
    """Return a picture whose left half is of one level and whose right half of its opposite."""
    picture = torch.full((1, 3, 40, 60), level, dtype=torch.uint8)
    picture[..., 30:] = 255 - level
    return picture


@pytest.mark.parametrize("level", [0, 1, 5, 128, 250, 255])
@pytest.mark.parametrize("noise", [0, 1, 12])
def test_flat_dark_bright_and_nearly_identical_pictures_lose_no_digit(level: int, noise: int) -> None:
    """Where a channel is flat, E[x²] - E[x]² cancels: in float32 this is off by 2e-5."""
    truth = half_and_half(level)
    drawn = torch.randn(truth.shape, generator=torch.Generator().manual_seed(level)) * noise
    prediction = (truth + drawn).round().clamp(0, 255).to(torch.uint8)
    prediction[0, 0, 5, 5] = 255 - prediction[0, 0, 5, 5]
    for left, top, right, bottom in [
        (0, 0, 60, 40),
        (0, 0, 16, 16),
        (14, 3, 30, 19),
        (44, 24, 60, 40),
        (20, 8, 41, 33),
    ]:
        cut_out = (slice(None), slice(top, bottom), slice(left, right))
        expected = reference_ssim(prediction[0][cut_out], truth[0][cut_out])
        assert scores(prediction, truth, 0, (left, top, right, bottom))[1] == pytest.approx(expected, abs=1e-10)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.tuples(st.integers(0, 42), st.integers(0, 59), st.integers(11, 53), st.integers(11, 70)))
def test_a_box_scores_as_its_cut_out(edges: tuple[int, int, int, int]) -> None:
    top, left, height, width = edges
    prediction, truth = make_pair("noise")
    bottom, right = min(top + height, 53), min(left + width, 70)
    ours, theirs = prediction[1:, :, top:bottom, left:right], truth[1:, :, top:bottom, left:right]
    found = scores(prediction, truth, 1, (left, top, right, bottom))
    assert found == scores(ours, theirs), "to the last bit"
    assert found == pytest.approx(reference(ours[0], theirs[0]), abs=1e-10)


def test_all_regions_of_a_batch_score_at_once() -> None:
    prediction, truth = make_pair("noise", batch=3)
    regions = [Region(2), Region(0, (3, 4, 33, 24)), Region(1, (0, 0, 10, 30)), Region(0), Region(2, (50, 30, 70, 53))]
    comparison = Comparison(prediction, truth)
    together = list(zip(psnr(comparison, regions), ssim(comparison, regions), strict=True))
    alone = [scores(prediction, truth, region.index, region.box) for region in regions]
    assert together[2] == (alone[2][0], None)
    assert [*together[:2], *together[3:]] == [*alone[:2], *alone[3:]]
    assert psnr(comparison, []) == ssim(comparison, []) == []


def test_one_picture_scores_the_same_in_any_batch() -> None:
    prediction, truth = make_pair("noise", batch=5)
    for index in range(5):
        alone = scores(prediction[index : index + 1], truth[index : index + 1])
        assert scores(prediction, truth, index) == alone


def test_identical_pictures_have_the_highest_scores() -> None:
    _, truth = make_pair("noise")
    assert scores(truth, truth) == (100, 1)
    assert scores(truth, truth, 1, (3, 5, 40, 50)) == (100, 1)


def test_a_single_differing_value_is_capped_too() -> None:
    assert error_to_psnr(1, 3 * 256 * 256) == 100
    assert error_to_psnr(255**2, 1) == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10, 300), (300, 10)])
def test_pictures_too_small_for_a_window_have_no_ssim(height: int, width: int) -> None:
    prediction, truth = make_pair("noise", height, width)
    comparison = Comparison(prediction, truth)
    assert ssim(comparison, [Region(0), Region(1, (0, 0, width, height))]) == [None, None]
    assert psnr(comparison, [Region(0)])[0] == pytest.approx(reference_psnr(prediction[0], truth[0]), abs=1e-10)


@pytest.mark.parametrize(("height", "width"), [(11, 11), (22, 23), (35, 24)])
def test_windows_fill_blocks_or_do_not(height: int, width: int) -> None:
    prediction, truth = make_pair("noise", height, width)
    assert ssim_map(prediction, truth).shape == (2, height - 10, width - 10)
    assert scores(prediction, truth) == pytest.approx(reference(prediction[0], truth[0]), abs=1e-10)


@pytest.mark.parametrize(
    "prediction",
    [torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.uint8)],
)
def test_what_is_no_pair_of_8_bit_pictures_is_refused(prediction: Tensor) -> None:
    with pytest.raises(ValueError, match="both must be uint8"):
        Comparison(prediction, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_gray_truth_may_differ_by_two_levels() -> None:
    rgb = torch.full((3, 3, 4, 4), 100, dtype=torch.uint8)
    rgb[1, 0, 2, 2], rgb[2, 1, 0, 0] = 102, 103
    assert find_gray(rgb).tolist() == [True, True, False]


WHOLE = (0, 0, 640, 480)


@pytest.mark.parametrize(
    ("bbox", "crop", "size", "box"),
    [
        ((10.0, 20.0, 30.0, 40.0), WHOLE, (480, 640), (10, 20, 40, 60)),
        ((10.2, 20.9, 30.1, 40.3), WHOLE, (480, 640), (10, 20, 41, 62)),
        ((10.0, 20.0, 30.0, 40.0), WHOLE, (256, 256), (4, 10, 16, 32)),
        ((-5.0, -5.0, 1000.0, 1000.0), WHOLE, (256, 256), (0, 0, 256, 256)),
        ((100.0, 0.0, 480.0, 480.0), (80, 0, 560, 480), (256, 256), (10, 0, 256, 256)),
        ((0.0, 0.0, 80.0, 480.0), (80, 0, 560, 480), (256, 256), (0, 0, 0, 0)),
        ((10.0, 10.0, 0.0, 5.0), WHOLE, (480, 640), (0, 0, 0, 0)),
        ((10.0, 10.0, -4.0, 5.0), WHOLE, (480, 640), (0, 0, 0, 0)),
        ((float("nan"), 10.0, 4.0, 5.0), WHOLE, (480, 640), (0, 0, 0, 0)),
        ((10.0, 10.0, float("inf"), 5.0), WHOLE, (480, 640), (0, 0, 0, 0)),
    ],
)
def test_boxes_are_placed_in_whole_pixels(
    bbox: tuple[float, float, float, float],
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
    box: tuple[int, int, int, int],
) -> None:
    assert place_box(bbox, crop, size) == box


sides = st.integers(1, 900)
numbers = st.floats(-2000, 2000, allow_nan=False)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.tuples(numbers, numbers, numbers, numbers), sides, sides, st.sampled_from(sorted(PROTOCOLS)))
def test_any_box_lies_inside_the_picture_and_covers_the_annotation(
    bbox: tuple[float, float, float, float], width: int, height: int, name: str
) -> None:
    protocol = PROTOCOLS[name]
    crop = protocol.crop(width, height)
    columns, lines = (protocol.size, protocol.size) if protocol.size else (width, height)
    left, top, right, bottom = place_box(bbox, crop, (lines, columns))
    assert 0 <= left <= right <= columns
    assert 0 <= top <= bottom <= lines
    assert (left < right) == (top < bottom)
    if left < right:
        scale = columns / (crop[2] - crop[0])
        edges = [min(max(edge, crop[0]), crop[2]) for edge in (bbox[0], bbox[0] + bbox[2])]
        assert left <= (edges[0] - crop[0]) * scale + 1e-6
        assert left + 1 > (edges[0] - crop[0]) * scale - 1e-6
        assert right >= (edges[1] - crop[0]) * scale - 1e-6
        assert right - 1 < (edges[1] - crop[0]) * scale + 1e-6


def test_crowds_and_small_boxes_are_left_out_and_counted() -> None:
    boxes = {
        1: (0.0, 0.0, 16.0, 16.0),
        2: (0.0, 0.0, 15.0, 200.0),
        3: (5.0, 5.0, 90.0, 90.0),
        4: (900.0, 5.0, 90.0, 90.0),
        5: (5.0, 5.0, 0.0, 90.0),
        6: (5.0, 5.0, math.nan, 90.0),
    }
    annotations = [Annotation(id=key, category_id=1, bbox=box, area=1.0, crowd=key == 3) for key, box in boxes.items()]
    found = find_instances(annotations, WHOLE, (480, 640))
    assert [(annotation.id, box) for annotation, box in found.scored] == [(1, (0, 0, 16, 16))]
    assert (found.left_out_small, found.left_out_crowd) == (4, 1)


def test_sizes_are_those_of_coco() -> None:
    areas = [0.0, 1023.9, 1024.0, 9215.9, 9216.0]
    assert [area_to_size(area) for area in areas] == ["small", "small", "medium", "medium", "large"]


def test_real_photos_score_as_in_scikit_image(shared: Path) -> None:
    for path, (scale, offset) in product(sorted((shared / "data/coco/val2017").glob("*.jpg"))[:3], [(0.9, 8), (1, 3)]):
        with Image.open(path) as file:
            rgb = np.asarray(file.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)).copy()
        truth = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        prediction = (truth * scale + offset).round().clamp(0, 255).to(torch.uint8)
        assert scores(prediction, truth) == pytest.approx(reference(prediction[0], truth[0]), abs=1e-9)


@pytest.mark.parametrize("side", [256, 301])
def test_the_number_of_threads_changes_no_bit(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(0, 256, (2, 1, 3, side, side), dtype=torch.uint8, generator=generator)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append((scores(prediction, truth), scores(prediction, truth, 0, (3, 5, 240, 230))))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]
