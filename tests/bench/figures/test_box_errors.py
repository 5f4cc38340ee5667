"""Curves over errors of the boxes hold their points."""

from collections.abc import Callable
from typing import Any

from bench.failure_modes import ErrorCurves, Point, Series
from bench.figures.box_errors import draw_box_errors


def test_curves_of_box_errors_hold_their_points(points_of: Callable[[Any], list[list[float]]]) -> None:
    points = tuple(Point(x / 4, 24.0 - x, 23.0 - x, 25.0 - x) for x in range(5))
    series = (
        Series("fusion · annotations", points),
        Series("full (looks at no boxes)", (points[0], points[-1]), "reference"),
        Series("fusion · yolo", points[2:3], "detector"),
    )
    plot = draw_box_errors(ErrorCurves("coco", "stretch256-v1", "image", "psnr", "drop", "share missed", series))
    lines = plot.figure.axes[0].get_lines()
    assert [points_of(line) for line in lines] == [[[p.x, p.mean] for p in each.points] for each in series]
    assert len(plot.figure.axes[0].collections) == 1, "one band"
    assert plot.kind == ("box-errors", "drop")
