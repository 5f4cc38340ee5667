"""Hostile COCO files: each is refused with a reason before anything is computed, or costs one picture its row.

Boxes that cannot be scored are left out and counted, as in any COCO file.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.detection import detect_folder
from bench.errors import MissingError, UsageError
from bench.plan import Places
from bench.prepare import Options, open_source
from bench.rows import Row, read_rows
from bench.runner import run
from bench.suite import DetectorChoice, parse_suite
from bench.tables import read_table
from datamodules.boxfile import read_boxes

Content = dict[str, Any]
WIDTH, HEIGHT = 48, 40
EVIL = "=cmd() <img src=x onerror=alert(1)> | `x` \x1b[31m"
BOX = [4.0, 4.0, 24.0, 20.0]


def coco(**changes: Any) -> Content:
    """Return a COCO file of one picture with one box."""
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 18, "bbox": BOX, "area": 480.0, "iscrowd": 0}],
        **changes,
    }


def image(**changes: Any) -> Content:
    return coco(images=[{**coco()["images"][0], **changes}])


def box(*bboxes: object, **changes: Any) -> Content:
    entry = coco()["annotations"][0]
    return coco(
        annotations=[{**entry, "id": place, "bbox": bbox, **changes} for place, bbox in enumerate(bboxes or (BOX,))]
    )


def without(key: str) -> Content:
    content = coco()
    del content[key]
    return content


def text(content: Content) -> bytes:
    return json.dumps(content).encode()


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no COCO file"),
    "no JSON": (b"{'images': []}", "no COCO file"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "no COCO file"),
    "UTF-16": (json.dumps(coco()).encode("utf-16"), "no COCO file"),
    "cut": (text(coco())[:99], "no COCO file"),
    "null": (b"null", "no COCO file"),
    "a list": (b"[]", "no COCO file"),
    "nested deeply": (b'{"images":' * 100_000, "no COCO file"),
    "nested lists": (b'{"info":' + b"[" * 100_000, "no COCO file"),
    "half a surrogate": (text(coco()).replace(b"a.png", b"\\ud800.png"), "no COCO file"),
    "no images": (text(without("images")), "images"),
    "no annotations": (text(without("annotations")), "annotations"),
    "no categories": (text(without("categories")), "categories"),
    "no file name": (text(coco(images=[{"id": 1}])), "file_name"),
    "no box": (text(coco(annotations=[{"id": 1, "image_id": 1, "category_id": 1}])), "bbox"),
    "three numbers": (text(box([1, 2, 3])), "bbox"),
    "words for numbers": (text(box(["a", "b", "c", "d"])), "bbox"),
    "another picture's": (text(box(image_id=2)), "which is not listed"),
    "the same picture twice": (text(coco(images=coco()["images"] * 2)), "given twice"),
    "the same number twice": (text(coco(annotations=coco()["annotations"] * 2)), "given twice"),
    "the same name twice": (
        text(coco(images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.jpg"}])),
        "given twice",
    ),
    "a name above": (text(image(file_name="../a.png")), "inside of the data folder"),
    "a name above in the middle": (text(image(file_name="b/../../a.png")), "inside of the data folder"),
    "an absolute name": (text(image(file_name="/etc/passwd")), "inside of the data folder"),
    "a name of another system": (text(image(file_name="..\\a.png")), "inside of the data folder"),
    "a drive": (text(image(file_name="C:\\a.png")), "inside of the data folder"),
    "no name": (text(image(file_name="")), "inside of the data folder"),
    "a zero in a name": (text(image(file_name="a\0.png")), "inside of the data folder"),
    "a fraction for a number": (text(image(id=1.5)), "id"),
    "a number of no use": (text(coco(images=[{"id": 10**40, "file_name": "a.png"}], annotations=[])), "images.0.id"),
    "a category of no use": (text(box(category_id=10**40)), "category_id"),
    "a box's number of no use": (text(box(id=-(10**40))), "annotations.0.id"),
    "an area that is no number": (text(box(area=float("nan"))), "annotations.0.area"),
    "an endless area": (text(box(area=float("inf"))), "annotations.0.area"),
    "a score that is no number": (text(box(score=float("nan"))), "annotations.0.score"),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with one picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_meant_is_refused(name: str, photos: Path, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    (tmp_path / "boxes.json").write_bytes(content)
    tree = {
        "class_path": "datamodules.coco.CocoDataModule",
        "init_args": {"root": str(photos), "annotations": str(tmp_path / "boxes.json")},
    }
    with pytest.raises(UsageError, match=words):
        open_source(tree, "native-v1")


ODD: dict[str, tuple[Content, str, int, int]] = {
    "as it should be": (coco(), "ok", 1, 0),
    "no number": (box([float("nan"), 0, 20, 20], BOX), "ok", 1, 1),
    "endless": (box([0, 0, float("inf"), float("inf")], [float("-inf"), 0, 20, 20], BOX), "ok", 1, 2),
    "negative": (box([30, 30, -20, -20], [-30, -30, 10, 10], BOX), "ok", 1, 2),
    "without area": (box([4, 4, 0, 20], [4, 4, 20, 0]), "ok", 0, 2),
    "far away": (box([1e300, 1e300, 1e300, 1e300], [48, 0, 20, 20]), "ok", 0, 2),
    "larger than the picture": (box([-1e300, -1e300, 2e300, 2e300]), "ok", 1, 0),
    "larger than numbers": (box([-1e308, -1e308, 1.7e308, 1.7e308], area=None), "ok", 1, 0),
    "tiny": (box([4, 4, 1e-300, 1e-300], [4, 4, 15, 15], [4.5, 4.5, 15, 15]), "ok", 1, 2),
    "the same box again": (box(BOX, BOX), "ok", 2, 0),
    "a negative area": (box(area=-1.0), "ok", 1, 0),
    "no area": (box(area=None), "ok", 1, 0),
    "a category that is not listed": (box(category_id=99), "ok", 1, 0),
    "a category of a hostile name": (
        {**box(category_id=19), "categories": [{"id": 19, "name": EVIL}]},
        "ok",
        1,
        0,
    ),
    "regions that are none": (box(segmentation=[["a"], None, {"counts": -1}]), "ok", 1, 0),
    "another size": (image(width=WIDTH + 1), "error-size", 0, 0),
    "sides exchanged": (image(width=HEIGHT, height=WIDTH), "error-size", 0, 0),
    "a negative size": (image(width=-1, height=-1), "error-size", 0, 0),
    "no size": (image(width=None, height=None), "ok", 1, 0),
}


MISSING = ("b.png", "b/c.png", "x" * 300 + ".png", "/".join("x" * 5000) + ".png")


def together(contents: Sequence[Content]) -> Content:
    """Return one file of many: each lists one picture, which is called after its place."""
    images, annotations = [], []
    categories: dict[int, Content] = {}
    for place, content in enumerate(contents, start=1):
        images += [{**entry, "id": place, "file_name": f"{place:02}.png"} for entry in content["images"]]
        annotations += [
            {**entry, "image_id": place, "id": 100 * place + entry["id"]} for entry in content["annotations"]
        ]
        categories |= {entry["id"]: entry for entry in content["categories"]}
    return coco(images=images, annotations=annotations, categories=list(categories.values()))


def score(folder: Path, content: Content) -> dict[str, Row]:
    """Return the rows of a run on a COCO file of the folder `photos`."""
    (folder / "boxes.json").write_bytes(text(content))
    dataset = "{id: coco, root: photos, annotations: boxes.json}"
    suite = parse_suite(
        f"{{name: odd-v1, methods: [gray], datasets: [{dataset}], protocol: native-v1, metrics: [psnr]}}", "odd.yaml"
    )
    run(suite, Options(folder / "out", Places(folder), download=False))
    return read_rows(folder / "out/runs/coco/gray--none--s0")


def test_odd_boxes_are_scored_or_left_out_and_counted(photos: Path, tmp_path: Path) -> None:
    for place in range(1, len(ODD) + 1):
        shutil.copy(photos / "a.png", photos / f"{place:02}.png")
    content = together([content for content, *_ in ODD.values()])
    content["images"] += [{"id": 100 + place, "file_name": name} for place, name in enumerate(MISSING)]
    rows = score(tmp_path, content)
    found = [(row.status, row.n_instances, row.left_out_small) for row in rows.values()]
    assert dict(zip(ODD, found, strict=False)) == {name: entry[1:] for name, entry in ODD.items()}
    assert {rows[name.removesuffix(".png")].status for name in MISSING} == {"error-decode"}
    assert len(rows) == len(ODD) + len(MISSING)
    for page in ("report.html", "leaderboard.html"):
        assert "<img src=x" not in (tmp_path / "out" / page).read_text()
    table = tmp_path / "out/runs/coco/gray--none--s0/instances.csv"
    assert "'=cmd() <img" in table.read_text()
    assert EVIL in {line["category"] for line in read_table(table)}
    assert read_table(table.with_name("breakdown.csv"))


def test_pictures_that_are_all_missing_are_named_once(photos: Path, tmp_path: Path) -> None:
    for name in ("b.png", "x" * 300 + ".png"):
        with pytest.raises(MissingError, match="none of the 1 pictures"):
            score(tmp_path, image(file_name=name))


def test_boxes_that_are_copied_are_those_that_have_an_area_in_the_picture(photos: Path, tmp_path: Path) -> None:
    content = box([float("nan"), 0, 20, 20], [0, 0, float("inf"), 5], [-1e308, 0, 1.7e308, 9], [9, 9, -1, 5], area=None)
    (tmp_path / "boxes.json").write_bytes(text(content))
    found = detect_folder(photos, DetectorChoice(id="annotations"), tmp_path / "out.json", tmp_path / "boxes.json")
    assert [one.bbox for one in found.annotations] == [(-1e308, 0, 1.7e308, 9)]
    assert read_boxes(tmp_path / "out.json").digest == found.digest
