"""Colours of another photo."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab

from datamodules.images import ImageError
from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import Photo, PhotoSource
from datamodules.types import Boxes, GrayBatch
from lightning_modules.baselines.random import RandomColorizer


class FlatSource:
    """Photos of one colour each, by their number; a key that begins with `broken` cannot be read."""

    categories: Mapping[int, str] = {}
    classes: Sequence[str] = ()

    def __init__(self, *keys: str) -> None:
        self.photos = tuple(Photo(key) for key in sorted(keys))

    def read(self, key: str) -> NDArray[np.uint8]:
        if key.startswith("broken"):
            raise ImageError("the file is broken")
        return np.broadcast_to(color(key), (20, 30, 3)).copy()

    def digest(self) -> str:
        return "0" * 64


class FlatData(PhotoDataModule):
    def __init__(self, train: PhotoSource | None, test: PhotoSource | None) -> None:
        super().__init__()
        self.sources = {"train": train, "val": None, "test": test}

    def source(self, split: Split) -> PhotoSource | None:
        return self.sources[split]


def color(key: str) -> NDArray[np.uint8]:
    return np.frombuffer(key.encode().ljust(3, b"~")[-3:], np.uint8)


def chroma_of(key: str) -> list[float]:
    lab = rgb2lab(color(key)[None, None])
    return [float(value) for value in lab[0, 0, 1:]]


def batch(*keys: str, size: tuple[int, int] = (16, 16)) -> GrayBatch:
    boxes = tuple(Boxes.empty(size) for _ in keys)
    return GrayBatch(keys, torch.full((len(keys), 1, *size), 50.0), boxes, torch.zeros(0, 1, 8, 8))


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:03}" for number in range(100, 100 + count)]


def prepared(data: FlatData, **settings: int) -> RandomColorizer:
    method = RandomColorizer(**{"bank_size": 8, **settings})
    method.prepare_training(data)
    return method


def test_a_picture_gets_the_colours_of_a_training_photo() -> None:
    method = prepared(FlatData(FlatSource(*names("t", 9)), FlatSource(*names("v", 4))))
    keys = names("v", 4)
    chroma = method(batch(*keys, size=(13, 21)))
    assert chroma.shape == (4, 2, 13, 21)
    for key, picture in zip(keys, chroma, strict=True):
        donor = method.donor(key)
        assert donor is not None
        wanted = torch.tensor(chroma_of(method.bank_keys[donor]))
        torch.testing.assert_close(picture, wanted[:, None, None].expand(2, 13, 21), atol=2e-2, rtol=0)


def test_the_draw_hangs_on_seed_and_key_only() -> None:
    data = FlatData(FlatSource(*names("t", 30)), None)
    first = prepared(data)
    assert torch.equal(first(batch("v1", "v2"))[:1], prepared(data)(batch("v1")))
    drawn = {seed: [prepared(data, seed=seed).donor(key) for key in names("v", 20)] for seed in (0, 1)}
    assert drawn[0] != drawn[1]
    assert len(set(drawn[0])) > 8


def test_the_bank_is_limited_and_hangs_on_the_seed() -> None:
    data = FlatData(FlatSource(*names("t", 30)), None)
    banks = {seed: prepared(data, seed=seed, bank_photos=5) for seed in (0, 1)}
    assert banks[0].bank.shape == (5, 2, 8, 8)
    assert banks[0].bank_keys != banks[1].bank_keys


@pytest.mark.parametrize("train", [None, FlatSource()])
def test_without_training_photos_no_photo_colours_itself(train: FlatSource | None) -> None:
    keys = names("v", 3)
    method = prepared(FlatData(train, FlatSource(*keys)))
    assert set(method.bank_keys) == set(keys)
    for seed in range(20):
        method.seed = seed
        for key in keys:
            donor = method.donor(key)
            assert donor is not None
            assert method.bank_keys[donor] != key


def test_an_only_photo_stays_gray() -> None:
    method = prepared(FlatData(None, FlatSource("v100")))
    assert not method(batch("v100")).any()
    assert method(batch("another")).any()


def test_broken_photos_are_passed_over() -> None:
    method = prepared(FlatData(FlatSource("broken1", "t100", "broken2"), None))
    assert method.bank_keys == ("t100",)
    with pytest.raises(ValueError, match="none of the 1 photos can be read"):
        prepared(FlatData(FlatSource("broken1"), None))


def test_the_bank_is_no_part_of_the_weights() -> None:
    method = prepared(FlatData(FlatSource("t100"), None))
    assert not method.networks()
    assert not method.state_dict()


def test_an_empty_bank_is_said() -> None:
    with pytest.raises(RuntimeError, match="prepare_training"):
        RandomColorizer()(batch("v1"))


def test_another_datamodule_is_refused() -> None:
    with pytest.raises(TypeError, match="PhotoDataModule"):
        RandomColorizer().prepare_training(pl.LightningDataModule())
