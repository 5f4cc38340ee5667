"""Boxes with errors made on purpose, over boxes and sizes of any kind."""

from collections import Counter
from dataclasses import replace
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.box_errors import BoxErrors
from bench.perturbation import COPY_SHIFT, declare, perturb
from datamodules.boxfile import BoxFile, BoxInfo, collect_boxes, read_boxes
from datamodules.photos import Annotation, Photo, Segmentation

REGION = Segmentation.pack([[1.0, 1.0, 5.0, 1.0, 5.0, 5.0]])
INFO = BoxInfo(detector="annotations", max_boxes=8)
shares = st.floats(0, 1)
numbers = st.integers(0, 3)
errors = st.builds(BoxErrors, drop=shares, jitter=shares, duplicate=numbers, add=numbers)


quick = settings(max_examples=25, deadline=None)


def draw_photos(seed: int) -> list[tuple[Photo, tuple[int, int], list[Annotation]]]:
    """Return up to three photos, from one pixel on, with up to six boxes inside of them, some smaller than a pixel."""
    random = np.random.default_rng(seed)
    found = []
    for key in random.permutation(list("abc"))[: random.integers(1, 4)]:
        size = random.integers(1, random.choice([3, 300]), 2, endpoint=True)
        boxes = []
        for _ in range(random.integers(0, 6, endpoint=True)):
            low, high = np.sort(random.uniform(size=(2, 2)), axis=0) * size[::-1]
            place = tuple(np.concatenate([low, high - low]).round(3).tolist())
            boxes.append(Annotation(0, int(random.integers(1, 90)), place, 1.0, segmentation=REGION))
        found.append((Photo(str(key)), (int(size[0]), int(size[1])), boxes))
    return found


photos = st.builds(draw_photos, st.integers(0, 2**32))


def box_file(found: list[tuple[Photo, tuple[int, int], list[Annotation]]], info: BoxInfo = INFO) -> BoxFile:
    return collect_boxes(info, found, {1: "person"})


def bare(boxes: BoxFile, key: str) -> list[Annotation]:
    """Return the boxes of a picture without their numbers, which count through the file."""
    return [replace(one, id=0) for one in boxes.boxes(key)]


@quick
@given(photos, errors, st.integers(0, 9))
def test_boxes_stay_boxes_inside_of_their_picture(found: Any, made: BoxErrors, seed: int) -> None:
    before = box_file(found)
    after = perturb(before, made, seed)
    for key, (height, width) in after.sizes.items():
        untouched = Counter(one.bbox for one in before.boxes(key))
        for x, y, wide, high in (one.bbox for one in after.boxes(key) if one.bbox not in untouched):
            assert min(x, y) >= 0
            assert min(wide, high) >= 0.999
            assert x + wide <= width + 1e-6
            assert y + high <= height + 1e-6


@quick
@given(photos, errors, st.integers(0, 9))
def test_there_are_as_many_boxes_as_declared(found: Any, made: BoxErrors, seed: int) -> None:
    after = perturb(box_file(found), made, seed)
    assert list(after.photos) == sorted(photo.key for photo, _, _ in found)
    for photo, _, boxes in found:
        left = {floor(len(boxes) * (1 - made.drop)), ceil(len(boxes) * (1 - made.drop))}
        assert len(after.boxes(photo.key)) in {count * (1 + made.duplicate) + made.add for count in left}


@quick
@given(photos, st.lists(shares, min_size=2, max_size=2).map(sorted), st.integers(0, 9))
def test_what_is_dropped_at_a_smaller_share_is_dropped_at_a_larger(found: Any, two: list[float], seed: int) -> None:
    less, more = (perturb(box_file(found), BoxErrors(drop=share), seed) for share in two)
    for photo, _, boxes in found:
        few, many = (Counter(bare(one, photo.key)) for one in (more, less))
        assert few <= many <= Counter(boxes), "nor is any changed"


@quick
@given(photos, numbers, numbers, st.integers(0, 9))
def test_a_larger_number_of_boxes_holds_a_smaller(found: Any, one: int, other: int, seed: int) -> None:
    for kind in ("duplicate", "add"):
        sizes = sorted([one, other])
        less, more = (perturb(box_file(found), BoxErrors.model_validate({kind: size}), seed) for size in sizes)
        for photo, _, _ in found:
            assert bare(more, photo.key)[: len(less.boxes(photo.key))] == bare(less, photo.key)


