"""The manifests hold what they say, and the folders of users are held to them."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.coco import CocoDataModule
from datamodules.sources import manifest as manifests
from datamodules.sources.differences import DifferentSetError, IncompleteSetError
from datamodules.sources.manifest import AnnotationFile, Manifest, load_manifest, manifest_ids
from datamodules.sources.standard import open_standard
from datamodules.standard import StandardDataModule
from datamodules.synsets import imagenet_synsets

LISTED = tuple(name for name in manifest_ids() if load_manifest(name).layout != "places")
SYNSETS = imagenet_synsets()
TINY_LABELS = {"val_0": "n03444034", "val_1": "n04067472", "val_2": "n04070727", "val_3": "n02808440"}
"""The first lines of Tiny ImageNet's own val_annotations.txt."""


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), (shade, 90, 200), np.uint8)).save(path, "PNG")


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manifest]:
    """Return a function that puts a small set in place of a standard one, under its id and with its layout."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name in manifest_ids():
        shutil.copy(Path(str(manifests.FOLDER)) / f"{name}.yaml", folder)

    def small(name: str, numbers: Sequence[int], labels: Sequence[str] = (), **changes: object) -> Manifest:
        lines = [f"{n} {SYNSETS.index(labels[at])}" if labels else f"{n}" for at, n in enumerate(numbers)]
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        shortened = load_manifest(name).model_copy(update={"count": len(numbers), **changes})
        (folder / f"{name}.yaml").write_text(shortened.model_dump_json())
        return shortened

    monkeypatch.setattr(manifests, "FOLDER", folder)
    return small


def test_every_promised_set_has_a_manifest() -> None:
    promised = "coco-val2017-5000-v1 imagenet-ctest10k-v1 imagenet-val5k-v1 places205-val-v1 tiny-imagenet-v1"
    assert set(manifest_ids()) == set(promised.split())


@pytest.mark.parametrize("name", manifest_ids())
def test_a_manifest_says_where_it_comes_from_and_what_it_does_not_know(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.id == name
    assert manifest.provenance
    assert manifest.unknown
    for archive in manifest.archives:
        assert all(url.startswith("https://") for url in archive.urls)
        assert archive.sha256 or not archive.urls, "what is fetched can be checked"
        assert archive.sha256 is None or (len(archive.sha256) == 64 and archive.size)


def test_the_lists_stay_small() -> None:
    assert sum(len(path.read_bytes()) for path in Path(str(manifests.FOLDER)).iterdir()) < 500_000


@pytest.mark.parametrize("name", LISTED)
def test_digests_and_counts_hold(name: str) -> None:
    manifest = load_manifest(name)
    entries = manifest.entries()
    assert manifest.digests() == (manifest.names_sha256, manifest.labels_sha256)
    assert len(entries) == len({entry.name for entry in entries}) == manifest.count
    assert all((entry.label is not None) == manifest.labelled for entry in entries)


def test_ctest10k_is_the_known_part_of_the_validation_set() -> None:
    names = [entry.name for entry in load_manifest("imagenet-ctest10k-v1").entries()]
    numbers = [int(name.removeprefix("ILSVRC2012_val_")) for name in names]
    assert (len(numbers), min(numbers), max(numbers)) == (10_000, 25_275, 50_000)
    assert numbers == sorted(set(numbers))
    assert numbers[:3] == [25_275, 26_187, 28_375]


def test_labels_are_the_published_ones() -> None:
    labels = [SYNSETS.index(entry.label or "") for entry in load_manifest("imagenet-val5k-v1").entries()]
    assert labels[:6] == [65, 970, 230, 809, 516, 57], "the first lines of Caffe's val.txt"
    tiny = load_manifest("tiny-imagenet-v1").entries()
    assert dict(tiny[:4]) == TINY_LABELS
    assert set(Counter(entry.label for entry in tiny).values()) == {50}


def test_coco_lists_the_photos_that_lie_beside_the_checkout(shared: Path) -> None:
    names = {entry.name for entry in load_manifest("coco-val2017-5000-v1").entries()}
    images = json.loads((shared / "data/coco/annotations/instances_val2017.json").read_text())["images"]
    assert {Path(image["file_name"]).stem for image in images} <= names


@pytest.mark.slow
def test_ten_thousand_names_are_compared_at_once(tmp_path: Path) -> None:
    manifest = load_manifest("imagenet-ctest10k-v1")
    entries = manifest.entries()
    for entry in entries[:-12]:
        (tmp_path / f"{entry.name}.JPEG").touch()
    with pytest.raises(
        IncompleteSetError, match=r"12 of 10000 pictures are missing: ILSVRC2012_val_000\d+, .* and 2 more\."
    ):
        open_standard(manifest.id, tmp_path)
    for entry in entries[-12:]:
        (tmp_path / f"{entry.name}.JPEG").touch()
    source = open_standard(manifest.id, tmp_path)
    assert (len(source.photos), len(source.classes)) == (10_000, 1000)


FOUR = ("n01751748", "n09193705", "n02105855", "n04263257")
"""The classes of ILSVRC2012_val_00000001 to 00000004."""


@pytest.fixture
def four(publish: Callable[..., Manifest]) -> list[str]:
    """Make the first four pictures of ImageNet's validation set the whole of `imagenet-val5k-v1`."""
    publish("imagenet-val5k-v1", [1, 2, 3, 4], FOUR)
    return [f"ILSVRC2012_val_{number:08d}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("place", ["", "val", "ILSVRC/Data/CLS-LOC/val", "ILSVRC2012_img_val"])
@pytest.mark.parametrize("in_folders", [False, True])
def test_pictures_of_imagenet_are_found_by_name(tmp_path: Path, four: list[str], place: str, in_folders: bool) -> None:
    root = tmp_path / "imagenet"
    for shade, (name, label) in enumerate(zip(four, FOUR, strict=True)):
        picture(root / place / (label if in_folders else "") / f"{name}.JPEG", shade)
    picture(root / place / (FOUR[0] if in_folders else "") / "ILSVRC2012_val_00050000.JPEG")
    source = open_standard("imagenet-val5k-v1", root)
    assert [photo.key for photo in source.photos] == four
    assert [source.classes[photo.label] for photo in source.photos] == list(FOUR)
    assert source.read(four[2])[0, 0].tolist() == [2, 90, 200]


def test_the_digest_does_not_depend_on_folders(tmp_path: Path, four: list[str]) -> None:
    for shade, (name, label) in enumerate(zip(four, FOUR, strict=True)):
        picture(tmp_path / "flat" / f"{name}.JPEG", shade)
        picture(tmp_path / "sorted" / label / f"{name}.JPEG", shade)
    flat, by_class = (open_standard("imagenet-val5k-v1", tmp_path / name).digest() for name in ("flat", "sorted"))
    assert flat == by_class
    picture(tmp_path / "flat" / f"{four[0]}.JPEG", 77)
    assert open_standard("imagenet-val5k-v1", tmp_path / "flat").digest() != flat


def test_every_difference_is_named(tmp_path: Path, four: list[str]) -> None:
    picture(tmp_path / FOUR[1] / f"{four[0]}.JPEG")
    picture(tmp_path / FOUR[1] / f"{four[1]}.JPEG")
    picture(tmp_path / "again" / f"{four[1]}.JPEG")
    picture(tmp_path / "ILSVRC2012_val_00050001.JPEG")
    with pytest.raises(DifferentSetError) as error:
        open_standard("imagenet-val5k-v1", tmp_path)
    text = str(error.value)
    assert f"2 of 4 pictures are missing: {four[2]}, {four[3]}" in text
    assert "these do not belong to it: ILSVRC2012_val_00050001" in text
    assert f"these lie there twice: {four[1]}" in text
    assert f"these lie in another class's folder: {four[0]} in {FOUR[1]}, not {FOUR[0]}" in text
    assert "`colorbench data fetch imagenet-val5k-v1 --out DIR`" in text


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_standard("imagenet-val5k-v1", tmp_path / "nothing")
    with pytest.raises(ValueError, match="there are coco-val2017-5000-v1, "):
        open_standard("imagenet-v9", tmp_path)


@pytest.mark.parametrize(
    "place", ["val/images", "tiny-imagenet-200/val/images", "val", "val/{label}/images", "val/{label}"]
)
def test_tiny_imagenet_is_read_in_its_layouts(tmp_path: Path, publish: Callable[..., Manifest], place: str) -> None:
    publish("tiny-imagenet-v1", range(4), list(TINY_LABELS.values()))
    for name, label in TINY_LABELS.items():
        picture(tmp_path / place.format(label=label) / f"{name}.JPEG")
    source = open_standard("tiny-imagenet-v1", tmp_path)
    assert {photo.key: source.classes[photo.label] for photo in source.photos} == TINY_LABELS
    listed = tmp_path / place.partition("val")[0] / "val/val_annotations.txt"
    listed.write_text("val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn03444034\t52\t55\t57\t59\n")
    with pytest.raises(
        DifferentSetError, match=r"another label in val_annotations.txt: val_1 n03444034, not n04067472\."
    ):
        open_standard("tiny-imagenet-v1", tmp_path)


def test_tiny_imagenet_trains_on_its_own_training_pictures(
    tmp_path: Path, publish: Callable[..., Manifest], shared: Path
) -> None:
    """Real photos of four classes in the archive's folders: three to train on a class, one to test on."""
    publish("tiny-imagenet-v1", range(4), list(TINY_LABELS.values()))
    root = tmp_path / "tiny-imagenet-200"
    files = iter(sorted((shared / "data/imagenet1000-256").glob("*/*"))[:16])
    for name, label in TINY_LABELS.items():
        shrink(next(files), root / "val/images" / f"{name}.JPEG")
        for number in range(3):
            shrink(next(files), root / "train" / label / "images" / f"{label}_{number}.JPEG")
        (root / "train" / label / f"{label}_boxes.txt").write_text(f"{label}_0.JPEG\t0\t0\t62\t62\n")
    data = StandardDataModule(root, "tiny-imagenet-v1", val_fraction=0.0, protocol="stretch64-v1", eval_batch_size=4)
    source = data.source("train")
    assert source is not None
    assert Counter(source.classes[photo.label] for photo in source.photos) == dict.fromkeys(TINY_LABELS.values(), 3)
    assert {photo.key.split("/")[-1].split("_")[0] for photo in source.photos} == set(TINY_LABELS.values())
    (batch,) = data.test_dataloader()
    assert batch.gray.key == tuple(TINY_LABELS)
    for name, rgb in zip(batch.gray.key, batch.rgb, strict=True):
        decoded = np.asarray(Image.open(root / "val/images" / f"{name}.JPEG"))
        assert np.array_equal(rgb.permute(1, 2, 0), decoded), "64 pixels pass as they are"


def shrink(photo: Path, path: Path) -> None:
    """Write a photo as Tiny ImageNet has it: a JPEG file of 64 x 64 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(photo).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR).save(path, "JPEG")


PLACES = {"a/abbey/gsun_1.jpg": 0, "a/apartment_building/outdoor/gsun_2.jpg": 1}


def write_places(root: Path, folder: str, labels: dict[str, int], *, flat: bool = False) -> None:
    for name in labels:
        picture(root / folder / (Path(name).name if flat else name), labels[name])
    lists = root / "trainvalsplit_places205"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "val_places205.csv").write_text("".join(f"{name} {label}\n" for name, label in labels.items()))


@pytest.mark.parametrize(
    ("folder", "flat"),
    [("data/vision/torralba/deeplearning/images256", False), ("val", True), ("val", False), (".", False)],
)
def test_places205_is_read_by_its_own_list(
    tmp_path: Path, publish: Callable[..., Manifest], folder: str, flat: bool
) -> None:
    publish("places205-val-v1", [], count=2, classes=2)
    write_places(tmp_path, folder, PLACES, flat=flat)
    source = open_standard("places205-val-v1", tmp_path)
    assert [photo.key for photo in source.photos] == ["a/abbey/gsun_1", "a/apartment_building/outdoor/gsun_2"]
    assert source.classes == ("abbey", "apartment_building/outdoor")
    assert source.read("a/apartment_building/outdoor/gsun_2")[0, 0, 0] == 1


def test_a_list_of_places205_must_be_whole(tmp_path: Path, publish: Callable[..., Manifest]) -> None:
    publish("places205-val-v1", [], count=4, classes=2)
    write_places(tmp_path, "val", {**PLACES, "a/abbey/gsun_3.jpg": 1})
    (tmp_path / "val/a/abbey/gsun_1.jpg").unlink()
    with pytest.raises(DifferentSetError) as error:
        open_standard("places205-val-v1", tmp_path)
    for words in (
        "1 of 4 pictures are missing: a/abbey/gsun_1.jpg",
        "its list names 3 pictures, not 4",
        "have not 2 pictures: abbey 1",
        "stand for several scenes: 1",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("line", ["../../etc/passwd 0", "/etc/passwd 0", "a/abbey/x.jpg", "a/abbey/x.jpg zero", ""])
def test_a_list_that_leaves_its_folder_is_refused(tmp_path: Path, line: str) -> None:
    write_places(tmp_path, "val", {})
    (tmp_path / "trainvalsplit_places205/val_places205.csv").write_text(f"{line}\n" if line else "")
    with pytest.raises(ValueError, match=r"val_places205\.csv is"):
        open_standard("places205-val-v1", tmp_path)


def test_without_its_list_places205_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"unpack trainvalsplit_places205\.tar\.gz there"):
        open_standard("places205-val-v1", tmp_path)


def write_coco(root: Path, names: Sequence[str]) -> Path:
    instances = root / "annotations/instances_val2017.json"
    instances.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": n, "file_name": name, "width": 8, "height": 8} for n, name in enumerate(names)]
    instances.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    for name in names:
        picture(root / "val2017" / name)
    return instances


def test_coco_must_have_its_pictures_and_its_own_json(tmp_path: Path, publish: Callable[..., Manifest]) -> None:
    instances = write_coco(tmp_path, ["000000000139.jpg", "000000000285.jpg"])
    digest = hashlib.sha256(instances.read_bytes()).hexdigest()
    publish("coco-val2017-5000-v1", [139, 285], annotations=AnnotationFile(file=instances.name, sha256=digest))
    data = CocoDataModule(tmp_path, manifest="coco-val2017-5000-v1")
    source = data.source("test")
    assert source is not None
    assert source.digest() == open_standard("coco-val2017-5000-v1", tmp_path).digest()
    picture(tmp_path / "val2017/000000000632.jpg")
    instances.write_text(instances.read_text() + " ")
    with pytest.raises(DifferentSetError, match=r"belong to it: 000000000632; .*not the published file: its sha256 is"):
        open_standard("coco-val2017-5000-v1", tmp_path)
    with pytest.raises(DifferentSetError):
        CocoDataModule(tmp_path, manifest="coco-val2017-5000-v1").source("test")
    assert CocoDataModule(tmp_path).source("test") is not None, "any COCO folder is the dataset `coco`"


def test_coco_is_read_below_images_too(tmp_path: Path) -> None:
    write_coco(tmp_path, ["000000000139.jpg"])
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images/val2017")
    source = CocoDataModule(tmp_path).source("test")
    assert source is not None
    assert source.read("000000000139").shape == (8, 8, 3)


def test_training_never_takes_the_set_itself(tmp_path: Path, four: list[str]) -> None:
    for name in four:
        picture(tmp_path / "val" / f"{name}.JPEG")
    data = StandardDataModule(tmp_path, "imagenet-val5k-v1", val_fraction=0.5)
    assert data.source("train") is None
    assert not data.has_training_split
    for name in ("n01751748_1", "n01751748_2"):
        picture(tmp_path / "train/n01751748" / f"{name}.JPEG")
    train, val = data.source("train"), data.source("val")
    assert train is not None
    assert val is not None
    assert {photo.key for photo in (*train.photos, *val.photos)} == {"n01751748/n01751748_1", "n01751748/n01751748_2"}


def test_labels_reach_the_batches(tmp_path: Path, four: list[str]) -> None:
    for name in four:
        picture(tmp_path / f"{name}.JPEG")
    data = StandardDataModule(tmp_path, "imagenet-val5k-v1", eval_batch_size=4)
    source, (batch,) = data.source("test"), list(data.test_dataloader())
    assert source is not None
    assert [source.classes[label] for label in batch.label] == list(FOUR)
