"""Colouring photos: whose boxes are whose."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bench.build import build_method
from bench.catalog import model_tree, with_settings
from bench.colorize import Wish, colorize_files, match_boxes
from bench.errors import CommandError, UsageError
from bench.manifest import save_weights
from datamodules.boxfile import BoxFile
from datamodules.sources.files import FilesSource

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32}


def box_file(*names: str, **image: Any) -> BoxFile:
    """Return a box file with one box a picture, whose left edge is the number of the picture."""
    content = {
        "images": [{"id": number, "file_name": name, **image} for number, name in enumerate(names)],
        "categories": [],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [number, 0, 9, 9]}
            for number in range(len(names))
        ],
    }
    return BoxFile.model_validate(content)


@pytest.fixture
def source(tmp_path: Path) -> FilesSource:
    paths = [tmp_path / "photos" / "cat" / "x.v2.png", tmp_path / "photos" / "y.png"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "teal").save(path)
    return FilesSource(paths)


def test_boxes_are_matched_without_folders(source: FilesSource) -> None:
    boxes = match_boxes(box_file("other.jpg", "train/x.v2.jpg", "a/b/y.png"), source)
    assert [boxes.boxes(key)[0].bbox[0] for key in ("x.v2", "y")] == [1, 2]
    assert set(boxes.photos) == {"x.v2", "y"}


def test_of_two_entries_the_one_with_the_photos_folder_counts(source: FilesSource) -> None:
    boxes = match_boxes(box_file("dog/x.v2.png", "cat/x.v2.png", "y.png"), source)
    assert boxes.boxes("x.v2")[0].bbox[0] == 1
    with pytest.raises(ValueError, match=r"both dog/x\.v2\.png and fox/x\.v2\.png could be the photo .*cat/x\.v2\.png"):
        match_boxes(box_file("dog/x.v2.png", "fox/x.v2.png", "y.png"), source)


def test_a_photo_that_detection_could_not_read_has_no_boxes(source: FilesSource) -> None:
    failed = {"info": {"failed": [{"image": "y", "status": "error-decode", "reason": "broken"}]}}
    found = BoxFile.model_validate(box_file("x.v2.png").model_dump() | failed)
    assert match_boxes(found, source).boxes("y") == ()


def _colorize(boxes: BoxFile, source: FilesSource, tmp_path: Path, out: Path) -> int:
    tree = with_settings(model_tree("instcolor-instance"), SMALL)
    torch.manual_seed(0)
    save_weights("instcolor-instance", tree, build_method(tree).networks(), tmp_path / "weights")
    instances = tmp_path / "mine.json"
    instances.write_text(json.dumps(boxes.model_dump(exclude_none=True)))
    wish = Wish("instcolor-instance", weights=str(tmp_path / "weights"), instances=instances)
    return colorize_files(list(source.paths.values()), wish, published=False, out=out)


def test_given_boxes_colour_their_photo(source: FilesSource, tmp_path: Path) -> None:
    assert _colorize(box_file("cat/x.v2.png", "y.png", width=40, height=30), source, tmp_path, tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"x.v2.png", "y.png"}


def test_boxes_of_another_photo_are_named(source: FilesSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.json: names no y\.png; it has x\.v2\.png, z\.png: give the boxes"):
        _colorize(box_file("x.v2.png", "z.png"), source, tmp_path, tmp_path / "out")


def test_boxes_of_another_size_are_named(source: FilesSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'x\.v2' as 50 x 30 pixels, but the photo.* has 40 x 30"):
        _colorize(box_file("x.v2.png", "y.png", width=50, height=30), source, tmp_path, tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_named(source: FilesSource, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"y\.png.* cannot be written"):
        _colorize(box_file("x.v2.png", "y.png"), source, tmp_path, tmp_path / "photos" / "y.png")
