"""Boxes and curves hold the scores of single pictures."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.patches import Rectangle

from bench.figures.distributions import draw_cumulative, draw_distribution
from bench.figures.subjects import Subject


def test_boxes_are_quartiles_and_percentiles(finished: Path, subject_of: Callable[..., Subject]) -> None:
    subject = subject_of(finished)
    plot = draw_distribution(subject)
    assert plot is not None
    boxes = [patch for patch in plot.figure.axes[0].patches if isinstance(patch, Rectangle)]
    for box, method in zip(boxes, subject.methods, strict=True):
        first, _, third = statistics.quantiles((method.scores or {}).values(), n=4, method="inclusive")
        assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((first, third))


def test_curves_tell_the_share_of_pictures_at_most_there(
    finished: Path, subject_of: Callable[..., Subject], points_of: Callable[[Any], list[list[float]]]
) -> None:
    subject = subject_of(finished)
    plot = draw_cumulative(subject)
    assert plot is not None
    for line, method in zip(plot.figure.axes[0].get_lines(), subject.methods, strict=True):
        values = [*(method.scores or {}).values()]
        points = points_of(line)
        for value in values:
            share = 100 * sum(each <= value for each in values) / len(values)
            assert max(y for x, y in points if x == value) == pytest.approx(share)
        assert points[0] == [min(values), 0]
