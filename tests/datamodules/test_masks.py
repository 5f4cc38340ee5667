import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pycocotools import mask as coco
from skimage.draw import polygon2mask

from datamodules.masks import expand_counts, mask_to_segmentation, segmentation_to_mask
from datamodules.sources.synthetic import mask_to_counts

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(MASKS)
def test_masks_come_back_from_both_kinds_of_run_lengths(mask: NDArray[np.bool_]) -> None:
    size = (mask.shape[0], mask.shape[1])
    compressed = json.loads(json.dumps(mask_to_segmentation(mask)))
    np.testing.assert_array_equal(segmentation_to_mask(compressed, size), mask)
    plain = {"size": list(size), "counts": mask_to_counts(mask)}
    np.testing.assert_array_equal(segmentation_to_mask(plain, size), mask)
    assert expand_counts(str(compressed["counts"])) == plain["counts"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11 with numpy 2
def test_long_runs_are_read_as_pycocotools_reads_them() -> None:
    random = np.random.default_rng(0)
    for density in (0.5, 0.01, 0.0001):
        runs = coco.encode(np.asfortranarray(random.random((300, 500)) < density, dtype=np.uint8))
        segmentation = {"size": [300, 500], "counts": runs["counts"].decode()}
        np.testing.assert_array_equal(segmentation_to_mask(segmentation, (300, 500)), coco.decode(runs) > 0)


def test_polygons_cover_what_skimage_draws() -> None:
    """The library rounds edges to pixels, skimage asks which pixels' middles are inside: only edges may differ."""
    random = np.random.default_rng(0)
    for corners in (3, 5, 9):
        angles = np.sort(random.uniform(0, 2 * math.pi, corners))
        x, y = 60 + 45 * np.cos(angles), 50 + 40 * np.sin(angles)
        flat = np.stack([x, y], 1).ravel().tolist()
        found = segmentation_to_mask([flat], (100, 120))
        wanted = polygon2mask((100, 120), np.stack([y, x], 1) - 0.5)  # type: ignore[no-untyped-call]  # it is untyped there
        length = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
        assert (found != wanted).sum() < length
        assert abs(int(found.sum()) - int(wanted.sum())) < length / 2
        assert wanted.sum() > 500


def test_polygons_of_whole_pixels_are_exact_and_are_joined() -> None:
    left, right = [2.0, 1.0, 5.0, 1.0, 5.0, 4.0, 2.0, 4.0], [7.0, 0.0, 9.0, 0.0, 9.0, 2.0, 7.0, 2.0]
    wanted = np.zeros((6, 10), bool)
    wanted[1:4, 2:5] = wanted[0:2, 7:9] = True
    np.testing.assert_array_equal(segmentation_to_mask([left, right], (6, 10)), wanted)
    np.testing.assert_array_equal(segmentation_to_mask([left, [7.0, 0.0, 9.0, 2.0], right], (6, 10)), wanted)
    assert not segmentation_to_mask([], (6, 10)).any()
    outside = [-3.0, -3.0, 30.0, -3.0, 30.0, 2.0, -3.0, 2.0]
    np.testing.assert_array_equal(segmentation_to_mask([outside], (6, 10)), np.arange(6)[:, None] < [2] * 10)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ("polygon", "this one is a str"),
        (3, "this one is a int"),
        ([[1, 2, 3]], "a polygon of a segmentation must be x, y"),
        ([[[1, 2], [3, 4], [5, 6]]], "must be x, y"),
        ([["a", 2, 3, 4, 5, 6]], "must be x, y"),
        ([[0, 0, 5, math.nan, 5, 5]], "must be x, y"),
        ([[0, 0, 5, 1e9, 5, 5]], "must be x, y"),
        ([5], "must be x, y"),
        ({}, "run lengths must be whole numbers"),
        ({"size": [2, 3], "counts": [7, -1]}, "must be whole numbers"),
        ({"size": [2, 3], "counts": [1.5, 4.5]}, "must be whole numbers"),
        ({"size": [3, 2], "counts": [6]}, r"of size \[3, 2\] .* the photo has \(2, 3\)"),
        ({"counts": [6]}, "of size None"),
        ({"size": [2, 3], "counts": [2, 3]}, "add up to 5 pixels"),
        ({"size": [2, 3], "counts": "5"}, "add up to 5 pixels"),
        ({"size": [2, 3], "counts": "é"}, "do not contain 'é'"),
        ({"size": [2, 3], "counts": "5P"}, "end within a number"),
    ],
)
def test_what_is_no_segmentation_is_refused(segmentation: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        segmentation_to_mask(segmentation, (2, 3))


def test_masks_of_real_photos_have_the_annotators_area(shared: Path) -> None:
    listed = json.loads((shared / "data/coco/annotations/instances_val2017.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in listed["images"]}
    crowds = [one for one in listed["annotations"] if one["iscrowd"]]
    near = []
    for one in [*crowds, *listed["annotations"][:150]]:
        found = int(segmentation_to_mask(one["segmentation"], sizes[one["image_id"]]).sum())
        near.append(abs(found - one["area"]) <= 20 + 0.05 * one["area"])
    assert crowds
    assert np.mean(near) > 0.95, "areas count twice where polygons of one instance overlap"
