"""Hints: drawn by key alone, inside the picture, nested, with the true mean colour, at the authors' places."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from datamodules.hints import Hinting, resize_guide, reveal
from datamodules.synthetic import SyntheticDataModule
from datamodules.types import ColorBatch

SIZES = [(256, 256), (64, 96), (7, 5), (1, 1), (300, 2)]


def draw(hinting: Hinting, size: tuple[int, int], seed: int = 0) -> Tensor:
    return hinting.draw(size, np.random.default_rng(seed))


def scenes(**settings: object) -> SyntheticDataModule:
    fields = {"train": 6, "val": 2, "test": 6, "size": 64, "train_size": 32, "batch_size": 2, **settings}
    return SyntheticDataModule(**fields)  # type: ignore[arg-type]  # settings as a mapping


def guides(batches: Iterator[ColorBatch]) -> dict[str, Tensor]:
    """Return the guide of each picture by its key."""
    found: dict[str, Tensor] = {}
    for batch in batches:
        assert batch.gray.guide is not None
        found |= dict(zip(batch.gray.key, batch.gray.guide, strict=True))
    return found


def digest(guide: Tensor) -> str:
    return hashlib.sha256(guide.mul(100).round().to(torch.int32).numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 10, 500])
def test_hints_lie_inside_the_picture(size: tuple[int, int], count: int) -> None:
    squares = draw(Hinting.for_evaluation(count), size)
    top, left, side = squares.unbind(1)
    assert squares.shape == (count, 3)
    assert bool((squares[:, :2] >= 0).all())
    assert bool((side == min(6, *size)).all())
    assert bool((top + side <= size[0]).all())
    assert bool((left + side <= size[1]).all())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fewer_hints_are_the_first_of_more(size: tuple[int, int]) -> None:
    most = draw(Hinting.for_evaluation(40), size)
    for count in range(40):
        torch.testing.assert_close(draw(Hinting.for_evaluation(count), size), most[:count])


def test_places_are_the_authors() -> None:
    squares = draw(Hinting.for_evaluation(4000), (256, 200)).numpy()
    chance = np.random.default_rng(1)
    for column, room in ((0, 250), (1, 194)):
        authors = np.clip(chance.normal((room + 1) / 2.0, (room + 1) / 4.0, 4000), 0, room).astype(int)
        assert stats.ks_2samp(squares[:, column], authors).pvalue > 0.01


def test_training_draws_number_and_size() -> None:
    chance = np.random.default_rng(0)
    drawn = [Hinting.for_training(0.125).draw((64, 64), chance) for _ in range(3000)]
    counts = np.array([len(squares) for squares in drawn])
    sides = torch.cat(drawn)[:, 2].numpy()
    expected = [3000 * 0.125 * 0.875**n for n in range(20)]
    observed = np.bincount(counts, minlength=21)
    rest = observed[20:].sum()
    assert stats.chisquare([*observed[:20], rest], [*expected, 3000 - sum(expected)]).pvalue > 0.01
    assert stats.chisquare(np.bincount(sides, minlength=10)[1:]).pvalue > 0.01


def test_a_stop_of_one_gives_no_hints() -> None:
    chance = np.random.default_rng(0)
    assert all(len(Hinting.for_training(1.0).draw((64, 64), chance)) == 0 for _ in range(50))


@pytest.mark.parametrize("stop", [0.0, -0.1, 1.1])
def test_a_stop_must_be_a_chance(stop: float) -> None:
    with pytest.raises(ValueError, match=r"hint_stop is .*above 0 and up to 1"):
        Hinting.for_training(stop)


def test_a_number_of_hints_is_no_less_than_none() -> None:
    with pytest.raises(ValueError, match="hints is -1: give how many each picture gets, 0 or more"):
        scenes(hints=-1)


def test_a_hint_has_the_mean_color_and_covers_earlier_ones() -> None:
    chroma = torch.randn(2, 20, 30, dtype=torch.float64) * 40
    squares = torch.tensor([[2, 3, 6], [14, 24, 6], [5, 6, 4], [0, 29, 1]])
    expected = np.zeros((3, 20, 30))
    for top, left, side in squares.tolist():
        for plane in (0, 1):
            cut = chroma.numpy()[plane, top : top + side, left : left + side]
            expected[plane, top : top + side, left : left + side] = cut.sum() / side**2
        expected[2, top : top + side, left : left + side] = 1
    torch.testing.assert_close(reveal(chroma, squares).numpy(), expected)
    assert not reveal(chroma, squares[:0]).any()


def test_a_guide_of_another_size_keeps_every_hint() -> None:
    chroma = torch.full((2, 60, 80), 30.0)
    guide = reveal(chroma, torch.tensor([[7, 11, 1], [40, 50, 9]]))[None]
    for size in ((60, 80), (30, 40), (7, 9), (90, 90)):
        resized = resize_guide(guide, size)
        hinted = resized[:, 2] == 1
        assert resized.shape == (1, 3, *size)
        assert bool(((resized[:, 2] == 0) | hinted).all())
        torch.testing.assert_close(resized[:, 0][hinted], torch.full((int(hinted.sum()),), 30.0))
        assert not resized[:, :2, ~hinted[0]].any()
        assert bool(hinted[:, : size[0] // 2, : size[1] // 2].any())
        assert bool(hinted[:, size[0] // 2 :, size[1] // 2 :].any())
    torch.testing.assert_close(resize_guide(guide, (60, 80)), guide)


def test_no_hints_no_guide() -> None:
    data = scenes()
    assert all(batch.gray.guide is None for batch in (*data.test_dataloader(), *data.train_dataloader()))


def test_hints_are_told_by_seed_and_key_alone() -> None:
    alone = guides(iter(scenes(hints=8, eval_batch_size=1).test_dataloader()))
    assert len(alone) == 6
    shared: dict[str, Tensor] = {}
    for rank in range(3):
        data = scenes(hints=8, eval_batch_size=4, max_boxes=0, limit=5)
        data.shard = (rank, 3)
        shared |= guides(iter(data.test_dataloader()))
    assert len(shared) == 5
    assert all(digest(guide) == digest(alone[key]) for key, guide in shared.items())
    other = guides(iter(scenes(hints=8, seed=1).test_dataloader()))
    assert all(digest(guide) != digest(alone[key]) for key, guide in other.items())


def test_more_hints_show_more_of_the_same_picture() -> None:
    few = guides(iter(scenes(hints=3).test_dataloader()))
    many = guides(iter(scenes(hints=30).test_dataloader()))
    for key, guide in few.items():
        assert 0 < guide[2].sum() < many[key][2].sum()
        assert bool((many[key][2] >= guide[2]).all())


def test_hints_are_the_truth_of_what_the_method_gets() -> None:
    data = scenes(hints=400)
    for batch in data.test_dataloader():
        guide = batch.gray.guide
        assert guide is not None
        hinted = guide[:, 2:].bool().expand_as(batch.chroma)
        error = (guide[:, :2] - batch.chroma)[hinted].abs()
        assert error.median() < 5
        assert not guide[:, :2][~hinted].any()


@pytest.mark.parametrize("cache", [False, True])
def test_training_draws_anew_each_epoch_and_the_same_again(cache: bool) -> None:
    epochs = []
    for _ in range(2):
        data = scenes(hint_stop=0.125, cache=cache, train_crop=24, flip=True)
        loader = data.train_dataloader()
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            epochs.append({key: digest(guide) for key, guide in guides(iter(loader)).items()})
    first, second, again, and_again = epochs
    assert (first, second) == (again, and_again)
    assert any(first[key] != second[key] for key in first)
    assert guides(iter(scenes(hint_stop=0.125).val_dataloader()))  # type: ignore[arg-type]  # wider than its type
