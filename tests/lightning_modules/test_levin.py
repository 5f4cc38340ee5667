"""Colours that spread from hints: the system of equations of Levin et al., and what solves it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from skimage import data

from datamodules.color import rgb8_to_lab
from datamodules.hints import Hinting, made_guide, reveal
from datamodules.types import Boxes, GrayBatch
from lightning_modules.baselines.levin import LevinColorizer, grey_values
from lightning_modules.baselines.propagation import neighbour_weights, propagate

Floats = NDArray[np.float64]


def photo(side: int = 48) -> torch.Tensor:
    """Return L*, a* and b* of a cut of a real photo, (3, side, side)."""
    cat = data.chelsea()  # type: ignore[no-untyped-call]  # scikit-image leaves it untyped
    pixels = torch.from_numpy(cat[60 : 60 + side, 120 : 120 + side].copy())
    return rgb8_to_lab(pixels.permute(2, 0, 1))


def batch(lab: torch.Tensor, guide: torch.Tensor | None) -> GrayBatch:
    size = (lab.shape[-2], lab.shape[-1])
    given_guide = None if guide is None else guide[None]
    return GrayBatch(("a",), lab[None, :1], (Boxes.empty(size),), torch.zeros(0, 1, 1, 1), given_guide)


def plain_weights(gray: Floats) -> Floats:
    """Return the weights as the authors' loop over pixels computes them."""
    height, width = gray.shape
    found = np.zeros((gray.size, gray.size))
    for y in range(height):
        for x in range(width):
            rows, columns = range(max(0, y - 1), min(height, y + 2)), range(max(0, x - 1), min(width, x + 2))
            around = [(v, u) for v in rows for u in columns if (v, u) != (y, x)]
            greys = [gray[place] for place in around]
            scale = 0.6 * float(np.var([*greys, gray[y, x]]))
            nearest = min((grey - gray[y, x]) ** 2 for grey in greys)
            scale = max(scale, -nearest / math.log(0.01), 0.000002)
            weights = [math.exp(-((grey - gray[y, x]) ** 2) / scale) for grey in greys]
            for (v, u), weight in zip(around, weights, strict=True):
                found[y * width + x, v * width + u] = weight / sum(weights)
    return found


def test_weights_are_those_of_the_authors() -> None:
    gray = grey_values(photo(9)[None, :1])[0].numpy()
    gray[2:5, 2:5] = 0.5  # a window without variance
    np.testing.assert_allclose(neighbour_weights(gray).toarray(), plain_weights(gray), rtol=1e-9, atol=1e-15)


def test_grey_values_are_those_of_the_grey_picture() -> None:
    greys = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    light = rgb8_to_lab(greys, torch.float64)[None, :1]
    np.testing.assert_allclose(grey_values(light)[0, 0], np.arange(256) / 255, atol=1e-4)


def test_a_picture_that_is_all_scribbled_comes_back_to_the_last_bit() -> None:
    lab = photo(64)
    guide = torch.cat([lab[1:], torch.ones(1, 64, 64)])
    assert torch.equal(LevinColorizer()(batch(lab, guide))[0], lab[1:])


def test_the_answer_satisfies_the_normal_equations() -> None:
    lab = photo(96)
    guide = reveal(lab[1:], Hinting.for_evaluation(10).draw((96, 96), np.random.default_rng(0)))
    gray, known = grey_values(lab[None, :1])[0].numpy(), guide[2].numpy() > 0
    spread = propagate(gray, guide[:2].double().numpy(), known)
    rows = sparse.diags((~known.ravel()).astype(float)) @ neighbour_weights(gray)
    system = sparse.identity(gray.size) - rows
    right = np.where(known, guide[:2].double().numpy(), 0.0).reshape(2, -1)
    for channel, wanted in zip(spread.reshape(2, -1), right, strict=True):
        residual = system.T @ (system @ channel) - system.T @ wanted
        assert float(np.abs(residual).max()) < 1e-6
    assert float(np.abs(spread).max()) > 1


def test_it_is_the_least_squares_solution() -> None:
    gray = grey_values(photo(12)[None, :1])[0].numpy()
    known = np.zeros((12, 12), bool)
    known[2:4, 3:5] = known[9, 9] = True
    colors = np.random.default_rng(0).normal(size=(2, 12, 12))
    system = np.eye(144) - plain_weights(gray) * ~known.reshape(-1, 1)
    wanted = np.linalg.lstsq(system, np.where(known, colors, 0).reshape(2, -1).T)[0].T.reshape(2, 12, 12)
    np.testing.assert_allclose(propagate(gray, colors, known), wanted, atol=1e-8)


@given(st.integers(0, 2**32), st.integers(4, 24), st.integers(4, 24), st.integers(1, 12))
def test_colors_stay_between_those_of_the_hints(seed: int, height: int, width: int, count: int) -> None:
    random = np.random.default_rng(seed)
    gray = random.choice([0.0, 0.5, 1.0, random.random()], size=(height, width))
    known = np.zeros((height, width), bool)
    known.ravel()[random.choice(height * width, size=count)] = True
    colors = random.normal(size=(2, height, width)) * 50
    spread = propagate(gray, colors, known)
    assert np.array_equal(spread[:, known], colors[:, known])
    for channel, hints in zip(spread, colors[:, known], strict=True):
        assert hints.min() - 1e-6 <= channel.min() <= channel.max() <= hints.max() + 1e-6


def test_colors_stop_at_an_edge_of_the_light() -> None:
    lab = torch.zeros(3, 32, 32)
    lab[0, :, :16], lab[0, :, 16:] = 20, 80
    guide = torch.zeros(3, 32, 32)
    guide[:, 4:6, 4:6] = torch.tensor([50.0, 0.0, 1.0])[:, None, None]
    guide[:, 20:22, 24:26] = torch.tensor([0.0, -50.0, 1.0])[:, None, None]
    chroma = LevinColorizer()(batch(lab, guide))[0]
    assert float((chroma[:, :, :16] - torch.tensor([50.0, 0.0])[:, None, None]).abs().max()) < 2
    assert float((chroma[:, :, 16:] - torch.tensor([0.0, -50.0])[:, None, None]).abs().max()) < 2


@pytest.mark.parametrize("empty", [None, torch.zeros(3, 16, 16)])
def test_without_hints_a_picture_stays_grey(empty: torch.Tensor | None) -> None:
    assert not bool(LevinColorizer()(batch(photo(16), empty)).any())


def test_each_picture_of_a_batch_has_its_own_hints() -> None:
    light = torch.stack([photo(24)[:1], photo(24)[:1].flip(-1)])
    guide = made_guide(light, 4)
    gray = GrayBatch(("a", "b"), light, (Boxes.empty((24, 24)),) * 2, torch.zeros(0, 1, 1, 1), guide)
    together = LevinColorizer()(gray)
    for place in range(2):
        one = batch(torch.cat([light[place], torch.zeros(2, 24, 24)]), guide[place])
        assert torch.equal(LevinColorizer()(one)[0], together[place])
