import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.boxfile import BoxFile, BoxInfo, collect_boxes, read_boxes
from datamodules.photos import Annotation, Photo, Segmentation

INFO = BoxInfo(detector="yolo", weights_sha256="0" * 64, score_threshold=0.7, max_boxes=8, luminance="lab_of_rgb")
FINITE = st.floats(-1e6, 1e6)


def some_boxes() -> BoxFile:
    found = [
        (Photo("b/2", file_name="b/2.jpg"), (20, 30), [Annotation(7, 1, (0.5, 1, 2, 3), 6.0, score=0.9)]),
        (Photo("a.v2", file_name="a.v2.png"), (5, 6), []),
    ]
    return collect_boxes(INFO, found, {1: "person"})


def plain_coco(**changes: Any) -> dict[str, Any]:
    return {
        "info": {"year": 2017, "url": "somewhere"},
        "licenses": [],
        "images": [{"id": 9, "file_name": "a.jpg", "width": 6, "height": 5, "license": 3}],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
        "annotations": [
            {"id": 4, "image_id": 9, "category_id": 18, "bbox": [1, 2, 3, 4], "area": 5.5, "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 18, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]]},
        ],
    } | changes


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_images_are_numbered_in_order_of_name() -> None:
    boxes = some_boxes()
    assert [(image.id, image.file_name) for image in boxes.images] == [(1, "a.v2.png"), (2, "b/2.jpg")]
    assert boxes.annotations[0].image_id == 2
    assert boxes.boxes("b/2") == (Annotation(1, 1, (0.5, 1, 2, 3), 6.0, score=0.9),)
    assert boxes.boxes("a.v2") == boxes.boxes("unknown") == ()


def test_numbers_of_a_coco_set_are_kept() -> None:
    photo = Photo("000000000139", file_name="000000000139.jpg", image_id=139)
    assert collect_boxes(INFO, [(photo, (4, 4), [])], {}).images[0].id == 139


def test_file_is_coco_with_scores_and_digest(tmp_path: Path) -> None:
    boxes = some_boxes()
    boxes.write(tmp_path / "out" / "boxes.json")
    content = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert content["info"] == INFO.model_dump(exclude_none=True) | {"digest": boxes.digest}
    assert content["images"][1] == {"id": 2, "file_name": "b/2.jpg", "width": 30, "height": 20}
    assert content["categories"] == [{"id": 1, "name": "person"}]
    assert content["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 1, "bbox": [0.5, 1, 2, 3], "score": 0.9, "area": 6.0}
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["boxes.json"]
    again = read_boxes(tmp_path / "out" / "boxes.json")
    assert again.digest == boxes.digest
    assert again.photos == boxes.photos


def test_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    some_boxes().write(path)
    path.write_text(path.read_text().replace("0.9", "0.8"))
    with pytest.raises(ValueError, match=r"boxes\.json was changed after it was written"):
        read_boxes(path)


def test_plain_coco_file(tmp_path: Path) -> None:
    boxes = read_boxes(write_json(tmp_path / "a.json", plain_coco()))
    first, second = boxes.boxes("a")
    assert first == Annotation(4, 18, (1, 2, 3, 4), 5.5, crowd=True)
    assert second == Annotation(3, 18, (0, 0, 2, 2), 4.0, segmentation=Segmentation.pack([[0, 0, 2, 0, 2, 2]]))
    assert boxes.sizes == {"a": (5, 6)}
    assert len(boxes.digest) == 64


@pytest.mark.parametrize(
    "region",
    [
        [[0, 0, 2.5, 0, 1e-07, 2.0], [1, 1, 3, 1, 3, 1.1]],
        {"size": [2, 3], "counts": [1, 2, 3]},
        {"counts": "52203\N{LATIN SMALL LETTER E WITH ACUTE}", "size": [2, 3]},
        [],
        "no region",
    ],
)
def test_regions_are_kept_to_the_last_digit(tmp_path: Path, region: object) -> None:
    content = plain_coco()
    content["annotations"][1]["segmentation"] = region
    boxes = read_boxes(write_json(tmp_path / "a.json", content))
    boxes.write(tmp_path / "b.json")
    assert repr(json.loads((tmp_path / "b.json").read_text())["annotations"][1]["segmentation"]) == repr(region)


def test_a_region_takes_less_memory_than_its_lists(tmp_path: Path) -> None:
    content = plain_coco()
    content["annotations"][1]["segmentation"] = [[number + 0.25 for number in range(1000)]]
    segmentation = read_boxes(write_json(tmp_path / "a.json", content)).annotations[1].segmentation
    assert segmentation is not None
    assert len(segmentation.packed) < 8 * 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "images: Input should be"),
        ({"annotations": [{"id": 1, "image_id": 9, "category_id": 1, "caption": "x"}]}, "annotations.0.bbox: Field re"),
        ({"annotations": [{"id": 1, "image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "picture 5, which is no"),
        ({"images": [{"id": 9, "file_name": "../a.jpg"}]}, "must be a relative path inside"),
        ({"images": [{"id": 9, "file_name": "/etc/a.jpg"}]}, "must be a relative path inside"),
        ({"images": [{"id": 9, "file_name": "a\\..\\b.jpg"}]}, "must be a relative path inside"),
        ({"images": [{"id": 9, "file_name": ""}]}, "must be a relative path inside"),
        ({"images": [{"id": 9, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}]}, "images: 9 is given twice"),
        ({"images": [{"id": 9, "file_name": "a.jpg"}, {"id": 8, "file_name": "a.png"}]}, "pictures: 'a' is given twi"),
        ({"annotations": [plain_coco()["annotations"][0]] * 2}, "annotations: 4 is given twice"),
    ],
)
def test_what_is_no_coco_file_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"a\.json is no COCO file with boxes: .*" + message):
        read_boxes(write_json(tmp_path / "a.json", plain_coco(**changes)))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="is no COCO file with boxes"):
        read_boxes(tmp_path / "a.json")


def test_size_of_another_photo_is_refused() -> None:
    boxes = some_boxes()
    boxes.check_size("b/2", (20, 30))
    boxes.check_size("unknown", (1, 1))
    with pytest.raises(ValueError, match="30 x 20 pixels, but the photo, after its EXIF rotation, has 20 x 30"):
        boxes.check_size("b/2", (30, 20))


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\\/."), min_size=1, max_size=8),
        st.lists(st.tuples(st.tuples(FINITE, FINITE, FINITE, FINITE), st.none() | st.floats(0, 1)), max_size=4),
        max_size=5,
    )
)
def test_any_boxes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    photos: dict[str, list[tuple[tuple[float, float, float, float], float | None]]],
) -> None:
    found = [
        (Photo(key), (9, 9), [Annotation(0, 1, bbox, 1.0, score=score) for bbox, score in boxes])
        for key, boxes in photos.items()
    ]
    boxes = collect_boxes(INFO, found, {1: "a"})
    path = tmp_path_factory.mktemp("boxes") / "boxes.json"
    boxes.write(path)
    again = read_boxes(path)
    assert again.digest == boxes.digest
    assert {key: [(box.bbox, box.score) for box in again.boxes(key)] for key in photos} == photos
