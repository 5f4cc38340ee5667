"""How far boxes are from annotations, beside a plain loop over torchvision's intersections over unions."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from bench.detector_error import box_ious, match_boxes, measure_error
from datamodules.boxfile import BoxInfo, collect_boxes
from datamodules.photos import Annotation, Photo

Box = tuple[float, float, float, float]
SIZE = (100, 200)


@st.composite
def corners(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, 20)), draw(st.integers(0, 20))
    return (float(left), float(top), float(left + draw(st.integers(1, 20))), float(top + draw(st.integers(1, 20))))


boxes = st.lists(corners(), max_size=6)


def as_array(found: Sequence[Box]) -> np.ndarray:
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def match_plainly(objects: Sequence[Box], found: Sequence[Box]) -> tuple[list[float], int]:
    """Return the overlaps of the pairs, found one after another, and how many boxes are left that overlap an object."""
    table = box_iou(torch.tensor(as_array(objects)), torch.tensor(as_array(found))).tolist()
    left, right, pairs = set(range(len(objects))), set(range(len(found))), []
    while candidates := [(table[i][j], -i, -j) for i, j in product(left, right) if table[i][j] >= 0.5]:
        iou, row, column = max(candidates)
        left.discard(-row)
        right.discard(-column)
        pairs.append(iou)
    return pairs, sum(any(table[i][j] >= 0.5 for i in range(len(objects))) for j in right)


@settings(max_examples=40, deadline=None)
@given(boxes, boxes)
def test_matching_is_that_of_a_plain_loop(objects: list[Box], found: list[Box]) -> None:
    matching = match_boxes(as_array(objects), as_array(found))
    pairs, doubled = match_plainly(objects, found)
    assert matching.ious == pytest.approx(pairs)
    assert matching.doubled == doubled
    assert matching.false == len(found) - len(pairs) - doubled


@settings(max_examples=40, deadline=None)
@given(boxes, boxes)
def test_overlaps_are_torchvisions(one: list[Box], other: list[Box]) -> None:
    expected = box_iou(torch.tensor(as_array(one)), torch.tensor(as_array(other)))
    assert box_ious(as_array(one), as_array(other)) == pytest.approx(expected.numpy())


def annotation(*bbox: float, crowd: bool = False) -> Annotation:
    return Annotation(0, 1, (bbox[0], bbox[1], bbox[2], bbox[3]), 1.0, crowd)


TRUTHS = (
    Photo("a", (annotation(0, 0, 40, 40), annotation(100, 0, 40, 40), annotation(0, 0, 200, 100, crowd=True))),
    Photo("b", (annotation(10, 10, 20, 20), annotation(300, 10, 20, 20))),
    Photo("c"),
    Photo("broken", (annotation(0, 0, 9, 9),)),
)


def test_what_was_missed_doubled_and_false_is_counted_over_the_pictures_of_the_file() -> None:
    found = {
        "a": [annotation(0, 0, 40, 30), annotation(0, 0, 40, 40), annotation(150, 50, 20, 20)],
        "b": [],
        "c": [annotation(0, 0, 10, 10), annotation(500, 0, 10, 10)],
    }
    photos = [(photo, SIZE, found[photo.key]) for photo in TRUTHS if photo.key in found]
    measured = measure_error(collect_boxes(BoxInfo(), photos, {}), TRUTHS)
    assert measured is not None
    assert measured.missed == pytest.approx(2 / 3), "of three objects that lie in pictures that could be read"
    assert measured.mean_iou == 1
    assert (measured.doubled, measured.false, measured.boxes) == pytest.approx((1 / 3, 2 / 3, 4 / 3))


def test_annotations_have_no_error_and_nothing_annotated_no_measure() -> None:
    copied = [(photo, SIZE, [one for one in photo.annotations if not one.crowd]) for photo in TRUTHS[:3]]
    exact = collect_boxes(BoxInfo(), copied, {})
    measured = measure_error(exact, TRUTHS)
    assert measured is not None
    assert (measured.missed, measured.false, measured.doubled, measured.mean_iou) == (0, 0, 0, 1)
    assert measure_error(exact, [Photo("a"), Photo("b"), Photo("c")]) is None
    nothing = measure_error(collect_boxes(BoxInfo(), [(TRUTHS[0], SIZE, [])], {}), TRUTHS)
    assert nothing is not None
    assert (nothing.missed, nothing.mean_iou) == (1, None)
