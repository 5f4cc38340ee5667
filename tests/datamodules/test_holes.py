"""Holes: of the share that is asked for, by seed and key alone, and never a look into them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny as untyped_canny

from datamodules.holed_photos import CollateHoles, HoledSample, InpaintDataModule, to_gray
from datamodules.holes import BUCKETS, MIXES, HoleBucket, HoleDrawing, MaskFolder, block, half, vary
from datamodules.inpaint_batch import fill_hole
from datamodules.strokes import paint
from datamodules.synthetic import SyntheticDataModule

canny: Any = untyped_canny
SHARES = {name: share for name, share in BUCKETS.items() if share is not None}


def chance(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SHARES)), side=st.integers(16, 96))
@settings(max_examples=60, deadline=None)
def test_painted_holes_cover_what_their_bucket_says(seed: int, name: str, side: int) -> None:
    low, high = SHARES[name]
    hole = HoleBucket(name).draw(side, chance(seed))
    assert hole.shape == (side, side)
    assert hole.dtype == np.bool_
    assert low < hole.mean() <= high
    assert np.array_equal(hole, HoleBucket(name).draw(side, chance(seed)))


def test_painted_holes_differ_and_are_irregular() -> None:
    holes = [paint(64, (0.2, 0.3), chance(seed)) for seed in range(20)]
    assert len({hole.tobytes() for hole in holes}) == 20
    box_shares = []
    for hole in holes:
        lines, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        box_shares.append(hole.sum() / ((np.ptp(lines) + 1) * (np.ptp(columns) + 1)))
    assert max(box_shares) < 0.9, "a hole that fills its box is a rectangle"


def test_a_share_that_no_hole_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no hole in 4 x 4"):
        paint(4, (0.01, 0.02), chance(0))


@given(seed=st.integers(0, 2**32), side=st.integers(2, 65))
@settings(max_examples=40, deadline=None)
def test_blocks_are_squares_of_half_the_side_inside(seed: int, side: int) -> None:
    hole = block(side, chance(seed))
    lines, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    assert len(lines) == len(columns) == side // 2
    assert hole.sum() == (side // 2) ** 2
    assert np.ptp(lines) == np.ptp(columns) == side // 2 - 1


def test_the_fixed_hole_is_the_middle_quarter() -> None:
    hole = HoleBucket("fixed").draw(256, chance(0))
    assert hole.mean() == 0.25
    assert hole[64:192, 64:192].all()


def test_halves_are_left_and_right() -> None:
    drawn = {half(6, chance(seed))[0].tobytes() for seed in range(20)}
    assert drawn == {bytes([1, 1, 1, 0, 0, 0]), bytes([0, 0, 0, 1, 1, 1])}


def test_a_hole_is_turned_and_mirrored_in_eight_ways() -> None:
    hole = np.zeros((5, 5), dtype=bool)
    hole[0, 1:3] = True
    ways = {np.rot90(each, turns).tobytes() for each in (hole, hole[:, ::-1]) for turns in range(4)}
    assert {vary(hole, chance(seed)).tobytes() for seed in range(200)} == ways


@pytest.mark.parametrize("mix", MIXES)
def test_mixes_draw_all_of_their_kinds(mix: str) -> None:
    random = chance(0)
    kinds = set()
    for _ in range(60):
        hole = HoleDrawing(mix).draw(32, random)  # type: ignore[arg-type]  # wider than its type
        lines, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        filled = hole.sum() == (np.ptp(lines) + 1) * (np.ptp(columns) + 1)
        if filled and hole.mean() == 0.5 and len(lines) == 32 and len(columns) == 16:
            kinds.add("half")
        else:
            kinds.add("block" if filled and len(lines) == len(columns) == 16 else "irregular")
    assert kinds == set(MIXES[mix])


def write_mask(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    mask = np.zeros(size, np.uint8)
    top, left, bottom, right = box
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(path)


def test_external_masks_are_cropped_resized_and_sorted_by_share(tmp_path: Path) -> None:
    write_mask(tmp_path / "small.png", (64, 128), (0, 32, 32, 64))  # a quarter of the middle square
    write_mask(tmp_path / "large.png", (64, 64), (0, 0, 64, 29))  # 45 %
    masks = MaskFolder(tmp_path)
    assert masks.read("small", 64).mean() == 0.25
    assert masks.within((0.2, 0.3), 64) == ["small"]
    assert masks.within((0.4, 0.5), 64) == ["large"]
    assert HoleBucket("20-30", masks).draw(64, chance(3)).sum() == 64 * 64 / 4
    with pytest.raises(ValueError, match="no mask in"):
        HoleBucket("10-20", masks).draw(64, chance(0))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        assert MaskFolder(tmp_path / "none").paths


def scenes(**changes: object) -> InpaintDataModule:
    photos = SyntheticDataModule(size=48, train=4, val=2, test=3, train_size=32, batch_size=2)
    return InpaintDataModule(photos, side=48, **changes)  # type: ignore[arg-type]  # settings as a mapping


def test_evaluation_holes_hang_on_seed_bucket_and_name_alone() -> None:
    data = scenes()
    whole = {sample.key: sample for place in range(3) if isinstance(sample := data.test_set()[0, place], HoledSample)}
    again = scenes()
    again.chosen = [sorted(whole)[2]]
    (only,) = [again.test_set()[0, 0]]
    assert isinstance(only, HoledSample)
    assert np.array_equal(only.hole, whole[only.key].hole)
    assert len({sample.hole.tobytes() for sample in whole.values()}) == 3
    again.bucket = "20-30"
    other = again.test_set()[0, 0]
    assert isinstance(other, HoledSample)
    assert not np.array_equal(other.hole, only.hole)


def test_a_method_sees_nothing_of_the_hole() -> None:
    data = scenes()
    dataset = data.test_set()
    sample = dataset[0, 1]
    assert isinstance(sample, HoledSample)
    changed = sample.rgb.clone()
    changed[:, torch.from_numpy(sample.hole)] = 255 - changed[:, torch.from_numpy(sample.hole)]
    gray = to_gray(changed[None] / 255)[0, 0].numpy()
    assert np.array_equal(canny(gray, 2.0, mask=~sample.hole), sample.known_edges)
    batch = CollateHoles(48)([sample])
    assert bool((batch.holed.rgb[batch.holed.hole.expand(-1, 3, -1, -1) > 0] == 1).all())
    assert not bool((batch.holed.edges * batch.holed.hole).any())
    assert batch.holed.true_edges is None


def test_light_and_edges_are_those_of_scikit_image() -> None:
    sample = scenes().test_set()[0, 0]
    assert isinstance(sample, HoledSample)
    picture = sample.rgb.permute(1, 2, 0).numpy()
    gray = to_gray(sample.rgb[None] / 255)[0, 0].numpy()
    np.testing.assert_allclose(gray, rgb2gray(picture), atol=1e-6)
    assert np.mean(canny(rgb2gray(picture), 2.0) == sample.edges) > 0.999


def test_training_holes_change_with_the_epoch_and_come_again_with_the_seed() -> None:
    data = scenes()
    dataset = data.training_set("train")
    assert dataset is not None
    first, second, again = dataset[0, 0], dataset[1, 0], scenes().training_set("train")
    assert again is not None
    same = again[0, 0]
    assert isinstance(first, HoledSample)
    assert isinstance(second, HoledSample)
    assert isinstance(same, HoledSample)
    assert not np.array_equal(first.hole, second.hole)
    assert np.array_equal(first.hole, same.hole)
    batch = next(iter(data.train_dataloader()))
    assert batch.rgb.shape == (2, 3, 32, 32)


def test_only_the_hole_is_filled() -> None:
    truth = torch.full((1, 3, 4, 4), 7, dtype=torch.uint8)
    hole = torch.zeros(1, 1, 4, 4)
    hole[..., 1, 2] = 1
    filled = fill_hole(truth, torch.full((1, 3, 4, 4), 100.5 / 255), hole)
    assert bool((filled[..., 1, 2] == 100).all()), "half to even"
    assert int((filled != truth).sum()) == 3
