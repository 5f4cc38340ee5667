import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab, rgb2yuv, yuv2rgb

from datamodules.color import lab_to_rgb, lab_to_rgb8, rgb8_to_lab, rgb_to_lab, rgb_to_yuv, yuv_to_rgb
from datamodules.images import find_images, read_image


def sampled_colors(count: int = 20_000) -> np.ndarray:
    """(1, count, 3) in [0, 1], the corners and both ends of the toes among them."""
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), -1).reshape(-1, 3).astype(float)
    greys = np.repeat(np.array([0.0, 1e-6, 0.04045, 0.040450001, 0.5, 1.0])[:, None], 3, axis=1)
    return np.concatenate((corners, greys, np.random.default_rng(0).random((count, 3))))[None]


def to_torch(colors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(colors, -1, 0)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_rgb_to_lab_equals_scikit_image(dtype: torch.dtype, tolerance: float) -> None:
    colors = sampled_colors()
    lab = rgb_to_lab(to_torch(colors).to(dtype))
    assert lab.dtype == dtype
    np.testing.assert_allclose(lab.numpy(), np.moveaxis(rgb2lab(colors), -1, 0), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_lab_to_rgb_equals_scikit_image_inside_and_outside_of_the_gamut(dtype: torch.dtype, tolerance: float) -> None:
    random = np.random.default_rng(1)
    outside = random.uniform((0, -128, -128), (100, 128, 128), (20_000, 3))[None]
    colors = np.concatenate((rgb2lab(sampled_colors()), outside), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = np.moveaxis(lab2rgb(colors), -1, 0)
    rgb = lab_to_rgb(to_torch(colors).to(dtype)).clamp(0, 1)
    np.testing.assert_allclose(rgb.numpy(), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_yuv_equals_scikit_image(dtype: torch.dtype, tolerance: float) -> None:
    colors = sampled_colors()
    yuv = rgb_to_yuv(to_torch(colors).to(dtype))
    assert yuv.dtype == dtype
    np.testing.assert_allclose(yuv.numpy(), np.moveaxis(rgb2yuv(colors), -1, 0), rtol=0, atol=tolerance)
    signed = colors - np.array([0, 0.5, 0.5])
    np.testing.assert_allclose(
        yuv_to_rgb(to_torch(signed).to(dtype)).numpy(), np.moveaxis(yuv2rgb(signed), -1, 0), rtol=0, atol=tolerance
    )


def test_leading_dimensions_are_kept() -> None:
    rgb = torch.rand(2, 4, 3, 5, 6)
    lab = rgb_to_lab(rgb)
    assert lab.shape == rgb.shape
    torch.testing.assert_close(lab[1, 2], rgb_to_lab(rgb[1, 2]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("convert", [rgb_to_lab, lab_to_rgb, rgb_to_yuv, yuv_to_rgb])
@pytest.mark.parametrize("wrong", [torch.zeros(3, 4), torch.zeros(4, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_wrong_input_is_refused(convert: object, wrong: torch.Tensor) -> None:
    assert callable(convert)
    with pytest.raises(ValueError, match="must be floating point of shape"):
        convert(wrong)


def test_gradients_are_finite_at_black_white_and_the_toes() -> None:
    rgb = to_torch(sampled_colors(100)).float().requires_grad_()
    (gradient,) = torch.autograd.grad(rgb_to_lab(rgb).sum(), rgb)
    assert gradient.isfinite().all()
    lab = torch.cat(
        (to_torch(rgb2lab(sampled_colors(100))), torch.full((3, 1, 1), -100.0).double()), 2
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(lab_to_rgb(lab).sum(), lab)
    assert gradient.isfinite().all()


def test_gradients_are_right() -> None:
    rgb = torch.rand(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.06
    assert torch.autograd.gradcheck(rgb_to_lab, rgb.requires_grad_())
    assert torch.autograd.gradcheck(lab_to_rgb, rgb_to_lab(rgb).detach().requires_grad_())


def test_eight_bit_table_equals_the_formula() -> None:
    rgb = torch.randint(0, 256, (2, 3, 50, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rgb8_to_lab(rgb), rgb_to_lab(rgb.double() / 255).float(), rtol=0, atol=5e-5)
    with pytest.raises(ValueError, match="must be uint8"):
        rgb8_to_lab(rgb.float())


def round_trip(first: int, last: int) -> None:
    colors = torch.arange(first, last, dtype=torch.int64)
    rgb = torch.stack((colors >> 16, (colors >> 8) & 255, colors & 255)).to(torch.uint8)[None, :, None]
    lab = rgb8_to_lab(rgb)
    assert torch.equal(lab_to_rgb8(lab[:, :1], lab[:, 1:]), rgb)


def test_truth_comes_back_exactly() -> None:
    round_trip(0, 1 << 18)
    for first in range(1 << 18, 1 << 24, (1 << 20) + 12_347):
        round_trip(first, first + (1 << 15))


@pytest.mark.slow
def test_every_color_comes_back_exactly() -> None:
    for first in range(0, 1 << 24, 1 << 20):
        round_trip(first, first + (1 << 20))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=20))
def test_any_colors_come_back(colors: list[tuple[int, int, int]]) -> None:
    rgb = torch.tensor(colors, dtype=torch.uint8).T[None, :, None]
    lab = rgb8_to_lab(rgb)
    assert torch.equal(lab_to_rgb8(lab[:, :1], lab[:, 1:]), rgb)


def test_rounding_is_half_to_even_and_clipped() -> None:
    light = torch.tensor([-5.0, 0.0, 100.0, 120.0, 50.0]).reshape(1, 1, 1, 5)
    chroma = torch.zeros(1, 2, 1, 5)
    chroma[..., 4] = 200.0
    rgb = lab_to_rgb8(light, chroma)
    assert rgb.dtype == torch.uint8
    assert rgb[0, :, 0, :4].T.tolist() == [[0, 0, 0], [0, 0, 0], [255, 255, 255], [255, 255, 255]]
    assert rgb[0, 0, 0, 4] == 255


def test_half_precision_is_computed_in_single() -> None:
    light = torch.full((1, 1, 2, 2), 50.0, dtype=torch.bfloat16)
    assert (lab_to_rgb8(light, torch.zeros(1, 2, 2, 2, dtype=torch.bfloat16)) == 119).all()


def test_photos_equal_scikit_image(shared: Path) -> None:
    for path in list(find_images(shared / "data/coco/val2017").values())[:5]:
        rgb = read_image(path)
        lab = rgb8_to_lab(torch.from_numpy(rgb).permute(2, 0, 1))
        np.testing.assert_allclose(lab.permute(1, 2, 0).numpy(), rgb2lab(rgb), rtol=0, atol=1e-4)
