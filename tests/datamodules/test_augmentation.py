"""Crops and mirroring are checked on pictures that are black but for one white rectangle: that of the box."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from datamodules.augmentation import Augmentation, View
from datamodules.folder import FolderDataModule
from datamodules.photo_data import PhotoDataModule
from datamodules.protocol import CropBox
from datamodules.synthetic import SyntheticDataModule
from datamodules.types import Boxes

SIDE = 24


def spans(length: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True).map(sorted)


def white_box(left: int, top: int, right: int, bottom: int, scale: tuple[int, int]) -> tuple[torch.Tensor, Boxes]:
    """Return a training picture and its box, measured in a photo that is `scale` (down, across) times as large."""
    rgb = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    rgb[:, top:bottom, left:right] = 255
    down, across = scale
    xyxy = torch.tensor([[left * across, top * down, right * across, bottom * down]], dtype=torch.float32)
    size = (SIDE * down, SIDE * across)
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, top * down : bottom * down, left * across : right * across] = True
    return rgb, Boxes(xyxy, torch.ones(1), torch.ones(1, dtype=torch.int64), size, mask)


@given(spans(SIDE), spans(SIDE), spans(SIDE), spans(SIDE), st.sampled_from([(1, 1), (2, 5), (3, 1)]), st.booleans())
def test_boxes_and_masks_stay_on_what_they_mark(
    across: list[int], down: list[int], columns: list[int], rows: list[int], scale: tuple[int, int], mirrored: bool
) -> None:
    rgb, boxes = white_box(across[0], down[0], across[1], down[1], scale)
    view = View((columns[0], rows[0], columns[1], rows[1]), mirrored)
    white = view.picture(rgb, None)[0].numpy() > 0
    found = view.boxes(boxes, (SIDE, SIDE))
    assert found.image_size == (white.shape[0] * scale[0], white.shape[1] * scale[1])
    assert len(found) == white.any()
    for left, top, right, bottom in found.xyxy.tolist():
        wide, high = np.flatnonzero(white.any(0)), np.flatnonzero(white.any(1))
        seen = [wide[0] * scale[1], high[0] * scale[0], (wide[-1] + 1) * scale[1], (high[-1] + 1) * scale[0]]
        np.testing.assert_allclose([left, top, right, bottom], seen, atol=1e-4)
        assert found.mask is not None
        np.testing.assert_array_equal(found.mask[0], np.kron(white, np.ones(scale, bool)))


def test_boxes_keep_their_place_where_the_part_has_no_whole_pixels_of_the_photo() -> None:
    boxes = Boxes(torch.tensor([[10.0, 4.0, 30.0, 16.0]]), torch.ones(1), torch.ones(1, dtype=torch.int64), (17, 50))
    found = View((3, 5, 20, 24), False).boxes(boxes, (SIDE, SIDE))
    assert found.image_size == (13, 35), "17 x 19 / 24 and 50 x 17 / 24, rounded"
    share = found.xyxy[0] / torch.tensor([35, 13, 35, 13])
    wanted = [(10 / 50 * 24 - 3) / 17, (4 / 17 * 24 - 5) / 19, (30 / 50 * 24 - 3) / 17, (16 / 17 * 24 - 5) / 19]
    np.testing.assert_allclose(share, np.clip(wanted, 0, 1), atol=1e-6)


def test_the_centre_is_cut_for_validation() -> None:
    varied = Augmentation(crop=7, area=(0.1, 0.5), flip=True, drawn=True).centred()
    assert varied.view(12, 10, np.random.default_rng(0)) == View((1, 2, 8, 9), False)


def test_every_place_is_cut_and_half_is_mirrored() -> None:
    random = np.random.default_rng(0)
    views = [Augmentation(crop=2, flip=True, drawn=True).view(4, 3, random) for _ in range(2000)]
    places: set[CropBox] = {view.part for view in views}
    assert places == {(left, top, left + 2, top + 2) for left in range(2) for top in range(3)}
    assert 900 < sum(view.mirrored for view in views) < 1100


def test_areas_and_ratios_are_those_that_were_asked_for() -> None:
    random = np.random.default_rng(0)
    varied = Augmentation(crop=8, area=(0.2, 0.6), drawn=True)
    sizes = np.array([(right - left, bottom - top) for left, top, right, bottom in parts(varied, 500, random)])
    shares = sizes.prod(1) / 300**2
    assert 0.19 < shares.min() < 0.22
    assert 0.57 < shares.max() < 0.61
    assert abs(shares.mean() - 0.4) < 0.02
    ratios = sizes[:, 0] / sizes[:, 1]
    assert 0.74 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.35


def parts(varied: Augmentation, count: int, random: np.random.Generator) -> list[CropBox]:
    return [varied.view(300, 300, random).part for _ in range(count)]


def test_a_part_is_stretched_to_the_side() -> None:
    rgb = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8))
    found = View((1, 2, 7, 8), False).picture(rgb, 12)
    wanted = functional.interpolate(rgb[None, :, 2:8, 1:7].double(), (12, 12), mode="bilinear")[0]
    np.testing.assert_allclose(found, wanted, atol=1)


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)])
def test_shares_that_are_none_are_refused(area: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="the area of crops is"):
        Augmentation(crop=8, area=area)
    with pytest.raises(ValueError, match="with a crop of None pixels"):
        FolderDataModule(".", train_crop_area=(0.1, 1.0))


def scenes(**settings: Any) -> PhotoDataModule:
    return SyntheticDataModule(size=32, train=6, val=2, train_size=32, batch_size=6, **settings)


def pictures(data: PhotoDataModule, epoch: int) -> dict[str, torch.Tensor]:
    loader = data.train_dataloader()
    loader.order.set_epoch(epoch)
    return {key: rgb for batch in loader for key, rgb in zip(batch.gray.key, batch.rgb, strict=True)}


@pytest.mark.parametrize("cache", [False, True])
def test_crops_follow_from_seed_epoch_and_key(cache: bool) -> None:
    varied: dict[str, Any] = {"train_crop": 20, "flip": True}
    whole = pictures(scenes(), 0)
    data = scenes(cache=cache, **varied)
    epochs = [pictures(data, epoch) for epoch in range(2)]
    again, other = pictures(scenes(**varied), 1), pictures(scenes(seed=1, **varied), 1)
    for key, rgb in epochs[1].items():
        assert torch.equal(rgb, again[key])
        assert any(
            torch.equal(rgb, place.flip(-1)) or torch.equal(rgb, place)
            for place in whole[key].unfold(1, 20, 1).unfold(2, 20, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        ), "a part of the picture"
    for changed in (epochs[0], other):
        assert any(not torch.equal(epochs[1][key], changed[key]) for key in again)


def test_validation_is_centred() -> None:
    plain, varied = (
        scenes().val_dataloader(),
        scenes(train_crop=20, flip=True, train_crop_area=(0.1, 1)).val_dataloader(),
    )
    for whole, cut in zip(plain, varied, strict=True):
        assert torch.equal(cut.rgb, whole.rgb[..., 6:26, 6:26])


@pytest.mark.parametrize("cache", [False, True])
def test_instance_crops_are_mirrored_with_their_boxes(cache: bool) -> None:
    (plain,) = scenes(crop_size=16, cache=cache).train_dataloader()
    (varied,) = scenes(crop_size=16, cache=cache, flip=True).train_dataloader()
    counts = [len(boxes) for boxes in plain.gray.boxes]
    mirrored = []
    crops = zip(torch.split(plain.gray.crops, counts), torch.split(varied.gray.crops, counts), strict=True)
    for place, (before, after) in enumerate(crops):
        mirrored.append(not torch.equal(plain.rgb[place], varied.rgb[place]))
        xyxy, turned = plain.gray.boxes[place].xyxy, varied.gray.boxes[place].xyxy
        if mirrored[-1]:
            turned = torch.tensor([32, 0, 32, 0]) + turned[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1])
            after = after.flip(-1)
            assert torch.equal(varied.rgb[place], plain.rgb[place].flip(-1))
        assert torch.equal(xyxy, turned)
        assert torch.equal(before, after)
    assert 0 < sum(mirrored) < 6


def test_crops_that_cannot_be_cut_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="leave it out of the stages that look at instance crops"):
        scenes(train_crop=20, crop_size=8).train_dataloader()
    with pytest.raises(ValueError, match="train_crop is 40, pictures are 32: give a train_size"):
        scenes(train_crop=40).train_dataloader()
