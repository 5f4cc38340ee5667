"""Curves over errors of the boxes hold their points."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.breakdown import Mean
from bench.failure_modes import ErrorCurves, Point, Series
from bench.figures.box_errors import draw_box_errors


def test_curves_of_box_errors_hold_their_changes(points_of: Callable[[Any], list[list[float]]]) -> None:
    points = tuple(Point(x / 4, 24.0 - x, 23.0 - x, 25.0 - x, None, Mean(-x, -x - 0.5, -x + 0.5)) for x in range(5))
    unknown = tuple(replace(point, change=None) for point in points)
    series = (
        Series("fusion · annotations", points),
        Series("full (looks at no boxes)", (unknown[0], unknown[-1]), "reference"),
        Series("fusion · yolo", points[2:3], "detector"),
    )
    curves = ErrorCurves("coco", "stretch256-v1", "image", "psnr", "drop", "share missed", series)
    plot = draw_box_errors(curves)
    assert plot is not None
    axes = plot.figure.axes[0]
    zero, *drawn = [points_of(line) for line in axes.get_lines()]
    assert zero == [[0, 0], [1, 0]]
    assert [line for line in drawn if len(line) != 2] == [[[x / 4, -x] for x in range(5)], [[0.5, -2]]]
    assert sorted(line for line in drawn if len(line) == 2) == [
        [[x / 4, -x - 0.5], [x / 4, -x + 0.5]] for x in (0, 1, 2, 2, 3, 4)
    ], "an interval a mark"
    assert axes.get_ylabel() == "change in PSNR [dB] ↑"
    assert axes.get_ylim()[0] < -4.5
    assert (plot.kind, plot.methods) == (("box-errors", "drop"), 2)
    assert draw_box_errors(replace(curves, series=series[1:2])) is None
