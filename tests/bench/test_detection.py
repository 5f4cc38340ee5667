"""Detection: boxes of a dataset in a file, from a process of its own where a network looks."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from bench import boxes as box_module
from bench.boxes import detect
from bench.detection import detect_folder, failures, find_detector_weights, run_detection
from bench.errors import CommandError, MissingError, UsageError
from bench.suite import DetectorChoice
from datamodules.boxfile import read_boxes
from datamodules.images import ImageError
from datamodules.masks import segmentation_to_mask
from datamodules.photos import Annotation, Photo, Segmentation
from datamodules.types import Boxes
from lightning_modules.detectors.mask_rcnn import build_network

SIZE = (24, 40)
POLYGON = [[1.5, 2.0, 11.5, 2.0, 11.5, 14.0]]


class Photos:
    """Three photos, of which the second cannot be read."""

    categories: Mapping[int, str] = {1: "person", 24: "zebra"}
    classes: Sequence[str] = ()
    photos: Sequence[Photo] = (
        Photo(
            "a",
            (
                Annotation(5, 1, (1.5, 2.0, 10.0, 12.0), 90.0, score=0.5, segmentation=Segmentation.pack(POLYGON)),
                Annotation(6, 24, (0.0, 0.0, 40.0, 24.0), 900.0, crowd=True),
                Annotation(7, 24, (50.0, 2.0, 10.0, 12.0), 90.0),
                Annotation(8, 24, (3.0, 2.0, 10.0, 12.0), 90.0),
                Annotation(9, 24, (4.0, 2.0, 10.0, 12.0), 90.0),
            ),
        ),
        Photo("b", (Annotation(10, 1, (0.0, 0.0, 9.0, 9.0), 81.0),)),
        Photo("c"),
    )

    def read(self, key: str) -> NDArray[np.uint8]:
        if key == "b":
            raise ImageError("the file is broken")
        return np.random.default_rng(ord(key)).integers(0, 256, (*SIZE, 3), dtype=np.uint8)

    def digest(self) -> str:
        return "0" * 64


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLORBENCH_OFFLINE", "1")
    monkeypatch.delenv("COLORBENCH_WEIGHTS", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for name in ("b.png", "a.jpg"):
        Image.fromarray(noise).save(root / name)
    (root / "c.png").write_bytes(b"no picture")
    return root


def _state_file(path: Path, category: int) -> Path:
    """Write weights of zeros for Mask R-CNN that find one category everywhere; 0 finds nothing."""
    shapes = build_network("v1").state_dict()
    state = {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in shapes.items()}
    bias = torch.zeros(91)
    bias[category] = 20
    torch.save({**state, "roi_heads.box_predictor.cls_score.bias": bias}, path)
    return path


def test_annotations_are_copied_without_scores_and_crowds() -> None:
    done: list[int] = []
    found = detect(Photos(), "annotations", max_boxes=2, progress=done.append)
    assert [one.segmentation for one in found.annotations] == [Segmentation.pack(POLYGON), None]
    assert [(one.category_id, one.bbox, one.score) for one in found.annotations] == [
        (1, (1.5, 2.0, 10.0, 12.0), None),
        (24, (3.0, 2.0, 10.0, 12.0), None),
    ]
    assert {one.id: one.name for one in found.categories} == {1: "person", 24: "zebra"}
    assert done == [1, 1, 1]


def test_a_broken_photo_is_left_out_and_noted() -> None:
    found = detect(Photos(), "none")
    assert [image.key for image in found.images] == ["a", "c"]
    assert failures(found) == [{"image": "b", "status": "error-decode", "reason": "the file is broken"}]
    assert found.annotations == ()


def test_whole_image_is_one_box_a_photo() -> None:
    found = detect(Photos(), "whole-image", limit=1)
    assert [(one.bbox, one.category_id, one.score) for one in found.annotations] == [((0, 0, 40, 24), 0, 1)]


def test_a_box_file_that_cannot_be_written_is_named(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"boxes\.json cannot be written: "):
        detect_folder(folder, DetectorChoice(id="none"), folder / "a.jpg" / "boxes.json")


def test_unknown_detector_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="mask-rcnn"):
        detect(Photos(), "mask-rcn")


def test_a_network_sees_light_and_its_findings_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NDArray[np.uint8]] = []

    class Finder:
        def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
            seen.extend(lights)
            third = torch.tensor([[1 / 3, 2.0, 11.0, 12.0]])
            mask = torch.arange(SIZE[0] * SIZE[1]).reshape(1, *SIZE) % 5 == 0
            return [Boxes(third, torch.tensor([0.75]), torch.tensor([24]), SIZE, mask)]

    monkeypatch.setattr(box_module, "_build_network", lambda *arguments, **settings: Finder())
    weights = tmp_path / "net.pth"
    weights.write_bytes(b"x")
    found = detect(Photos(), "mask-rcnn", weights=weights, score_threshold=0.5)
    assert [light.shape for light in seen] == [SIZE, SIZE]
    assert (found.annotations[0].bbox, found.annotations[0].score) == ((0.333, 2.0, 10.667, 10.0), 0.75)
    info = found.info.model_dump(exclude={"failed", "digest"})
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert info == {
        "detector": "mask-rcnn",
        "weights_sha256": sha256,
        "score_threshold": 0.5,
        "max_boxes": 8,
        "luminance": "lab_of_rgb",
    }
    found.write(tmp_path / "boxes.json")
    again = read_boxes(tmp_path / "boxes.json")
    assert again.digest == found.digest
    region = again.annotations[0].segmentation
    assert region is not None
    mask = segmentation_to_mask(region.unpack(), SIZE)
    np.testing.assert_array_equal(mask.ravel(), np.arange(SIZE[0] * SIZE[1]) % 5 == 0)


@pytest.mark.slow
def test_a_folder_is_detected_in_another_process(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = _state_file(tmp_path / "zebra.pth", 24)
    monkeypatch.setenv("RANK", "1")
    (folder / "b.png").unlink()
    choice = DetectorChoice(id="mask-rcnn", weights=str(weights), max_boxes=3)
    found = detect_folder(folder, choice, tmp_path / "out" / "boxes.json")
    content = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [(1, "a.jpg")]
    assert content["info"]["digest"] == found.digest
    assert {one["category_id"] for one in content["annotations"]} == {24}
    assert 1 <= len(content["annotations"]) <= 3
    assert "left out of boxes.json: c" in capsys.readouterr().err
    assert os.environ["RANK"] == "1"


@pytest.mark.slow
def test_a_dataset_is_rebuilt_in_the_process_from_its_tree(folder: Path, tmp_path: Path) -> None:
    (folder / "c.png").unlink()
    tree = {"class_path": "datamodules.folder.FolderDataModule", "init_args": {"root": str(folder)}}
    from datamodules.sources.folder import FolderSource

    choice = DetectorChoice(id="mask-rcnn", weights=_state_file(tmp_path / "nothing.pth", 0).name)
    out = tmp_path / "boxes.json"
    found = run_detection(tree, FolderSource(folder), choice, out, limit=1, weights_base=tmp_path)
    assert [image.key for image in found.images] == ["a"]
    assert found.annotations == ()


@pytest.mark.slow
def test_wrong_weights_are_reported_by_the_process(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.pth").write_bytes(b"hello")
    choice = DetectorChoice(id="mask-rcnn", weights=str(tmp_path / "wrong.pth"))
    with pytest.raises(UsageError, match=r"wrong\.pth cannot be read safely"):
        detect_folder(folder, choice, tmp_path / "boxes.json")
    assert not (tmp_path / "boxes.json").exists()


def test_a_process_that_dies_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho out of memory >&2\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    (tmp_path / "net.pth").write_bytes(b"x")
    choice = DetectorChoice(id="mask-rcnn", weights=str(tmp_path / "net.pth"))
    with pytest.raises(CommandError, match="killed by signal 9; its last words: out of memory"):
        detect_folder(folder, choice, tmp_path / "boxes.json")


def test_what_is_missing_is_found_out_before_any_photo_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError, match="maskrcnn_resnet50_fpn_v2_coco-73cbd019"):
        detect_folder(tmp_path / "absent", DetectorChoice(id="mask-rcnn"), tmp_path / "boxes.json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'colorbench\[yolo\]'"):
        find_detector_weights(DetectorChoice(id="yolo"))


def test_annotations_of_a_folder_come_from_a_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--instances"):
        detect_folder(folder, DetectorChoice(id="annotations"), tmp_path / "boxes.json")
    coco = {
        "images": [{"id": 77, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 77, "category_id": 3, "bbox": [1, 2, 8, 9]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    choice = DetectorChoice(id="annotations")
    found = detect_folder(folder, choice, tmp_path / "boxes.json", tmp_path / "coco.json")
    assert [one.bbox for one in found.boxes("b")] == [(1, 2, 8, 9)]
    assert found.boxes("a") == ()