@quick
@given(photos, errors, st.integers(0, 9), st.randoms(use_true_random=False))
def test_order_and_other_pictures_change_nothing(found: Any, made: BoxErrors, seed: int, dice: Any) -> None:
    whole = perturb(box_file(found), made, seed)
    assert perturb(box_file(found), made, seed) == whole
    assert perturb(box_file(dice.sample(found, len(found))), made, seed).digest == whole.digest
    alone = perturb(box_file(found[:1]), made, seed)
    assert bare(alone, found[0][0].key) == bare(whole, found[0][0].key)


@quick
@given(photos, st.integers(0, 9))
def test_no_error_is_no_change(found: Any, seed: int) -> None:
    before = box_file(found)
    assert perturb(before, BoxErrors(), seed) is before


def scene(count: int = 6, **changes: Any) -> BoxFile:
    """Return one photo of 200 x 100 pixels with boxes of 40 x 20 in its middle, which nothing clips."""
    boxes = [Annotation(0, 1, (60.0 + n, 40.0, 40.0, 20.0), 800.0, segmentation=REGION) for n in range(count)]
    return box_file([(Photo("a"), (100, 200), boxes)], BoxInfo.model_validate({**INFO.model_dump(), **changes}))


def test_edges_move_by_up_to_their_share_and_twice_as_far_at_twice_the_error() -> None:
    before = [(x, y, x + wide, y + high) for x, y, wide, high in (one.bbox for one in scene(50).boxes("a"))]
    moves = []
    for size in (0.1, 0.2):
        after = perturb(scene(50), BoxErrors(jitter=size), 0).boxes("a")
        edges = [(x, y, x + wide, y + high) for x, y, wide, high in (one.bbox for one in after)]
        moved = (np.array(edges) - np.array(before)).ravel().tolist()
        assert max(map(abs, moved[::2])) <= size * 40 + 1e-3
        assert max(map(abs, moved[1::2])) <= size * 20 + 1e-3
        assert max(moved) > 0.9 * size * 40, "the whole range is used"
        moves.append(moved)
    assert [2 * move for move in moves[0]] == pytest.approx(moves[1], abs=4e-3)


def test_further_boxes_lie_on_theirs_and_have_no_mask() -> None:
    boxes = perturb(scene(3), BoxErrors(duplicate=2), 0).boxes("a")
    assert [one.segmentation is None for one in boxes] == [False] * 3 + [True] * 6
    for place, one in enumerate(boxes[3:]):
        first = boxes[place % 3].bbox
        assert 0 < abs(one.bbox[0] - first[0]) <= COPY_SHIFT * 40 + 1e-3
        assert one.area == pytest.approx(one.bbox[2] * one.bbox[3], abs=1e-3)
    assert all(one.segmentation is None for one in perturb(scene(), BoxErrors(jitter=0.1), 0).boxes("a"))
    assert all(one.segmentation == REGION for one in perturb(scene(), BoxErrors(drop=0.5), 0).boxes("a"))


def test_added_boxes_are_nobodys_and_come_last() -> None:
    added = perturb(scene(2, score_threshold=0.7), BoxErrors(add=4), 0)
    assert [one.category_id for one in added.boxes("a")] == [1, 1, 0, 0, 0, 0]
    assert [one.score for one in added.boxes("a")] == [None, None, 0.7, 0.7, 0.7, 0.7]
    assert added.categories[0].name == "no object"
    assert len({one.bbox for one in added.boxes("a")}) == 6


def test_each_error_and_each_seed_has_its_own_digest_and_says_what_it_is(tmp_path: Path) -> None:
    kinds = [BoxErrors(drop=0.5), BoxErrors(drop=0.6), BoxErrors(jitter=0.1), BoxErrors(duplicate=1), BoxErrors(add=1)]
    files = [perturb(scene(), made, seed) for made in kinds for seed in (0, 1)]
    assert len({file.digest for file in (scene(), *files)}) == 11
    files[1].write(tmp_path / "boxes.json")
    written = read_boxes(tmp_path / "boxes.json").info.model_dump()
    assert written["perturbation"] == {**declare(scene(), kinds[0]).model_dump(), "seed": 1}
    assert written["perturbation"]["boxes"] == scene().digest
    assert written["detector"] == "annotations"


def test_pictures_of_unknown_size_are_named() -> None:
    boxes = scene()
    unknown = boxes.model_copy(update={"images": tuple(one.model_copy(update={"width": None}) for one in boxes.images)})
    with pytest.raises(ValueError, match="no size for 'a'"):
        perturb(unknown, BoxErrors(add=1), 0)
