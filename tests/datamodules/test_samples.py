import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from datamodules.images import ImageError
from datamodules.samples import SamplesDataModule
from datamodules.sources import samples
from datamodules.sources.samples import SamplesSource, find_photo, read_index

ROOT = Path(__file__).resolve().parents[2]
CORE_TEST = ["astronaut", "chelsea", "coffee"]
CORE_TRAIN = ["grace_hopper", "motorcycle_left", "motorcycle_right", "rocket"]
needs_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed")


def keys(source: SamplesSource) -> list[str]:
    return [photo.key for photo in source.photos]


def polygon_area(polygon: list[float]) -> float:
    x, y = np.reshape(polygon, (-1, 2)).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def test_core_photos_and_split() -> None:
    assert keys(SamplesSource("test", core=True)) == CORE_TEST
    assert keys(SamplesSource("train", core=True)) == CORE_TRAIN
    assert keys(SamplesSource(core=True)) == sorted(CORE_TEST + CORE_TRAIN)
    assert SamplesSource("test", core=True).id == "samples-core"


@needs_ultralytics
def test_all_photos_and_split() -> None:
    test, train = SamplesSource("test"), SamplesSource("train")
    assert keys(test) == ["astronaut", "bus", "chelsea", "coffee", "zidane"]
    assert keys(train) == CORE_TRAIN
    assert test.id == train.id == "samples"
    assert keys(SamplesSource()) == sorted(keys(test) + keys(train))


def test_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no split 'val'"):
        SamplesSource("val", core=True)  # type: ignore[arg-type]  # wider than its type


@pytest.mark.parametrize("split", ["train", "test"])
def test_stereo_pair_stays_together(split: str) -> None:
    images = [image["key"] for image in read_index()["images"] if image["split"] == split]
    assert ("motorcycle_left" in images) == ("motorcycle_right" in images)


def test_photos_are_those_of_scikit_image() -> None:
    data = pytest.importorskip("skimage.data")
    source = SamplesSource(core=True)
    left, right, _ = data.stereo_motorcycle()
    for key, expected in (
        ("astronaut", data.astronaut()),
        ("chelsea", data.chelsea()),
        ("motorcycle_left", left),
        ("motorcycle_right", right),
    ):
        np.testing.assert_array_equal(source.read(key), expected)


def test_boxes_lie_in_the_photos_and_fit_their_polygons() -> None:
    core = find_spec("ultralytics") is None
    source = SamplesSource(core=core)
    numbers = [annotation.id for photo in source.photos for annotation in photo.annotations]
    assert len(numbers) == len(set(numbers))
    for photo in source.photos:
        height, width, _ = source.read(photo.key).shape
        assert photo.annotations
        for annotation in photo.annotations:
            assert annotation.category_id in source.categories
            x, y, w, h = annotation.bbox
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
            assert annotation.segmentation is not None
            polygons = annotation.segmentation.unpack()
            points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
            np.testing.assert_allclose([*points.min(axis=0), *np.ptp(points, axis=0)], annotation.bbox, atol=0.11)
            assert sum(polygon_area(polygon) for polygon in polygons) == pytest.approx(annotation.area, abs=0.1)
            assert annotation.area < w * h


def test_sizes_in_the_index_are_those_of_the_photos() -> None:
    source = SamplesSource(core=True)
    for image in source.images:
        assert source.read(image["key"]).shape == (image["height"], image["width"], 3)


def test_coco_categories_have_their_numbers() -> None:
    names = SamplesSource(core=True).categories
    assert {
        1: "person",
        4: "motorcycle",
        6: "bus",
        17: "cat",
        32: "tie",
        47: "cup",
        50: "spoon",
    }.items() <= names.items()


def test_digests_tell_sets_apart_and_stay() -> None:
    digests = [SamplesSource(split, core=True).digest() for split in ("train", "test", None)]
    assert digests == [SamplesSource(split, core=True).digest() for split in ("train", "test", None)]
    assert len(set(digests)) == 3


@needs_ultralytics
def test_core_differs_in_digest_even_where_the_photos_are_the_same() -> None:
    assert SamplesSource("train", core=True).digest() != SamplesSource("train", core=False).digest()


def test_another_photo_is_refused_with_both_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = next(image for image in read_index()["images"] if image["key"] == "coffee")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "coffee.png").write_bytes(b"another picture")
    monkeypatch.setattr(samples, "find_package", lambda name: tmp_path)
    with pytest.raises(ValueError, match=r"coffee\.png") as caught:
        find_photo(image)
    assert image["sha256"] in str(caught.value)
    assert hashlib.sha256(b"another picture").hexdigest() in str(caught.value)


def test_a_photo_that_the_package_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "find_package", lambda name: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no data/astronaut\.png"):
        SamplesSource("test", core=True)


def test_without_ultralytics_it_is_samples_core(monkeypatch: pytest.MonkeyPatch) -> None:
    found = samples.find_package
    monkeypatch.setattr(samples, "find_package", lambda name: None if name == "ultralytics" else found(name))
    assert SamplesSource("test").id == "samples-core"
    assert keys(SamplesSource("test")) == CORE_TEST
    with pytest.raises(FileNotFoundError, match=r"pip install 'colorbench\[yolo\]'"):
        SamplesSource("test", core=False)


def test_photos_are_found_without_importing_their_packages() -> None:
    program = """
import json, sys
from datamodules.sources.samples import SamplesSource
source = SamplesSource("test", core=True)
source.read("chelsea")
print(json.dumps([name for name in ("skimage", "matplotlib", "ultralytics", "torch") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_source_survives_pickling() -> None:
    source = SamplesSource("train", core=True)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.photos == source.photos
    np.testing.assert_array_equal(copy.read("rocket"), source.read("rocket"))


def test_broken_photo_is_an_image_error(tmp_path: Path) -> None:
    source = SamplesSource("test", core=True)
    cut = tmp_path / "chelsea.png"
    shutil.copyfile(source.paths["chelsea"], cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    source.paths["chelsea"] = cut
    with pytest.raises(ImageError):
        source.read("chelsea")


def test_datamodule_serves_photos_and_crops() -> None:
    module = SamplesDataModule(core=True, crop_size=32, eval_batch_size=3)
    batch = next(iter(module.test_dataloader()))
    assert batch.gray.key == tuple(CORE_TEST)
    assert batch.gray.light.shape == (3, 1, 256, 256)
    assert batch.gray.crops.shape == (8, 1, 32, 32)
    assert module.source("val") is None
    assert module.has_training_split
    assert not SamplesDataModule(split="train", core=True).has_training_split
