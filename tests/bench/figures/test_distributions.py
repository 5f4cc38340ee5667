"""Boxes and curves hold the scores of single pictures."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.patches import Rectangle

from bench.figures.distributions import draw_cumulative, draw_distribution
from bench.figures.subjects import Subject
from bench.record import RunRecord


def test_boxes_are_quartiles_and_percentiles(finished: Path, subject_of: Callable[..., Subject]) -> None:
    subject = subject_of(finished)
    plot = draw_distribution(subject)
    assert plot is not None
    boxes = [patch for patch in plot.figure.axes[0].patches if isinstance(patch, Rectangle)]
    for box, method in zip(boxes, subject.methods, strict=True):
        first, _, third = statistics.quantiles((method.scores or {}).values(), n=4, method="inclusive")
        assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((first, third))


@pytest.mark.parametrize(("metric", "limit"), [("psnr", "at least"), ("ab_rmse", "at most")])
def test_curves_tell_the_share_of_pictures_that_are_at_least_as_good(
    finish_run: Callable[..., RunRecord],
    tmp_path: Path,
    subjects_of: Callable[..., list[Subject]],
    points_of: Callable[[Any], list[list[float]]],
    metric: str,
    limit: str,
) -> None:
    values = [0.5, 0.125, 0.5, 0.25, 0.75]
    finish_run(tmp_path, {f"p{n}": {metric: value} for n, value in enumerate(values)}, metrics=(metric,))
    plot = draw_cumulative(subjects_of(tmp_path, metric)[0])
    assert plot is not None
    (line,) = plot.figure.axes[0].get_lines()
    points = points_of(line)
    for value in values:
        share = 100 * sum(each >= value if limit == "at least" else each <= value for each in values) / len(values)
        assert max(y for x, y in points if x == value) == pytest.approx(share)
    assert [0.75 if limit == "at least" else 0.125, 0.0] in points
    assert line.get_drawstyle() == ("steps-pre" if limit == "at least" else "steps-post"), "equal ones count"
    assert plot.figure.axes[0].get_ylabel() == f"images with\n{limit} so much [%]"
    assert f"is {limit} the one below" in plot.caption
