import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2lab

from datamodules.boxes import cut_box
from datamodules.coco import CocoDataModule
from datamodules.folder import FolderDataModule
from datamodules.mixture import MixtureDataModule
from datamodules.photo_data import PhotoDataModule
from datamodules.samplers import EpochSampler, ShardSampler, deal_batches
from datamodules.sources.synthetic import mask_to_bbox
from datamodules.synthetic import SyntheticDataModule
from datamodules.types import ColorBatch

SIZES = [(40, 30), (30, 40), (37, 21), (64, 64), (50, 33)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A COCO folder of ten photos to train on and five to test, with up to twelve boxes each; one has only a crowd."""
    for split, count in (("train2017", 10), ("val2017", 5)):
        write_split(tmp_path, split, count)
    return tmp_path


def write_split(root: Path, split: str, count: int) -> None:
    random = np.random.default_rng(count)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (root / split).mkdir()
    (root / "annotations").mkdir(exist_ok=True)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / split / f"{number:02}.png")
        images.append({"id": number, "file_name": f"{number:02}.png", "width": width, "height": height})
        for _ in range(number + 3 if number else 1):
            x, y = random.uniform(0, (width - 9, height - 9))
            box = [x, y, *random.uniform(2, 9, 2)]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": box, "iscrowd": int(not number)}
            )
    content = {"images": images, "categories": [{"id": 1, "name": "thing"}], "annotations": annotations}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def picture(root: Path, key: str, split: str = "val2017") -> Image.Image:
    with Image.open(root / split / f"{key}.png") as opened:
        return opened.convert("RGB")


def batches(loader: Any, epoch: int | None = None) -> list[ColorBatch]:
    if epoch is not None:
        loader.sampler.set_epoch(epoch)
    found: Iterator[ColorBatch] = iter(loader)
    return list(found)


def seen(found: list[ColorBatch]) -> list[str]:
    return [key for batch in found for key in batch.gray.key]


def assert_same(one: list[ColorBatch], other: list[ColorBatch]) -> None:
    assert seen(one) == seen(other)
    for first, second in zip(one, other, strict=True):
        assert torch.equal(first.rgb, second.rgb)
        assert torch.equal(first.gray.crops, second.gray.crops)
        for mine, theirs in zip(first.gray.boxes, second.gray.boxes, strict=True):
            assert torch.equal(mine.xyxy, theirs.xyxy)


@pytest.mark.parametrize("protocol", ["stretch256-v1", "stretch64-v1", "centercrop256-v1", "native-v1"])
def test_test_batches_are_the_photos_under_the_protocol(root: Path, protocol: str) -> None:
    found = batches(CocoDataModule(root, protocol=protocol, crop_size=16, eval_batch_size=2).test_dataloader())
    assert seen(found) == ["00", "01", "02", "03", "04"]
    assert len(found) == (5 if protocol == "native-v1" else 3)
    for batch in found:
        crops = 0
        for place, key in enumerate(batch.gray.key):
            photo = picture(root, key)
            width, height = photo.size
            assert batch.photo_size[place] == (height, width)
            if protocol == "centercrop256-v1":
                side = min(photo.size)
                left, top = (width - side) // 2, (height - side) // 2
                photo = photo.crop((left, top, left + side, top + side))
            boxes = batch.gray.boxes[place]
            assert boxes.image_size == (photo.height, photo.width)
            for box in boxes.xyxy.tolist():
                crop = photo.crop(cut_box(box, boxes.image_size)).resize((16, 16), Image.Resampling.BILINEAR)
                lab = np.moveaxis(rgb2lab(np.array(crop)), -1, 0)
                np.testing.assert_allclose(batch.gray.crops[crops], lab[:1], atol=1e-4)
                np.testing.assert_allclose(batch.crop_chroma[crops], lab[1:], atol=1e-4)
                crops += 1
            if protocol != "native-v1":
                side = 64 if protocol == "stretch64-v1" else 256
                photo = photo.resize((side, side), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(batch.rgb[place].permute(1, 2, 0), np.array(photo))
            lab = np.moveaxis(rgb2lab(np.array(photo)), -1, 0)
            np.testing.assert_allclose(batch.gray.light[place], lab[:1], atol=1e-4)
            np.testing.assert_allclose(batch.chroma[place], lab[1:], atol=1e-4)
        assert len(batch.gray.crops) == len(batch.crop_chroma) == crops
        assert batch.label.tolist() == [-1] * len(batch)


def test_no_crops_are_cut_unless_wanted(root: Path) -> None:
    for batch in batches(CocoDataModule(root).test_dataloader()):
        assert batch.gray.crops.shape == (0, 1, 0, 0)
        assert batch.crop_chroma.shape == (0, 2, 0, 0)


def test_crowds_are_no_boxes_and_eight_are_kept(root: Path) -> None:
    (batch,) = batches(CocoDataModule(root, eval_batch_size=5, max_boxes=4).test_dataloader())
    assert [len(boxes) for boxes in batch.gray.boxes] == [0, 4, 4, 4, 4]


def test_boxes_of_a_file(root: Path, tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "01.png", "width": 30, "height": 40}]
    scored = [{"id": n, "image_id": 1, "category_id": 3, "bbox": [n, 0, 5, 5], "score": n / 10} for n in range(10)]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": images, "categories": [], "annotations": scored}))
    data = CocoDataModule(root, boxes=str(path), eval_batch_size=5)
    (batch,) = batches(data.test_dataloader())
    assert [len(boxes) for boxes in batch.gray.boxes] == [0, 8, 0, 0, 0]
    assert batch.gray.boxes[1].xyxy[:, 0].tolist() == list(range(2, 10))
    assert batch.gray.boxes[1].label.tolist() == [3] * 8
    images[0]["width"] = 31
    path.write_text(json.dumps({"images": images, "categories": [], "annotations": scored}))
    with pytest.raises(ValueError, match="31 x 40 pixels, but the photo"):
        batches(CocoDataModule(root, boxes=str(path)).test_dataloader())
    images[0]["file_name"] = "other.png"
    path.write_text(json.dumps({"images": images, "categories": [], "annotations": scored}))
    with pytest.raises(ValueError, match=r"boxes\.json names none of the photos: it begins with 'other'"):
        CocoDataModule(root, boxes=str(path)).test_dataloader()


def test_broken_test_photos_are_failures(root: Path) -> None:
    (root / "val2017/01.png").write_bytes(b"no picture")
    (root / "val2017/02.png").unlink()
    data = CocoDataModule(root, eval_batch_size=1, crop_size=8)
    found = batches(data.test_dataloader())
    assert [[failure.key for failure in batch.failures] for batch in found] == [[], ["01"], ["02"], [], []]
    assert found[1].failures[0].status == "error-decode"
    assert found[1].gray.light.shape == (0, 1, 256, 256)
    assert found[1].chroma.shape == (0, 2, 256, 256)
    assert found[1].rgb.shape == (0, 3, 256, 256)
    assert found[1].gray.crops.shape == (0, 1, 8, 8)
    assert found[1].label.shape == (0,)
    data.eval_batch_size = 3
    first, second = batches(data.test_dataloader())
    assert seen([first]) == ["00"]
    assert [failure.key for failure in first.failures] == ["01", "02"]
    assert seen([second]) == ["03", "04"]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_each_photo_comes_once_over_all_ranks_in_the_same_batches(root: Path, world: int) -> None:
    found = []
    for rank in range(world):
        data = CocoDataModule(root, eval_batch_size=2)
        data.shard = (rank, world)
        found += [batch.gray.key for batch in batches(data.test_dataloader())]
    assert sorted(found) == [("00", "01"), ("02", "03"), ("04",)]


def test_a_batch_of_which_a_photo_is_done_is_read_whole(root: Path) -> None:
    data = CocoDataModule(root, eval_batch_size=2)
    data.done = frozenset({"00", "01", "03"})
    assert [batch.gray.key for batch in batches(data.test_dataloader())] == [("02", "03"), ("04",)]


def test_one_photo_comes_alone_on_every_rank(root: Path) -> None:
    data = CocoDataModule(root, eval_batch_size=2)
    data.shard, data.alone = (1, 2), "02"
    assert [batch.gray.key for batch in batches(data.test_dataloader())] == [("02",)]


def test_limit_takes_the_first_by_name(root: Path) -> None:
    data = CocoDataModule(root, limit=2)
    assert seen(batches(data.predict_dataloader())) == ["00", "01"]
    assert len(data.train_dataloader().dataset) == 9  # type: ignore[arg-type]  # wider than its type


def test_training_order_follows_from_seed_and_epoch(root: Path) -> None:
    first = CocoDataModule(root, train_size=16, batch_size=2, seed=3).train_dataloader()
    orders = [seen(batches(first, epoch)) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    torch.manual_seed(99)
    np.random.default_rng(5)
    again = CocoDataModule(root, train_size=16, batch_size=2, seed=3).train_dataloader()
    assert seen(batches(again, 1)) == orders[1]
    other = CocoDataModule(root, train_size=16, batch_size=2, seed=4).train_dataloader()
    assert seen(batches(other, 1)) != orders[1]
    assert all(len(set(order)) == 8 for order in orders), "9 photos are left, the incomplete batch is dropped"


def test_training_photos_are_stretched_to_their_size(root: Path) -> None:
    data = CocoDataModule(root, train_size=20, batch_size=16, crop_size=12)
    (batch,) = batches(data.train_dataloader())
    assert len(batch) == 9, "a single batch is kept though it is not full"
    key = batch.gray.key[0]
    wanted = picture(root, key, "train2017").resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(batch.rgb[0].permute(1, 2, 0), np.array(wanted))
    assert batch.gray.crops.shape[1:] == (1, 12, 12)
    (held,) = batches(data.val_dataloader())
    assert held.rgb.shape == (1, 3, 20, 20)
    assert not set(held.gray.key) & set(batch.gray.key)


@pytest.mark.parametrize("cache", [False, True])
def test_random_boxes_follow_from_seed_epoch_and_key(root: Path, cache: bool) -> None:
    settings: dict[str, Any] = {
        "train_size": 16,
        "crop_size": 8,
        "box_choice": "random",
        "max_boxes": 1,
        "boxes_only": True,
    }
    data = CocoDataModule(root, batch_size=3, cache=cache, **settings)
    loader = data.train_dataloader()
    epochs = [batches(loader, epoch) for epoch in range(3)]
    for batch in epochs[0]:
        assert all(len(boxes) == 1 for boxes in batch.gray.boxes)
        assert len(batch.gray.crops) == len(batch)
    assert "00" not in seen(epochs[0]), "the photo with only a crowd has no box"
    again = CocoDataModule(root, batch_size=3, **settings).train_dataloader()
    assert_same(batches(again, 2), epochs[2])
    drawn = [
        {
            key: boxes.xyxy.tolist()
            for batch in epoch
            for key, boxes in zip(batch.gray.key, batch.gray.boxes, strict=True)
        }
        for epoch in epochs
    ]
    assert any(drawn[0][key] != drawn[1][key] for key in drawn[0].keys() & drawn[1].keys())


def test_cache_gives_the_same_without_reading_again(root: Path) -> None:
    plain = CocoDataModule(root, train_size=16, crop_size=8, batch_size=3).train_dataloader()
    data = CocoDataModule(root, train_size=16, crop_size=8, batch_size=3, cache=True)
    cached = data.train_dataloader()
    for epoch in range(2):
        assert_same(batches(plain, epoch), batches(cached, epoch))
    for path in (root / "train2017").iterdir():
        path.unlink()
    assert len(seen(batches(data.train_dataloader(), 1))) == 9


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_see_the_same(root: Path, start_method: str) -> None:
    settings: dict[str, Any] = {
        "train_size": 16,
        "crop_size": 8,
        "box_choice": "random",
        "max_boxes": 2,
        "batch_size": 4,
    }
    alone = CocoDataModule(root, **settings).train_dataloader()
    shared = CocoDataModule(root, num_workers=2, start_method=start_method, **settings).train_dataloader()
    for epoch in (0, 1):
        assert_same(batches(alone, epoch), batches(shared, epoch))


def test_dataset_travels_to_workers_without_its_cache(root: Path) -> None:
    loader = CocoDataModule(root, train_size=16, crop_size=8, batch_size=4, cache=True).train_dataloader()
    (first, *_) = batches(loader)
    dataset, collate = pickle.loads(pickle.dumps((loader.dataset, loader.collate_fn)))
    assert dataset.kept == {}
    again = collate([dataset[index] for index in list(loader.sampler)[:4]])
    assert_same([first], [again])


def test_broken_training_photos_are_replaced(root: Path) -> None:
    data = CocoDataModule(root, train_size=16, batch_size=9)
    train = data.source("train")
    assert train is not None
    broken = train.photos[3].key
    (root / "train2017" / f"{broken}.png").write_bytes(b"no picture")
    loader = data.train_dataloader()
    with pytest.warns(UserWarning, match=f"left out of training: '{broken}': ") as caught:
        (batch,) = batches(loader, 0)
    assert len(caught) == 1
    assert len(batch) == 9
    assert broken not in batch.gray.key
    assert not batch.failures
    batches(loader, 1)
    for path in (root / "train2017").iterdir():
        path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="the file is empty"),
        pytest.raises(ValueError, match="none of the 9 training photos can be used"),
    ):
        batches(data.train_dataloader())


def test_what_cannot_be_served_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no protocol 'stretch-v1'; did you mean 'stretch64-v1'"):
        CocoDataModule(root, protocol="stretch-v1")
    with pytest.raises(ValueError, match="native-v1 keeps the sizes of photos: give a train_size"):
        CocoDataModule(root, protocol="native-v1").train_dataloader()
    assert CocoDataModule(root, protocol="native-v1", train_size=16).train_dataloader()
    photos = FolderDataModule(root / "val2017", boxes_only=True, train_size=16)
    with pytest.raises(ValueError, match="no training photos with a box"):
        photos.train_dataloader()
    assert photos.val_dataloader() == []


@pytest.mark.parametrize("count", [1, 5, 8])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_training_is_shared_out_evenly(count: int, world: int) -> None:
    ranks = [list(EpochSampler(count, seed=1, rank=rank, world=world)) for rank in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    assert {position for rank in ranks for _, position in rank} == set(range(count))


def test_unshuffled_sampler_ignores_the_epoch() -> None:
    sampler = EpochSampler(3, shuffle=False)
    sampler.set_epoch(7)
    assert list(sampler) == [(0, 0), (0, 1), (0, 2)]
    assert list(ShardSampler([4, 6])) == [(0, 4), (0, 6)]
    assert len(ShardSampler([])) == 0


def test_ranks_that_know_of_different_finished_photos_lose_none(root: Path) -> None:
    keys = []
    for rank, done in enumerate([frozenset({"00"}), frozenset({"00", "01"})]):
        data = CocoDataModule(root, eval_batch_size=1)
        data.shard, data.done = (rank, 2), done
        keys += seen(batches(data.test_dataloader()))
    assert sorted(keys) == ["02", "03", "04"]


@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 5), st.sets(st.integers(0, 40)))
def test_batches_are_the_same_however_they_are_dealt_out(count: int, size: int, world: int, done: set[int]) -> None:
    keys = [str(position) for position in range(count)]
    finished = {str(position) for position in done}
    shares = [deal_batches(keys, size, rank, world, finished) for rank in range(world)]
    found = [tuple(share[start : start + size]) for share in shares for start in range(0, len(share), size)]
    whole = [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    assert sorted(found) == [batch for batch in whole if not finished.issuperset(map(str, batch))]


class Recorder(pl.LightningModule):
    """Note the names of all photos that Lightning hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[str]] = {"fit": [], "val": [], "test": []}

    def training_step(self, batch: ColorBatch, batch_idx: int) -> torch.Tensor:
        self.seen["fit"].append(f"{self.current_epoch}:{','.join(batch.gray.key)}")
        return (self.weight * batch.gray.light.mean()).sum()

    def validation_step(self, batch: ColorBatch, batch_idx: int) -> None:
        self.seen["val"] += batch.gray.key

    def test_step(self, batch: ColorBatch, batch_idx: int) -> None:
        self.seen["test"] += [*batch.gray.key, *(failure.key for failure in batch.failures)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 asks torch in a way that torch has left
@pytest.mark.filterwarnings("ignore:GPU available but not used")
def test_lightning_sets_the_epoch_and_hands_batches_over(root: Path, tmp_path: Path) -> None:
    data = CocoDataModule(root, train_size=16, batch_size=4)
    (root / "val2017/03.png").write_bytes(b"")
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(recorder, datamodule=data)
    loader = CocoDataModule(root, train_size=16, batch_size=4).train_dataloader()
    wanted = [f"{epoch}:{','.join(batch.gray.key)}" for epoch in (0, 1) for batch in batches(loader, epoch)]
    assert recorder.seen["fit"] == wanted
    assert len(recorder.seen["val"]) == 2
    trainer.test(recorder, datamodule=data, verbose=False)
    assert sorted(recorder.seen["test"]) == ["00", "01", "02", "03", "04"]


class Saver(pl.Callback):
    """Write a checkpoint after so many steps, and end there."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 asks torch in a way that torch has left
@pytest.mark.filterwarnings("ignore:GPU available but not used")
@pytest.mark.parametrize("step", [1, 2, 4, 7])
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_training_sees_the_same_batches(root: Path, tmp_path: Path, step: int, num_workers: int) -> None:
    def train(callbacks: list[pl.Callback], resume: Path | None) -> list[str]:
        settings: dict[str, Any] = {"box_choice": "random", "max_boxes": 1, "num_workers": num_workers}
        data = CocoDataModule(root, train_size=16, batch_size=2, crop_size=8, **settings)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=9,
            max_epochs=-1,
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            limit_val_batches=0,
        )
        recorder = Recorder()
        trainer.fit(recorder, datamodule=data, ckpt_path=resume)
        return recorder.seen["fit"]

    whole = train([], None)
    assert len(whole) == 9
    path = tmp_path / "stopped.ckpt"
    first = train([Saver(path, step)], None)
    assert first == whole[:step]
    assert train([], path) == whole[step:]


def test_trainer_of_several_ranks_is_asked_for_its_share(root: Path) -> None:
    class Ranks:
        global_rank = 1
        world_size = 2

    data = CocoDataModule(root, train_size=16, batch_size=2)
    data.trainer = Ranks()  # type: ignore[assignment]
    assert seen(batches(data.test_dataloader())) == ["01", "03"]
    assert len(data.train_dataloader().sampler) == 5  # type: ignore[arg-type]  # wider than its type
    data.shard = (0, 3)
    assert seen(batches(data.test_dataloader())) == ["00", "03"]


def test_data_modules_without_source_say_so() -> None:
    with pytest.raises(NotImplementedError, match="PhotoDataModule does not implement source"):
        PhotoDataModule().source("train")


def test_labels_of_a_folder(root: Path) -> None:
    data = FolderDataModule(root, eval_batch_size=15)
    (batch,) = batches(data.test_dataloader())
    assert batch.label.tolist() == [0] * 10 + [1] * 5
    assert batch.gray.key[0] == f"train2017{os.sep}00".replace(os.sep, "/")


def test_real_photos(shared: Path) -> None:
    data = CocoDataModule(shared / "data/coco", limit=6, crop_size=32, eval_batch_size=3)
    for batch in batches(data.test_dataloader()):
        assert batch.gray.light.shape == (3, 1, 256, 256)
        assert len(batch.gray.crops) == sum(len(boxes) for boxes in batch.gray.boxes)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("protocol", ["stretch256-v1", "centercrop256-v1"])
def test_masks_go_with_the_boxes(cache: bool, protocol: str) -> None:
    settings: dict[str, Any] = {"size": 64, "train": 4, "val": 1, "batch_size": 4, "cache": cache}
    settings |= {"box_choice": "random", "max_boxes": 3, "train_size": 32, "protocol": protocol, "flip": True}
    data = SyntheticDataModule(masks=True, **settings)
    plain = SyntheticDataModule(**settings)
    for epoch in range(2):
        (batch,), (without,) = batches(data.train_dataloader(), epoch), batches(plain.train_dataloader(), epoch)
        for boxes, others in zip(batch.gray.boxes, without.gray.boxes, strict=True):
            assert others.mask is None
            assert torch.equal(boxes.xyxy, others.xyxy)
            assert boxes.mask is not None
            assert boxes.mask.shape == (3, 64, 64)
            assert boxes.mask.dtype == torch.bool
            around = torch.stack([torch.tensor(mask_to_xyxy(mask.numpy())) for mask in boxes.mask])
            assert torch.equal(around, boxes.xyxy), "the box of a synthetic object is the least around its pixels"


def mask_to_xyxy(mask: np.ndarray) -> list[float]:
    x, y, width, height = mask_to_bbox(mask)
    return [x, y, x + width, y + height]


def test_masks_are_cut_by_the_protocol(shared: Path) -> None:
    def read(protocol: str) -> ColorBatch:
        settings: dict[str, Any] = {"limit": 4, "eval_batch_size": 4, "max_boxes": 100}
        data = CocoDataModule(shared / "data/coco", masks=True, protocol=protocol, **settings)
        (batch,) = batches(data.test_dataloader())
        return batch

    whole, cut = read("stretch256-v1"), read("centercrop256-v1")
    for mine, theirs in zip(whole.gray.boxes, cut.gray.boxes, strict=True):
        assert mine.mask is not None
        assert theirs.mask is not None
        height, width = mine.image_size
        side = min(mine.image_size)
        top, left = (height - side) // 2, (width - side) // 2
        inside = mine.mask[:, top : top + side, left : left + side]
        wanted = {tuple(mask.flatten().tolist()) for mask in inside if mask.any()}
        assert wanted == {tuple(mask.flatten().tolist()) for mask in theirs.mask if mask.any()}


def test_test_boxes_are_drawn_by_seed_and_key(root: Path) -> None:
    def drawn(seed: int, **settings: Any) -> list[torch.Tensor]:
        data = CocoDataModule(root, max_boxes=2, eval_box_choice="random", seed=seed, **settings)
        return [boxes.xyxy for batch in batches(data.test_dataloader()) for boxes in batch.gray.boxes]

    best = [boxes.xyxy for batch in batches(CocoDataModule(root).test_dataloader()) for boxes in batch.gray.boxes]
    for one, again, everything in zip(drawn(3), drawn(3, eval_batch_size=5), best, strict=True):
        assert torch.equal(one, again)
        assert len(one) == min(2, len(everything))
        assert all((everything == box).all(1).any() for box in one)
    assert any(not torch.equal(one, other) for one, other in zip(drawn(3), drawn(4), strict=True))


def test_a_folder_with_classes_and_photos_with_boxes_are_trained_on_together(root: Path, tmp_path: Path) -> None:
    pixels = np.zeros((9, 9, 3), dtype=np.uint8)
    for number in range(6):
        (tmp_path / "classes" / f"n{number % 3}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "classes" / f"n{number % 3}" / f"{number}.png")
    parts: dict[str, PhotoDataModule] = {
        "imagenet": FolderDataModule(tmp_path / "classes", val_fraction=0),
        "coco": CocoDataModule(root, val_fraction=0.2),
    }
    settings: dict[str, Any] = {"train_size": 16, "batch_size": 14, "cache": True}
    (batch,) = batches(MixtureDataModule(parts, **settings).train_dataloader(), 0)
    assert len(batch) == 8 + 6
    for key, label, boxes in zip(batch.gray.key, batch.label.tolist(), batch.gray.boxes, strict=True):
        part, *folders = key.split("/")
        assert label == (-1 if part == "coco" else int(folders[0][1:]))
        assert (len(boxes) > 0) == (part == "coco" and key != "coco/00")
    (boxed,) = batches(MixtureDataModule(parts, boxes_only=True, **settings).train_dataloader(), 0)
    assert set(boxed.gray.key) == {key for key in batch.gray.key if key.startswith("coco/")} - {"coco/00"}
