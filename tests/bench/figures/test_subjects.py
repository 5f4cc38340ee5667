"""Plots rank what a board ranks; what was run under conditions of its own is left out, or marked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.box_errors import Perturbation
from bench.figures.dots import draw_scores
from bench.figures.pairs import check_names, named_pair
from bench.figures.subjects import Run, Subject, read_subjects
from bench.leaderboard import read_runs
from bench.record import RunRecord

DROPPED = Perturbation(detector="annotations", boxes="b", drop=0.5)
CONDITIONS: Mapping[str, Mapping[str, Any]] = {
    "annotations": {"detector_id": "annotations"},
    "careful": {"detector_id": "annotations", "perturbation": DROPPED},
    "none": {"detector_id": "none", "hints": 10},
}


@pytest.fixture
def runs(finish_run: Callable[..., RunRecord], tmp_path: Path) -> list[Run]:
    """Return runs whose worse boxes have a name that hides them, with the highest scores."""
    for place, detector in enumerate(CONDITIONS):
        scores = {"a": {"psnr": 20.0 + place}, "b": {"psnr": 22.0 + place}}
        finish_run(tmp_path, scores, method="fusion", detector=detector, metrics=("psnr",))
    found = read_runs([tmp_path])
    return [(place, record.model_copy(update=CONDITIONS[record.detector])) for place, record in found]


def test_boxes_made_worse_are_in_no_plot_but_those_of_box_errors(runs: list[Run]) -> None:
    subject = read_subjects(runs)[0]
    assert [method.marked for method in subject.methods] == ["fusion · annotations", "fusion †"]
    assert [entry.detector for entry in subject.board.entries] == ["annotations", "none"]
    caption = draw_scores(subject).caption
    assert "Left out: 1 line of the leaderboard with errors made to the boxes on purpose." in caption
    assert "†: 10 hints." in caption
    assert "Boxes of annotations are the annotators' own" in caption


def test_a_pair_that_is_named_may_have_boxes_made_worse(runs: list[Run]) -> None:
    subject: Subject = read_subjects(runs)[0]
    names = ("fusion--annotations", "fusion--careful")
    check_names([subject], [names])
    compared = named_pair(subject, names)
    assert compared is not None
    assert compared.b.name == "fusion--careful"
