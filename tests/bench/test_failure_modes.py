"""Curves of score against detector error, from records that are made here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.box_errors import ERROR_WORDS, DetectorError, Perturbation
from bench.breakdown import Mean
from bench.failure_modes import DECLARED, ErrorCurves, Point, Series, error_curves
from bench.record import RunRecord
from bench.statistics import bootstrap_interval

Runs = list[tuple[Path, RunRecord]]
Pictures = float | Sequence[float]
EXACT = "e" * 64


@pytest.fixture
def make(finish_run: Callable[..., RunRecord], tmp_path: Path) -> Callable[..., tuple[Path, RunRecord]]:
    """Return a function that makes the record of a method's run with some boxes."""

    def one(
        method: str, psnr: Pictures, *, detector: str = "none", missed: float | None = None, **errors: Any
    ) -> tuple[Path, RunRecord]:
        facts = {name: errors.pop(name) for name in ("seed", "partial", "untrained") if name in errors}
        boxes = errors.pop("boxes", EXACT)
        pictures = (psnr - 1, psnr + 1) if isinstance(psnr, float) else psnr
        scores = {f"{place:02}": {"psnr": score} for place, score in enumerate(pictures)}
        record = finish_run(tmp_path, scores, method=method, detector=detector, metrics=("psnr",), **facts)
        made = Perturbation(detector="annotations", boxes=boxes, **errors) if errors else None
        measured = None
        if missed is not None:
            measured = DetectorError(missed=missed, false=0, doubled=0, boxes=1, mean_iou=None)
        digests = record.digests.model_copy(update={"boxes": None if detector == "none" else "p" if errors else boxes})
        changes = {"perturbation": made, "detector_error": measured, "digests": digests}
        folder = tmp_path / "runs/samples" / f"{method}--{detector}--s{record.seed}"
        return folder, record.model_copy(update=changes)

    return one


def curve(found: list[ErrorCurves], error: str, level: str = "image") -> ErrorCurves:
    return next(one for one in found if (one.error, one.level, one.metric) == (error, level, "psnr"))


def points(series: Series) -> list[tuple[float, float]]:
    return [(point.x, point.mean) for point in series.points]


def fusion_runs(make: Callable[..., tuple[Path, RunRecord]], method: str = "fusion", seed: int = 0) -> Runs:
    return [
        make(method, 25.0 - seed, detector="annotations", missed=0.1, seed=seed),
        make(method, 22.0 - seed, detector="annotations-drop1", missed=1.0, drop=1.0, seed=seed),
        make(method, 24.0 - seed, detector="annotations-drop0.5", missed=0.55, drop=0.5, seed=seed),
        make(method, 23.0 - seed, detector="annotations-add4", missed=0.1, add=4, seed=seed),
        make(method, 20.0 - seed, detector="annotations-drop0.5-add4", missed=0.55, drop=0.5, add=4, seed=seed),
    ]


