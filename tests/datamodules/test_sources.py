import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.coco import CocoDataModule
from datamodules.folder import FolderDataModule
from datamodules.images import ImageError
from datamodules.sources.annotated import AnnotatedFolderSource
from datamodules.sources.coco import CocoSource
from datamodules.sources.files import FilesSource
from datamodules.sources.folder import FolderSource
from datamodules.sources.subset import PhotoSubset, hold_out


def paint(path: Path, size: tuple[int, int] = (12, 8), seed: int = 0) -> None:
    """Save a picture of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_coco(path: Path, names: list[str], size: tuple[int, int] = (12, 8), **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [
            {"id": number, "file_name": name, "width": size[0], "height": size[1]} for number, name in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25.0, "iscrowd": 0}
            for number in range(len(names))
        ],
    }
    path.write_text(json.dumps(content | changes))


def make_coco(root: Path) -> Path:
    for split, names in {"train2017": [f"{n}.png" for n in range(10)], "val2017": ["x.png", "sub/y.png"]}.items():
        for number, name in enumerate(names):
            paint(root / split / name, seed=number)
        write_coco(root / "annotations" / f"instances_{split}.json", names)
    return root


def keys(source: Any) -> list[str]:
    return [photo.key for photo in source.photos]


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name in ("zebra/1.png", "cat/deep/2.png", "loose.png"):
        paint(tmp_path / name)
    source = FolderSource(tmp_path)
    assert source.classes == ("cat", "zebra")
    assert [(photo.key, photo.label, photo.file_name) for photo in source.photos] == [
        ("cat/deep/2", 0, "cat/deep/2.png"),
        ("loose", -1, "loose.png"),
        ("zebra/1", 1, "zebra/1.png"),
    ]
    assert source.read("zebra/1").shape == (8, 12, 3)
    assert keys(FolderSource(tmp_path, "cat")) == ["deep/2"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8_become_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    paint(path)
    source = FolderSource(tmp_path)
    (photo,) = source.photos
    assert (photo.key, photo.file_name) == ("caf%E9", "caf%E9.png")
    assert source.read("caf%E9").shape[2] == 3
    assert len(source.digest()) == 64
    assert FilesSource([path]).photos == (photo,)
    paint(tmp_path / "caf%E9.jpg")
    with pytest.raises(ValueError, match=r"are both the picture 'caf%E9'"):
        FolderSource(tmp_path)


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no picture"):
        FolderSource(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        FolderSource(tmp_path, "val")


def test_digest_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / "one" / name)
        paint(tmp_path / "two" / name)
    first = FolderSource(tmp_path / "one").digest()
    assert (
        first
        == FolderSource(tmp_path / "two").digest()
        == pickle.loads(pickle.dumps(FolderSource(tmp_path / "two"))).digest()
    )
    (tmp_path / "two" / "b.png").rename(tmp_path / "two" / "c.png")
    renamed = FolderSource(tmp_path / "two").digest()
    paint(tmp_path / "two" / "c.png", seed=1)
    assert len({first, renamed, FolderSource(tmp_path / "two").digest()}) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_digest_waits_for_no_pipe(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert len(FolderSource(tmp_path).digest()) == 64


def test_held_out_photos_depend_on_their_names_alone(tmp_path: Path) -> None:
    for number in range(30):
        paint(tmp_path / f"{number}.png", (1, 1))
    source = FolderSource(tmp_path)
    train, held = hold_out(source, 0.2)
    assert len(held.photos) == 6
    assert sorted(keys(train) + keys(held)) == keys(source)
    assert keys(train) == sorted(keys(train))
    reordered = PhotoSubset(source, keys(source)[::-1])
    assert keys(hold_out(reordered, 0.2)[1]) == keys(held)
    assert len(hold_out(source, 0.001)[1].photos) == 1
    assert len(hold_out(source, 0)[1].photos) == 0
    assert len(hold_out(PhotoSubset(source, ["3"]), 0.5)[0].photos) == 1
    assert len({source.digest(), train.digest(), held.digest()}) == 3
    with pytest.raises(ValueError, match="held-out share"):
        hold_out(source, 1.0)


def test_folder_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(10):
            paint(tmp_path / split / f"{split}{number}.png", (2, 2))
    whole = FolderDataModule(tmp_path)
    assert not whole.has_training_split
    assert len(whole.source("test").photos) == 20
    assert len(whole.source("train").photos) == 18
    assert whole.source("test") is whole.source("test")
    parted = FolderDataModule(tmp_path, split="val")
    assert parted.has_training_split
    assert keys(parted.source("test")) == [f"val{number}" for number in range(10)]
    assert len(parted.source("train").photos) == 9
    assert not set(keys(parted.source("val"))) & set(keys(parted.source("test")))
    assert not FolderDataModule(tmp_path, split="train").has_training_split


@pytest.mark.parametrize("split", ["val2017", "val"])
def test_coco_folder(tmp_path: Path, split: str) -> None:
    source = CocoSource(make_coco(tmp_path), split)
    assert keys(source) == ["sub/y", "x"]
    assert source.photos[0].image_id == 1
    assert source.photos[0].annotations[0].bbox == (1, 1, 5, 5)
    assert source.categories == {1: "person"}
    assert source.read("sub/y").shape == (8, 12, 3)


def test_coco_file_with_a_folder_of_pictures(tmp_path: Path) -> None:
    make_coco(tmp_path)
    data = CocoDataModule(tmp_path / "val2017", annotations=tmp_path / "annotations/instances_val2017.json")
    assert keys(data.source("test")) == ["sub/y", "x"]
    assert not data.has_training_split
    train, val = data.source("train"), data.source("val")
    assert train is not None
    assert sorted(keys(train) + keys(val)) == ["sub/y", "x"]


def test_coco_splits(tmp_path: Path) -> None:
    data = CocoDataModule(make_coco(tmp_path), val_fraction=0.2)
    train = data.source("train")
    assert data.has_training_split
    assert len(keys(train)) == 8
    assert not set(keys(train)) & set(keys(data.source("val")))
    assert CocoDataModule(tmp_path, split="val", train_split="train").has_training_split
    for path in (tmp_path / "annotations").glob("*train*"):
        path.unlink()
    without = CocoDataModule(tmp_path)
    assert not without.has_training_split
    assert without.source("train") is without.source("val") is None


def test_missing_coco_files_are_named(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no annotations/instances_test\.json and no .*test2017\.json"):
        CocoSource(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="there is no COCO file"):
        CocoSource(tmp_path, annotations=tmp_path / "nothing.json")
    with pytest.raises(FileNotFoundError, match=r"none of the 2 pictures of instances_val2017\.json is in"):
        CocoSource(tmp_path / "train2017", annotations=tmp_path / "annotations/instances_val2017.json")
    with pytest.raises(FileNotFoundError, match=r"has no annotations/instances_val2017\.json: give .* dataset `coco`"):
        CocoSource(tmp_path / "val2017")


def test_missing_and_resized_pictures_are_refused_one_by_one(tmp_path: Path) -> None:
    make_coco(tmp_path)
    (tmp_path / "val2017/x.png").unlink()
    paint(tmp_path / "val2017/sub/y.png", (8, 12))
    source = CocoSource(tmp_path)
    with pytest.raises(ImageError, match="cannot be opened") as missing:
        source.read("x")
    assert missing.value.status == "error-decode"
    with pytest.raises(ImageError, match="8 x 12 pixels after the EXIF rotation, but its JSON says 12 x 8") as turned:
        source.read("sub/y")
    assert turned.value.status == "error-size"


def test_coco_digest_covers_annotations(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/instances_val2017.json"
    before = CocoSource(tmp_path).digest()
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    assert CocoSource(tmp_path).digest() == before
    path.write_text(path.read_text().replace("25.0", "24.0"))
    assert CocoSource(tmp_path).digest() != before


def test_coco_source_travels_to_workers(tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(CocoSource(make_coco(tmp_path))))
    assert source.read("x").shape == (8, 12, 3)


def test_real_coco(shared: Path) -> None:
    source = CocoSource(shared / "data/coco")
    assert len(source.photos) == 124
    for photo in source.photos[:20]:
        assert source.read(photo.key).ndim == 3
    assert all(photo.key.isdigit() for photo in source.photos)


def test_an_annotated_folder_is_the_set_that_its_coco_file_lists(tmp_path: Path) -> None:
    root, listed = make_coco(tmp_path), tmp_path / "annotations/instances_val2017.json"
    coco, folder = CocoSource(root, "val"), AnnotatedFolderSource(root / "val2017", listed)
    assert folder.digest() == coco.digest()
    assert [(photo.key, photo.annotations) for photo in folder.photos] == [
        (photo.key, photo.annotations) for photo in coco.photos
    ]
    assert (folder.categories, folder.classes) == (coco.categories, coco.classes)
    paint(root / "val2017/extra.png")
    more = AnnotatedFolderSource(root / "val2017", listed)
    assert [photo.key for photo in more.photos if photo.key not in more.listed] == ["extra"]
    assert more.digest() != coco.digest()
    assert AnnotatedFolderSource(root / "val2017", listed, leave_out=["extra"]).digest() == coco.digest()


def test_an_annotated_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    paint(tmp_path / "photos/a.png", size=(12, 9))
    write_coco(tmp_path / "a.json", ["a.png"])
    with pytest.raises(ImageError, match=r"12 x 9 pixels.*its JSON says 12 x 8") as refused:
        AnnotatedFolderSource(tmp_path / "photos", tmp_path / "a.json").read("a")
    assert refused.value.status == "error-size"
    with pytest.raises(FileNotFoundError, match="no COCO file"):
        AnnotatedFolderSource(tmp_path / "photos", tmp_path / "b.json")
