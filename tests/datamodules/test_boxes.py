import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.boxes import annotations_to_boxes, choose_best, crop_boxes, cut_box, draw_masks, keep_visible
from datamodules.photos import Annotation, Segmentation
from datamodules.types import Boxes

NUMBERS = st.floats(-50, 150, width=32)
ANNOTATIONS = st.lists(
    st.builds(
        Annotation,
        id=st.integers(1, 999),
        category_id=st.integers(1, 90),
        bbox=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS) | st.just((math.nan, 0.0, 5.0, math.inf)),
        area=st.just(1.0),
        crowd=st.booleans(),
        score=st.none() | st.floats(0, 1, width=32),
    ),
    max_size=20,
)
SIZES = st.tuples(st.integers(1, 100), st.integers(1, 100))


def annotate(*bboxes: tuple[float, float, float, float], scores: list[float] | None = None) -> list[Annotation]:
    return [
        Annotation(number, number, bbox, 1.0, score=None if scores is None else scores[number - 1])
        for number, bbox in enumerate(bboxes, start=1)
    ]


def test_boxes_are_clipped_and_moved_to_the_crop() -> None:
    given_boxes = annotate((-5, -5, 20, 20), (40, 10, 20, 20), (0, 0, 10, 50), (60, 0, 5, 5))
    boxes = annotations_to_boxes(given_boxes, (50, 100), (10, 0, 60, 50))
    assert boxes.xyxy.tolist() == [[0, 0, 5, 15], [30, 10, 50, 30]]
    assert boxes.label.tolist() == [1, 2]
    assert boxes.score.tolist() == [1, 1]
    assert boxes.image_size == (50, 50)


def test_crowds_and_boxes_without_area_are_left_out() -> None:
    crowd = Annotation(1, 1, (0, 0, 10, 10), 100.0, crowd=True)
    rest = annotate((5, 5, 0, 5), (5, 5, 5, -1), (math.nan, 0, 5, 5), (1, 1, 2, 2))
    assert annotations_to_boxes([crowd, *rest], (20, 20)).xyxy.tolist() == [[1, 1, 3, 3]]


def test_no_annotations_give_no_boxes() -> None:
    boxes = annotations_to_boxes([], (7, 9))
    assert boxes.xyxy.shape == (0, 4)
    assert boxes.image_size == (7, 9)
    assert boxes.label.dtype == torch.int64


def authors_choice(scores: np.ndarray) -> list[int]:
    """InstColorization: `index_mask = np.argsort(scores)[-8:]` where there are more than 8 boxes."""
    return [int(place) for place in (np.argsort(scores)[-8:] if len(scores) > 8 else np.arange(len(scores)))]


def test_best_boxes_as_the_authors_choose_them() -> None:
    random = np.random.default_rng(0)
    for count in (0, 1, 8, 9, 30):
        scores = random.permutation(count) / max(count, 1)
        found = annotate(*[(float(place), 0.0, 1.0, 1.0) for place in range(count)], scores=scores.tolist())
        best = choose_best(annotations_to_boxes(found, (10, 100)), 8)
        assert best.tolist() == authors_choice(scores)


def test_first_boxes_where_there_are_no_scores() -> None:
    found = annotate(*[(float(place), 0.0, 1.0, 1.0) for place in range(12)])
    assert choose_best(annotations_to_boxes(found, (10, 100)), 8).tolist() == list(range(8))


@settings(max_examples=200, deadline=None)
@given(ANNOTATIONS, SIZES, st.integers(0, 10))
def test_boxes_lie_inside_the_photo(annotations: list[Annotation], size: tuple[int, int], max_boxes: int) -> None:
    height, width = size
    side = min(size)
    crop = ((width - side) // 2, (height - side) // 2, (width - side) // 2 + side, (height - side) // 2 + side)
    boxes = annotations_to_boxes(annotations, size, crop)
    assert len(boxes) <= sum(not one.crowd for one in annotations)
    left, top, right, bottom = boxes.xyxy.unbind(1)
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= side).all()
    assert (bottom <= side).all()
    best = boxes.select(choose_best(boxes, max_boxes))
    assert len(best) == min(len(boxes), max_boxes)
    if 0 < max_boxes < len(boxes):
        assert best.score.min() >= boxes.score.sort(descending=True).values[:max_boxes].min()
        assert (best.score.diff() >= 0).all()
    for box in boxes.xyxy.tolist():
        x0, y0, x1, y1 = cut_box(box, boxes.image_size)
        assert 0 <= x0 < x1 <= side
        assert 0 <= y0 < y1 <= side


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.floats(0, 60, width=32)] * 4))
def test_cuts_are_truncated_edges(box: tuple[float, float, float, float]) -> None:
    left, right = sorted(box[:2])
    top, bottom = sorted(box[2:])
    cut = cut_box((left, top, right, bottom), (60, 60))
    wanted = (int(left), int(top), int(right), int(bottom))
    if int(right) > int(left) and int(bottom) > int(top):
        assert cut == wanted
    assert cut[2] - cut[0] == max(1, int(right) - int(left))
    assert cut[3] - cut[1] == max(1, int(bottom) - int(top))


def test_thin_boxes_are_widened_inside_the_picture() -> None:
    assert cut_box((3.2, 0.1, 3.9, 5.0), (10, 10)) == (3, 0, 4, 5)
    assert cut_box((9.99, 9.99, 10.0, 10.0), (10, 10)) == (9, 9, 10, 10)
    assert cut_box((10.0, 0.0, 10.0, 1.0), (10, 10)) == (9, 0, 10, 1)


def test_crops_are_stretched_by_pillow() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    boxes = Boxes(torch.tensor([[10.7, 5.2, 50.9, 30.1]]), torch.ones(1), torch.ones(1, dtype=torch.int64), (40, 60))
    (crop,) = crop_boxes(Image.fromarray(rgb), boxes, 16)
    wanted = Image.fromarray(rgb[5:30, 10:50]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.array(crop), np.array(wanted))


def test_masks_are_those_of_the_kept_part() -> None:
    square = [[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]]
    known = Annotation(7, 1, (2, 1, 4, 4), 16, segmentation=Segmentation.pack(square))
    unknown = Annotation(8, 1, (0.0, 2.0, 50.0, 2.0), 100)
    masks = draw_masks([known, unknown], (6, 10), (2, 0, 8, 6))
    wanted = torch.zeros(2, 6, 6, dtype=torch.bool)
    wanted[0, 1:5, 0:4] = wanted[1, 2:4] = True
    assert torch.equal(masks, wanted)
    assert torch.equal(draw_masks([known], (6, 10))[0, :, 2:8], wanted[0])
    assert not draw_masks([known], (6, 10), (6, 0, 10, 6)).any()
    assert draw_masks([], (6, 10), (2, 0, 8, 6)).shape == (0, 6, 6)
    broken = Annotation(9, 1, (2, 1, 4, 4), 16, segmentation=Segmentation.pack({"size": [1, 1], "counts": [1]}))
    with pytest.raises(ValueError, match="annotation 9: run lengths are of size"):
        draw_masks([broken], (6, 10))
    assert keep_visible([known, unknown], (6, 10), (6, 0, 10, 6)) == [unknown]
