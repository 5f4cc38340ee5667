"""Detectors that need no optional package: what they are fed, what they keep, and Mask R-CNN."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from torch import Tensor

from datamodules.types import Boxes, Detector
from lightning_modules.detectors.categories import COCO_CATEGORIES, coco_id
from lightning_modules.detectors.light import replicate, rgb_to_light8
from lightning_modules.detectors.mask_rcnn import Architecture, MaskRcnnDetector, architecture_of, build_network
from lightning_modules.detectors.none import NoDetector
from lightning_modules.detectors.selection import best_boxes
from lightning_modules.detectors.whole_image import WholeImageDetector
from lightning_modules.state_dicts import load_strictly, read_state_dict


def _light(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def _found(xyxy: list[list[float]], score: list[float], size: tuple[int, int] = (40, 60)) -> Boxes:
    count = len(score)
    mask = torch.zeros(count, *size, dtype=torch.bool)
    return Boxes(torch.tensor(xyxy).reshape(-1, 4), torch.tensor(score), torch.arange(1, count + 1), size, mask)


def test_light_is_rounded_lab_of_the_photo() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    expected = np.round(rgb2lab(rgb)[..., 0] * 255 / 100).astype(np.uint8)
    assert np.array_equal(rgb_to_light8(rgb), expected)
    assert rgb_to_light8(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4), np.uint8),
    ],
    ids=["colour", "unit-range", "empty"],
)
def test_what_is_not_light_is_refused(wrong: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="wants light as"):
        replicate(wrong)


def test_replicated_channels_are_equal() -> None:
    light = _light(5, 3)
    assert np.array_equal(replicate(light), np.stack([light] * 3, axis=-1))


def test_categories_are_those_of_coco() -> None:
    assert len(COCO_CATEGORIES) == 80
    assert list(COCO_CATEGORIES) == sorted(COCO_CATEGORIES)
    assert [coco_id(name) for name in ("person", "zebra", "toothbrush", "pothole")] == [1, 24, 90, 0]


def test_categories_agree_with_the_annotation_file(shared: Path) -> None:
    import json

    text = (shared / "data/coco/annotations/instances_val2017.json").read_text()
    assert {one["id"]: one["name"] for one in json.loads(text)["categories"]} == dict(COCO_CATEGORIES)


def test_findings_are_clipped_and_those_without_area_dropped() -> None:
    nan = float("nan")
    boxes = _found(
        [[-5, -5, 70, 50], [30, 10, 20, 20], [61, 0, 70, 9], [nan, 0, 9, 9], [5, 5, 5, 9], [1, 2, 3, 4]],
        [0.9, 0.9, 0.9, 0.9, 0.9, nan],
    )
    kept = best_boxes(boxes, score_threshold=0.7, max_boxes=8)
    assert kept.xyxy.tolist() == [[0, 0, 60, 40]]
    assert kept.mask is not None
    assert kept.mask.shape == (1, 40, 60)


def test_up_to_the_limit_the_best_comes_first_with_ties_by_place() -> None:
    boxes = _found([[9, 0, 20, 9], [1, 5, 20, 9], [1, 0, 20, 9], [3, 3, 9, 9]], [0.8, 0.8, 0.8, 0.9])
    kept = best_boxes(boxes, score_threshold=0.7, max_boxes=4)
    assert kept.label.tolist() == [4, 3, 2, 1]


def test_of_more_the_best_come_in_ascending_order() -> None:
    score = [0.71 + 0.01 * index for index in range(12)]
    boxes = _found([[index, 0, index + 9, 9] for index in range(12)], score)
    kept = best_boxes(boxes, score_threshold=0.7, max_boxes=8)
    authors = np.argsort(np.array(score))[-8:]
    assert kept.label.tolist() == (authors + 1).tolist()


def test_score_must_exceed_the_threshold_and_a_box_counts_once() -> None:
    boxes = _found([[0, 0, 9, 9], [0, 0, 9, 9], [5, 5, 9, 9]], [0.8, 0.9, 0.75])
    assert best_boxes(boxes, score_threshold=0.75, max_boxes=8).label.tolist() == [2]


def test_nothing_found_stays_typed() -> None:
    kept = best_boxes(_found([], []), score_threshold=0.7, max_boxes=8)
    assert kept.xyxy.shape == (0, 4)
    assert kept.mask is not None
    assert kept.mask.shape == (0, 40, 60)


def test_whole_image_and_none() -> None:
    detectors: list[Detector] = [WholeImageDetector(), NoDetector()]
    whole, none = (detector.detect([_light(4, 6), _light(3, 3)]) for detector in detectors)
    assert whole[0].xyxy.tolist() == [[0, 0, 6, 4]]
    assert [len(boxes) for boxes in none] == [0, 0]
    assert none[1].image_size == (3, 3)


def _state(architecture: Architecture) -> dict[str, Tensor]:
    """Return weights of zeros, of which a file holds one number a tensor: scores are what the biases say."""
    shapes = build_network(architecture).state_dict()
    return {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in shapes.items()}


@pytest.fixture(scope="module")
def v2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mask_rcnn.pth"
    torch.save(_state("v2"), path)
    return path


@pytest.fixture(scope="module")
def detector(v2_file: Path) -> MaskRcnnDetector:
    return MaskRcnnDetector(v2_file, min_size=64, max_size=128)


def _force(detector: MaskRcnnDetector, category: int) -> None:
    heads = detector.network.roi_heads
    assert isinstance(heads, torch.nn.Module)
    with torch.no_grad():
        bias: Tensor = heads.get_parameter("box_predictor.cls_score.bias").zero_()
        bias[category] = 20
        heads.get_parameter("mask_predictor.mask_fcn_logits.bias").fill_(1)


@pytest.mark.parametrize("size", [(64, 96), (8, 8), (1, 1), (3, 50)], ids=str)
def test_mask_rcnn_without_findings(detector: MaskRcnnDetector, size: tuple[int, int]) -> None:
    _force(detector, 0)
    (boxes,) = detector.detect([_light(*size)])
    assert boxes.xyxy.shape == (0, 4)
    assert boxes.mask is not None
    assert boxes.mask.shape == (0, *size)
    assert boxes.image_size == size


@pytest.mark.parametrize("category", ["person", "zebra", "toothbrush"])
def test_mask_rcnn_with_findings(detector: MaskRcnnDetector, category: str) -> None:
    _force(detector, coco_id(category))
    (boxes,) = detector.detect([_light(64, 96)])
    assert 1 <= len(boxes) <= 8
    assert set(boxes.label.tolist()) == {coco_id(category)}
    assert boxes.mask is not None
    assert boxes.mask.dtype == torch.bool
    assert boxes.mask.shape == (len(boxes), 64, 96)
    assert boxes.mask.any()
    assert boxes.xyxy.min() >= 0
    assert (boxes.xyxy <= torch.tensor([96, 64, 96, 64])).all()


def test_mask_rcnn_refuses_what_is_not_light(detector: MaskRcnnDetector) -> None:
    with pytest.raises(ValueError, match="wants light as"):
        detector.detect([np.zeros((8, 8), np.float32).astype(np.float16)])


def test_architectures_are_told_apart_by_content() -> None:
    assert [architecture_of(_state(name)) for name in ("v1", "v2")] == ["v1", "v2"]


def test_mask_rcnn_names_what_does_not_fit(v2_file: Path, tmp_path: Path) -> None:
    state = torch.load(v2_file, weights_only=True)
    del state["roi_heads.box_predictor.cls_score.bias"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(ValueError, match=r"less\.pth .*roi_heads\.box_predictor\.cls_score\.bias"):
        MaskRcnnDetector(tmp_path / "less.pth")


@pytest.mark.parametrize("wrong", [{"score_threshold": 1.5}, {"max_boxes": 0}])
def test_settings_out_of_range_are_refused_before_the_file_is_read(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MaskRcnnDetector("absent.pth", **wrong)  # type: ignore[arg-type]  # settings as a mapping


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    torch.save({"weight": _Payload(tmp_path / "executed")}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(_Payload(tmp_path / "executed"), protocol=2))
    for name in ("evil.pth", "raw.pth"):
        with pytest.raises(ValueError, match="cannot be read safely"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_broken_files_are_named(tmp_path: Path) -> None:
    for name, content in (("empty.pth", b""), ("text.pth", b"hello"), ("cut.safetensors", b"12345678")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_state_dict(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="is no state dict"):
        read_state_dict(tmp_path / "list.pth")


def test_surplus_names_and_other_shapes_are_named() -> None:
    network = torch.nn.Linear(2, 3)
    state = {**network.state_dict(), "extra": torch.zeros(1)}
    with pytest.raises(ValueError, match="extra"):
        load_strictly(network, state, "file.pth")
    with pytest.raises(ValueError, match="size mismatch for weight"):
        load_strictly(network, {"weight": torch.zeros(9, 9), "bias": torch.zeros(3)}, "file.pth")