def test_points_are_the_records_means_at_the_measured_error(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    runs = fusion_runs(make)
    found = error_curves(runs)
    assert {(one.dataset, one.protocol, one.level, one.metric) for one in found} == {
        ("samples", "stretch256-v1", level, "psnr") for level in ("image", "instance")
    }
    dropped, added = curve(found, "drop"), curve(found, "add")
    assert dropped.x_title == ERROR_WORDS["drop"]
    assert [series.label for series in dropped.series] == ["fusion · annotations"]
    assert points(dropped.series[0]) == [(0.1, 25.0), (0.55, 24.0), (1.0, 22.0)]
    assert [point.declared for point in dropped.series[0].points] == [0, 0.5, 1]
    assert points(added.series[0]) == [(0, 25.0), (4, 23.0)]
    score = runs[2][1].image["psnr"]
    assert dropped.series[0].points[1] == Point(0.55, 24.0, score.low, score.high, 0.5, Mean(-1.0, -1.0, -1.0))
    assert points(curve(found, "add", "instance").series[0]) == [(0, 24.0), (4, 22.0)]
    assert not [one for one in found if one.error in {"jitter", "duplicate"}]


def test_seeds_are_averaged_and_keep_their_outermost_ends(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    runs = [*fusion_runs(make), *fusion_runs(make, seed=1)]
    last = curve(error_curves(runs), "drop").series[0].points[-1]
    ends = [runs[place][1].image["psnr"] for place in (1, 6)]
    assert (last.x, last.mean) == (1.0, 21.5)
    assert (last.low, last.high) == (ends[1].low, ends[0].high)


def test_changes_are_those_of_each_picture_over_seeds(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    draw = np.random.default_rng(0)
    pictures = 20 + 5 * draw.normal(size=(2, 30))
    losses = {0.5: 0.1 + 0.1 * draw.normal(size=(2, 30)), 1.0: 0.2 + 0.1 * draw.normal(size=(2, 30))}
    gain = draw.normal(size=30)
    runs = [make("fusion", gain + 20, detector="yolo", missed=0.7, boxes="y" * 64)]
    for seed in (0, 1):
        runs.append(make("fusion", pictures[seed], detector="annotations", missed=0.0, seed=seed))
        for share, loss in losses.items():
            runs.append(
                make(
                    "fusion", pictures[seed] - loss[seed], detector=f"drop{share}", missed=share, seed=seed, drop=share
                )
            )
    one, real = curve(error_curves(runs), "drop").series
    wanted = {0.0: np.zeros(30), **{share: -loss.mean(axis=0) for share, loss in losses.items()}}
    for at, change in one.changes:
        low, high = bootstrap_interval(wanted[at])
        ends = (change.mean, change.low, change.high)
        assert ends == pytest.approx((wanted[at].mean(), low, high), abs=1e-9)
    assert len(one.changes) == 3
    (point,) = real.points
    assert point.change is not None
    assert point.change.mean == pytest.approx((gain + 20 - pictures.mean(axis=0)).mean())


def test_without_tables_or_the_run_with_boxes_as_they_are_no_change_is_known(
    make: Callable[..., tuple[Path, RunRecord]],
) -> None:
    runs = fusion_runs(make)
    full = make("full", 22.0)
    assert [one.changes for one in curve(error_curves([*runs[1:], full]), "drop").series] == [(), ()]
    (runs[2][0] / "images.csv").unlink()
    dropped = curve(error_curves(runs), "drop").series[0]
    assert [at for at, _ in dropped.changes] == [0.1, 1.0]
    assert len(dropped.points) == 3


def test_methods_without_boxes_and_real_detectors_stand_beside_the_curves(
    make: Callable[..., tuple[Path, RunRecord]],
) -> None:
    runs = [
        *fusion_runs(make),
        *fusion_runs(make, "masked"),
        make("full", 22.0),
        make("fusion", 24.5, detector="yolo", missed=0.7, boxes="y" * 64),
        make("other", 21.0, detector="yolo", missed=0.7, boxes="y" * 64),
    ]
    found = error_curves(runs)
    assert [(one.label, one.kind, points(one)) for one in curve(found, "drop").series[1:]] == [
        ("masked · annotations", "curve", [(0.1, 25.0), (0.55, 24.0), (1.0, 22.0)]),
        ("fusion · yolo", "detector", [(0.7, 24.5)]),
        ("full (looks at no boxes)", "reference", [(0.1, 22.0), (1.0, 22.0)]),
    ]
    assert [one.label for one in curve(found, "add").series] == [
        "fusion · annotations",
        "masked · annotations",
        "full (looks at no boxes)",
    ]


def test_what_may_not_be_ranked_is_not_drawn(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    runs = fusion_runs(make)
    limited = make("fusion", 99.0, detector="annotations-drop0.2", missed=0.2, drop=0.2, partial=True)
    random = make("fusion", 99.0, detector="annotations-drop0.3", missed=0.3, drop=0.3, untrained=True)
    assert error_curves([*runs, limited, random]) == error_curves(runs)
    assert error_curves([run for run in runs if run[1].perturbation is None]) == []
    assert error_curves([]) == []


def test_it_is_told_why_dropped_boxes_begin_beyond_zero(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    runs = fusion_runs(make)
    found = error_curves(runs)
    assert "begin at 0.10:" in curve(found, "drop").note
    assert "given 1.0 boxes a picture" in curve(found, "drop").note
    assert curve(found, "add").note == ""
    folder, record = runs[0]
    assert record.detector_error is not None
    none_missed = record.detector_error.model_copy(update={"missed": 0.0})
    exact = (folder, record.model_copy(update={"detector_error": none_missed}))
    assert curve(error_curves([exact, *runs[1:]]), "drop").note == ""


def test_boxes_of_another_file_have_another_zero(make: Callable[..., tuple[Path, RunRecord]]) -> None:
    runs = fusion_runs(make)
    many = make("fusion", 26.0, detector="many", missed=0.0, boxes="m" * 64)
    more = make("fusion", 21.0, detector="many-add4", missed=0.0, boxes="m" * 64, add=4)
    added = curve(error_curves([*runs, many, more]), "add")
    assert {one.label: points(one) for one in added.series} == {
        "fusion · annotations": [(0, 25.0), (4, 23.0)],
        "fusion · many": [(0, 26.0), (4, 21.0)],
    }


def test_without_the_measure_or_the_zero_the_declared_error_is_drawn(
    make: Callable[..., tuple[Path, RunRecord]],
) -> None:
    runs = [(folder, record.model_copy(update={"detector_error": None})) for folder, record in fusion_runs(make)]
    dropped = curve(error_curves(runs), "drop")
    assert dropped.x_title == DECLARED
    assert points(dropped.series[0]) == [(0, 25.0), (0.5, 24.0), (1.0, 22.0)]
    left = curve(error_curves(runs[1:]), "drop").series[0]
    assert (left.label, points(left)) == ("fusion · annotations", [(0.5, 24.0), (1.0, 22.0)])
