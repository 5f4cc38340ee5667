"""Grids hold the pictures that runs have kept, with their scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bench.figures.grids import draw_pictures, picture_keys
from bench.figures.subjects import Subject
from bench.leaderboard import read_runs
from bench.picture_set import note_pictures, picture_set
from bench.record import RunRecord

KEYS = [f"photo-{number}" for number in range(7)]


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
