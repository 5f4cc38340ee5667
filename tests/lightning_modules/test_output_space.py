"""What an answer in L*a*b*, YUV or RGB means, against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab, rgb2yuv, yuv2rgb
from torch import Tensor

from lightning_modules.networks.output_space import CHANNELS, UV_REACH, Space, decode, encode

SPACES: list[Space] = ["lab", "yuv", "rgb"]


def some_rgb(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return a picture of 8 x 6 colours of the gamut, (8, 6, 3)."""
    return np.random.default_rng(seed).random((8, 6, 3))


def tensors(rgb: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[Tensor, Tensor]:
    lab = torch.from_numpy(rgb2lab(rgb)).permute(2, 0, 1)[None]
    return lab[:, :1], lab[:, 1:]


def test_lab_lies_between_minus_and_plus_100() -> None:
    chroma = torch.tensor([-108.0, -100, 0, 50, 100, 101]).view(1, 2, 3, 1)
    answer = encode("lab", torch.zeros(1, 1, 3, 1), chroma)
    assert answer.flatten().tolist() == [0, 0, 0.5, 0.75, 1, 1]
    assert decode("lab", torch.zeros(1, 1, 3, 1), answer).flatten().tolist() == [-100, -100, 0, 50, 100, 100]


def test_rgb_is_the_picture_itself() -> None:
    rgb = some_rgb()
    answer = encode("rgb", *tensors(rgb))
    np.testing.assert_allclose(answer[0].permute(1, 2, 0).numpy(), rgb, atol=1e-6)


def test_yuv_is_that_of_the_picture() -> None:
    rgb = some_rgb()
    wanted = rgb2yuv(rgb)[..., 1:] / (2 * np.array(UV_REACH)) + 0.5
    np.testing.assert_allclose(encode("yuv", *tensors(rgb))[0].permute(1, 2, 0).numpy(), wanted, atol=1e-6)


def test_the_gamut_fills_the_range_of_the_sigmoid_and_no_more() -> None:
    corners = np.array([[[r, g, b] for b in (0.0, 1.0)] for r in (0.0, 1.0) for g in (0.0, 1.0)])
    reached = np.abs(rgb2yuv(corners)[..., 1:]).max(axis=(0, 1))
    np.testing.assert_allclose(reached, UV_REACH, atol=1e-4)


@pytest.mark.parametrize("space", ["lab", "rgb"])
def test_decoding_undoes_encoding(space: Space) -> None:
    light, chroma = tensors(some_rgb())
    chroma = chroma.clamp(-100, 100) if space == "lab" else chroma
    torch.testing.assert_close(decode(space, light, encode(space, light, chroma)), chroma, atol=1e-4, rtol=0)


def test_an_answer_in_yuv_is_joined_with_the_luma_of_the_gray_picture() -> None:
    light, _ = tensors(some_rgb())
    answer = torch.rand(1, 2, 8, 6, generator=torch.Generator().manual_seed(0)).double() * 0.2 + 0.4
    gray = light[0, 0].numpy()
    luma = rgb2yuv(lab2rgb(np.stack([gray, 0 * gray, 0 * gray], axis=-1)))[..., 0]
    colors = (2 * answer[0].permute(1, 2, 0).numpy() - 1) * np.array(UV_REACH)
    rgb = np.clip(yuv2rgb(np.concatenate([luma[..., None], colors], axis=-1)), 0, 1)
    chroma = decode("yuv", light, answer)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(chroma, rgb2lab(rgb)[..., 1:], atol=1e-3)


@pytest.mark.parametrize("space", SPACES)
def test_gray_stays_gray(space: Space) -> None:
    light = torch.linspace(0, 100, 12).view(1, 1, 3, 4)
    answer = encode(space, light, torch.zeros(1, 2, 3, 4))
    assert answer.shape == (1, CHANNELS[space], 3, 4)
    assert decode(space, light, answer).abs().max() < 0.01


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_every_answer_means_a_color(space: Space, value: float) -> None:
    light = torch.tensor([0.0, 100.0]).view(1, 1, 1, 2)
    chroma = decode(space, light, torch.full((1, CHANNELS[space], 1, 2), value))
    assert chroma.shape == (1, 2, 1, 2)
    assert bool(chroma.isfinite().all())
    assert chroma.abs().max() <= 110
