"""How the scores of single pictures are spread: boxes, and the share of pictures at least as good as each score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.figures.dots import REST, height_of, name_methods
from bench.figures.names import LONGEST_IN_LEGEND, LONGEST_OF_TWO, labels
from bench.figures.style import COLUMN, MUTED, draw_legend, legend_height, one_panel
from bench.figures.subjects import Method, Plot, Subject
from bench.statistics import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 8
"""Curves that are told apart by eye; the others are drawn grey."""
MOST_POINTS = 500
"""Of a curve; more would only make the file large."""
FEW = 40
"""So many scores are also drawn one by one."""


def draw_distribution(subject: Subject) -> Plot | None:
    """Draw the spread of single scores, a line a method; None where no single score is known."""
    methods = subject.scored
    if not methods:
        return None
    figure, axes = one_panel(COLUMN, REST + height_of(methods))
    for place, method in enumerate(methods):
        _draw_box(axes, method, values_of(method), place)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.grid(axis="x")
    name_methods(axes, methods)
    axes.set_xlabel(subject.metric.title)
    caption = (
        f"Distribution of {subject.place}.",
        "Boxes: quartiles and median; lines: 5th to 95th percentile; markers: means.",
        f"Grey dots: single {subject.unit}." if any(len(values_of(method)) <= FEW for method in methods) else "",
    )
    return subject.plot(figure, ("distribution",), len(methods), caption)


def values_of(method: Method) -> Floats:
    """Return the single scores of a method, sorted."""
    return np.sort(np.fromiter((method.scores or {}).values(), np.float64))


def _draw_box(axes: "Axes", method: Method, values: Floats, place: int) -> None:
    least, first, median, third, most = np.percentile(values, [5, 25, 50, 75, 95])
    color = method.look.color
    axes.hlines(place, least, most, color=color, linewidth=0.8)
    axes.barh(place, third - first, 0.6, first, facecolor="white", edgecolor=color, linewidth=0.8)
    if len(values) <= FEW:
        axes.plot(values, np.full(len(values), place), ".", color=MUTED, markersize=2.5, alpha=0.7)
    axes.vlines(median, place - 0.3, place + 0.3, color=color, linewidth=1.4)
    axes.plot(values.mean(), place, marker=method.look.marker, color=color, markersize=3.5)


def draw_cumulative(subject: Subject) -> Plot | None:
    """Draw for each score the share of pictures that are at least as good; None where no single score is known.

    By a metric that is best where the truth is, it is the share of those that have at most so much, as in the report.
    """
    methods = subject.scored
    if not methods:
        return None
    shown, rest = methods[:MOST_LINES], methods[MOST_LINES:]
    names = labels([method.marked for method in shown], LONGEST_IN_LEGEND)
    columns = 1 if max(map(len, names)) > LONGEST_OF_TWO else 2
    others_name = [f"{len(rest)} others"] if rest else []
    figure, axes = one_panel(COLUMN, 2.2 + legend_height([*names, *others_name], columns))
    falling = subject.metric.direction == "higher"
    others = [_draw_share(axes, values_of(method), falling) for method in rest][:1]
    lines = [_draw_share(axes, values_of(method), falling, method) for method in shown]
    limit = "at least" if falling else "at most"
    axes.set(xlabel=subject.metric.title, ylabel=f"{subject.unit} with\n{limit} so much [%]", ylim=(0, 100))
    axes.grid()
    draw_legend(figure, dict(zip([*names, *others_name], [*lines, *others], strict=True)), columns)
    caption = (
        f"Cumulative distribution of {subject.place}.",
        f"Share of {subject.unit} whose score is {limit} the one below: {_reading(subject)}.",
        f"Grey: the {len(rest)} methods ranked below the first {len(shown)}." if rest else "",
    )
    return subject.plot(figure, ("cumulative",), len(methods), caption)


def _reading(subject: Subject) -> str:
    where = {"higher": "further right is better", "lower": "further left is better"}
    return where.get(subject.metric.direction, "nearest to the truth's is best")


def _draw_share(axes: "Axes", values: Floats, falling: bool, method: Method | None = None) -> object:
    """Draw the share in per cent of sorted values from or up to each of them; grey without a method."""
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(np.intp))
    where: Literal["pre", "post"] = "pre" if falling else "post"
    if falling:
        points = values[[*kept, -1]], [*(len(values) - kept) * 100 / len(values), 0.0]
    else:
        points = values[[0, *kept]], [0.0, *(kept + 1) * 100 / len(values)]
    if method is None:
        (line,) = axes.step(*points, where=where, color="0.8", linewidth=0.6)
        return line
    look = method.look
    (line,) = axes.step(*points, where=where, color=look.color, linestyle=look.dash)
    line.set(marker=look.marker, markevery=_places(len(kept) + 1), markersize=3.5)
    return line


def _places(points: int) -> Sequence[int]:
    """Return which points of a curve get a marker: five, evenly spread."""
    return sorted({round((points - 1) * part) for part in (0.1, 0.3, 0.5, 0.7, 0.9)})
