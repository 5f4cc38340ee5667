"""Scores stand over what they cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.container import ErrorbarContainer

from bench.board import Cost
from bench.figures.costs import draw_gmacs, draw_speed
from bench.figures.subjects import Plot, Subject


def test_scores_stand_over_what_they_cost(
    finished: Path, subject_of: Callable[..., Subject], points_of: Callable[[Any], list[list[float]]]
) -> None:
    subject = subject_of(finished)
    plot = draw_speed(subject)
    assert plot is not None
    container = plot.figure.axes[0].containers[0]
    assert isinstance(container, ErrorbarContainer)
    first = subject.methods[0]
    assert points_of(container.lines[0]) == [[first.runs[0][1].images_per_second, first.entry.scores["psnr"].mean]]
    assert "as each run went (cpu), with reading and scoring" in plot.caption
    assert "`colorbench speed`" in plot.caption
    assert draw_gmacs(replace(subject, methods=tuple(without_cost(each) for each in subject.methods))) is None
    some = (without_cost(subject.methods[0]), replace_cost(subject.methods[1], Cost(gmacs=53.6)))
    drawn = draw_gmacs(replace(subject, methods=some))
    assert drawn is not None
    assert drawn.methods == 1
    assert "Not known, or none: instcolor-fusion · yolo" in drawn.caption


def without_cost(method: Any) -> Any:
    return replace_cost(method, Cost())


def replace_cost(method: Any, cost: Cost) -> Any:
    return replace(method, entry=replace(method.entry, cost=cost))


def test_many_methods_stand_on_a_page_without_intervals(finished: Path, subject_of: Callable[..., Subject]) -> None:
    subject = subject_of(finished)
    first = subject.methods[0]
    many = tuple(replace(first, label=f"method-{number}") for number in range(25))
    plot = draw_speed(replace(subject, methods=many))
    assert plot is not None
    assert plot.methods == len(plot.figure.axes[0].containers) == 20
    assert not any(reach_of(plot))
    assert "The first 20 of 25 methods" in plot.caption
    assert "Intervals stand in the plot of scores" in plot.caption
    alone = draw_speed(replace(subject, methods=many[:12]))
    assert alone is not None
    assert all(reach_of(alone))


def reach_of(plot: Plot) -> list[bool]:
    """Return which points have an interval."""
    return [each.has_yerr for each in plot.figure.axes[0].containers if isinstance(each, ErrorbarContainer)]
