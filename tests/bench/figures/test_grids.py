"""Grids hold the pictures that runs have kept, with their scores."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.figures import grids
from bench.figures.grids import shown_methods
from bench.figures.style import to_bytes
from bench.figures.subjects import Plot, Subject
from bench.leaderboard import read_runs
from bench.picture_set import note_pictures, picture_set
from bench.record import RunRecord

KEYS = [f"photo-{number}" for number in range(7)]


def picture_keys(subject: Subject) -> list[str]:
    return grids.picture_keys(subject, shown_methods(subject))


def draw_pictures(subject: Subject, keys: Sequence[str], names: Sequence[str] = ()) -> Plot | None:
    return grids.draw_pictures(subject, shown_methods(subject, names), keys)


def test_pictures_stand_beside_each_other_with_their_scores(finished: Path, subject_of: Callable[..., Subject]) -> None:
    subject = subject_of(finished)
    assert picture_keys(subject) == KEYS
    plot = draw_pictures(subject, KEYS[:2])
    assert plot is not None
    panels = np.array(plot.figure.axes).reshape(2, 5)
    assert [panel.get_title() for panel in panels[0]] == [
        "input",
        "instcolor-\nfusion · yolo",
        "zhang",
        "gray",
        "truth",
    ]
    scores = [(method.scores or {})[KEYS[1], 0] for method in subject.methods]
    assert [panel.get_xlabel() for panel in panels[1, 1:-1]] == [f"{score:.2f}" for score in scores]
    truth = np.asarray(Image.open(finished / "pictures/samples/photo-1.truth.png"))
    assert np.array_equal(panels[1, -1].images[0].get_array(), truth)
    assert KEYS[1] in plot.caption


def test_methods_that_are_named_stand_in_that_order(finished: Path, subject_of: Callable[..., Subject]) -> None:
    plot = draw_pictures(subject_of(finished), KEYS[:1], ("gray", "zhang--none"))
    assert plot is not None
    assert [panel.get_title() for panel in plot.figure.axes] == ["input", "gray", "zhang", "truth"]
    assert "grey input, 2 chosen methods, truth" in plot.caption
    with pytest.raises(UsageError, match="--grid names 7 methods, and 6 fit"):
        shown_methods(subject_of(finished), ["gray"] * 7)


def test_small_pictures_are_enlarged_without_smoothing(finished: Path, subject_of: Callable[..., Subject]) -> None:
    """No colour may come that the file does not have."""
    for path in finished.rglob("photo-1*.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 2, (8, 8, 3), np.uint8) * 255).save(path)
    plot = draw_pictures(subject_of(finished), KEYS[1:2])
    assert plot is not None
    drawn = np.asarray(Image.open(io.BytesIO(to_bytes(plot.figure, "png"))).convert("RGB"))
    box = plot.figure.axes[1].get_window_extent()
    height = len(drawn)
    inside = drawn[height - int(box.y1) + 3 : height - int(box.y0) - 3, int(box.x0) + 3 : int(box.x1) - 3]
    assert min(inside.shape[:2]) > 100
    assert set(np.unique(inside)) == {0, 255}


def test_a_picture_without_its_prediction_is_in_no_grid(finished: Path, subject_of: Callable[..., Subject]) -> None:
    next(finished.glob("runs/*/zhang*/images/photo-3.png")).unlink()
    assert picture_keys(subject_of(finished)) == [key for key in KEYS if key != "photo-3"]


def test_a_picture_stands_over_the_score_of_its_own_seed(
    finish_run: Callable[..., RunRecord], tmp_path: Path, subject_of: Callable[..., Subject]
) -> None:
    for seed, value in enumerate((20.25, 27.0)):
        finish_run(tmp_path, {"a": {"psnr": value}}, seed=seed, metrics=("psnr",), images=True)
    plot = draw_pictures(subject_of(tmp_path), ["a"])
    assert plot is not None
    assert plot.figure.axes[1].get_xlabel() == "20.25"
    assert "Of several seeds the lowest is shown, with its scores" in plot.caption
    assert "Means over" not in plot.caption


def test_no_prediction_stands_beside_the_truth_of_another_set(
    finish_run: Callable[..., RunRecord], tmp_path: Path, subjects_of: Callable[..., list[Subject]]
) -> None:
    """Two sets of one name share the folder of truths, which holds those of one of them."""
    for digest in ("1", "2"):
        finish_run(tmp_path, {"a": {"psnr": 20.0}}, method=f"of-{digest}", dataset_digest=64 * digest, images=True)
    assert [picture_keys(subject) for subject in subjects_of(tmp_path)] == [[], [], [], []], "nobody knows whose"
    second = next(record for _, record in read_runs([tmp_path]) if record.method == "of-2")
    note_pictures(tmp_path / "pictures/samples", picture_set(second))
    kept = {subject.methods[0].label: picture_keys(subject) for subject in subjects_of(tmp_path)}
    assert kept == {"of-1": [], "of-2": ["a"]}
