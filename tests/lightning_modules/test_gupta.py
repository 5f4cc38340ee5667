"""Colours of a reference: superpixels, their features, the cascade, the vote, and which photo is chosen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from skimage import data
from skimage.filters import gabor

from bench.build import build_data
from bench.catalog import data_tree
from datamodules.color import rgb8_to_lab
from datamodules.types import Boxes, GrayBatch
from lightning_modules.baselines.gupta import GuptaColorizer, look_of
from lightning_modules.baselines.levin import grey_values
from lightning_modules.baselines.superpixels import find_superpixels, gabor_answers, match, means_of, vote

Floats = NDArray[np.float64]


def photo(side: int = 64) -> Floats:
    cat = data.chelsea()  # type: ignore[no-untyped-call]  # scikit-image leaves it untyped
    greys: Floats = cat[60 : 60 + side, 120 : 120 + side].mean(axis=2) / 255
    return greys


def module(**settings: Any) -> GuptaColorizer:
    method = GuptaColorizer(input_size=64, **settings).eval()
    method.prepare_training(build_data(data_tree("synthetic"), train=6, val=2, test=2, size=64, train_size=32))
    return method


def as_batch(key: str, rgb: torch.Tensor) -> GrayBatch:
    light = rgb8_to_lab(rgb)[None, :1]
    return GrayBatch((key,), light, (Boxes.empty((64, 64)),), torch.zeros(0, 1, 1, 1))


def test_superpixels_cover_the_picture_and_know_their_neighbours() -> None:
    found = find_superpixels(photo(), 40)
    assert set(found.labels.ravel().tolist()) == set(range(len(found)))
    assert 0.5 < len(found) * 40 / 64**2 < 2
    near = found.neighbours.toarray() > 0
    assert np.array_equal(near, near.T)
    assert near.diagonal().all()
    wanted = np.eye(len(found), dtype=bool)
    for one, other in ((found.labels[1:], found.labels[:-1]), (found.labels[:, 1:], found.labels[:, :-1])):
        for a, b in zip(one.ravel(), other.ravel(), strict=True):
            wanted[a, b] = wanted[b, a] = True
    assert np.array_equal(near, wanted)
    assert [values.shape for _, values in sorted(found.features.items())] == [
        (len(found), size) for size in (136, 2, 40, 2)
    ]


def test_centres_lie_in_their_superpixels() -> None:
    found = find_superpixels(photo(), 40)
    places = found.centres()
    assert np.array_equal(found.labels[places[:, 0], places[:, 1]], np.arange(len(found)))


def test_means_are_those_of_a_loop() -> None:
    found = find_superpixels(photo(), 100)
    values = np.random.default_rng(0).normal(size=(3, 64, 64))
    wanted = [values[:, found.labels == label].mean(axis=1) for label in range(len(found))]
    np.testing.assert_allclose(means_of(values, found.labels), wanted, atol=1e-12)


def test_gabor_filters_are_those_of_scikit_image() -> None:
    gray = photo(96)
    spread = dict.fromkeys(("sigma_x", "sigma_y"), 3 / (2 * np.pi * 0.2))
    real, imaginary = gabor(gray - gray.mean(), 0.2, theta=np.pi / 4, **spread)  # type: ignore[no-untyped-call]  # it is untyped there
    wanted = np.hypot(real, imaginary)[24:-24, 24:-24]
    found = gabor_answers(gray)[2 * 8 + 2][24:-24, 24:-24]
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(found, wanted, atol=0.1 * wanted.max())


def test_a_picture_is_matched_with_itself_at_no_cost() -> None:
    found = find_superpixels(photo(), 40)
    partners, cost = match(found, found)
    assert np.array_equal(partners, np.arange(len(found)))
    assert float(np.abs(cost).max()) < 1e-5


def test_the_vote_corrects_who_stands_alone() -> None:
    line = sparse.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(5, 5)).tocsr()
    colors = np.array([[10.0, 0], [10, 0], [-50, 50], [11, 0], [11, 0]])
    assert vote(colors, np.ones(5), line)[2].tolist() == [10.0, 0.0]
    assert vote(colors, np.array([0, 0, 1.0, 0, 0]), line)[1:4].tolist() == [[-50.0, 50.0]] * 3
    assert np.array_equal(vote(colors, np.zeros(5), line), colors)


@given(st.integers(0, 2**32), st.integers(2, 30))
def test_the_vote_makes_no_new_color(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    colors = random.normal(size=(count, 2))
    near = sparse.csr_matrix(np.maximum(random.random((count, count)) < 0.2, np.eye(count)).astype(float))
    elected = vote(colors, random.random(count) * random.integers(0, 2, count), near)
    known = set(map(tuple, colors.tolist()))
    assert set(map(tuple, elected.tolist())) <= known


def test_the_reference_is_the_most_similar_photo_but_never_the_picture_itself() -> None:
    method = module()
    names = list(method.bank)
    assert len(names) == 6
    for name in names:
        gray = grey_values(rgb8_to_lab(method.bank[name])[None, :1])[0].numpy()
        assert method.reference("another", gray) == name
        others = {other: float(np.linalg.norm(method.looks[names.index(other)] - look_of(gray))) for other in names}
        del others[name]
        assert method.reference(name, gray) == min(others, key=others.__getitem__)


def test_a_picture_that_is_its_own_reference_gets_its_colors() -> None:
    method = module()
    name, rgb = next(iter(method.bank.items()))
    truth = rgb8_to_lab(rgb)[None, 1:]
    chroma = method(as_batch("unknown", rgb))
    assert float((chroma - truth).abs().mean()) < 0.5 * float(truth.abs().mean())
    other = method(as_batch(name, rgb))
    assert float((other - truth).abs().mean()) > float((chroma - truth).abs().mean())
    assert torch.equal(chroma, method(as_batch("unknown", rgb)))


def test_bank_hangs_on_the_seed() -> None:
    banks = [tuple(module(seed=seed, bank_photos=3).bank) for seed in (0, 0, 1)]
    assert banks[0] == banks[1] != banks[2]


def test_without_a_bank_it_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="prepare_training"):
        GuptaColorizer(input_size=64)(as_batch("a", torch.zeros(3, 64, 64, dtype=torch.uint8)))


def test_grey_photos_are_no_references(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / f"{name}.png")
    method = GuptaColorizer(input_size=64)
    with pytest.raises(ValueError, match=r"none of the . photos can be read and has colours"):
        method.prepare_training(build_data(data_tree("folder"), root=str(tmp_path)))


@pytest.mark.slow
def test_real_photos_are_colored_by_like_ones(shared: Path) -> None:
    data_module = build_data(data_tree("coco"), root=str(shared / "data" / "coco"), split="val2017", limit=4)
    method = GuptaColorizer(bank_photos=40)
    method.prepare_training(data_module)
    data_module.setup("test")
    for batch in data_module.test_dataloader():
        chroma = method(batch.gray)
        assert bool(chroma.isfinite().all())
        assert float(chroma.abs().mean()) > 1
