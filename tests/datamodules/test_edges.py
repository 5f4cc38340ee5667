"""Edges of pictures and of batches."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data, feature

from datamodules.edges import SIGMA, canny, canny_edges


def photo() -> NDArray[np.float64]:
    picture = Image.fromarray(data.camera()).resize((64, 64), Image.Resampling.BOX)  # type: ignore[no-untyped-call]  # it is untyped there
    return np.asarray(picture) / 255


def reference(gray: NDArray[np.float64], sigma: float) -> NDArray[np.bool_]:
    edges: NDArray[np.bool_] = feature.canny(gray, sigma=sigma)  # type: ignore[no-untyped-call]  # it is untyped there
    return edges


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_edges_are_those_of_scikit_image(sigma: float) -> None:
    edges = canny(photo(), sigma)
    assert edges.dtype == np.bool_
    assert 0 < edges.mean() < 0.5
    assert np.array_equal(edges, reference(photo(), sigma=sigma))


def test_eight_bits_give_the_same_edges() -> None:
    picture = np.round(photo() * 255).astype(np.uint8)
    assert np.array_equal(canny(picture), canny(picture / 255))
    assert np.array_equal(canny(picture), reference(picture / 255, sigma=SIGMA))


def test_a_step_is_one_line() -> None:
    step = np.zeros((32, 33))
    step[:, 16], step[:, 17:] = 0.5, 1
    rows, columns = np.nonzero(canny(step))
    assert set(columns) == {16}
    assert len(rows) > 24


def test_nothing_is_found_beside_what_is_not_known() -> None:
    picture, known = photo(), np.ones((64, 64), dtype=bool)
    known[20:40, 20:40] = False
    picture[~known] = 1
    edges = canny(picture, known=known)
    assert not edges[19:41, 19:41].any()
    assert canny(picture)[19:41, 19:41].any()


def test_a_batch_is_its_pictures() -> None:
    pictures = np.stack([photo(), photo()[::-1], photo().T, 1 - photo()]).reshape(2, 2, 64, 64)
    batch = torch.tensor(pictures, dtype=torch.float32, requires_grad=True)
    edges = canny_edges(batch, sigma=1.5)
    assert (edges.dtype, edges.shape, edges.requires_grad) == (torch.float32, batch.shape, False)
    for picture, found in zip(batch.detach().flatten(0, 1), edges.flatten(0, 1), strict=True):
        assert np.array_equal(found.numpy(), canny(picture.numpy(), 1.5))


def test_a_batch_knows_what_is_known_of_each_picture() -> None:
    batch = torch.tensor(photo(), dtype=torch.float32).expand(2, 1, 64, 64)
    known = torch.ones(2, 1, 64, 64)
    known[1, :, :, 32:] = 0
    edges = canny_edges(batch, known=known)
    assert torch.equal(edges[:1], canny_edges(batch[:1]))
    assert not edges[1, :, :, 31:].any()


def test_no_pictures_have_no_edges() -> None:
    assert canny_edges(torch.zeros(0, 1, 8, 8)).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_a_width_that_is_none_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="give pixels above 0"):
        canny(photo(), sigma)
