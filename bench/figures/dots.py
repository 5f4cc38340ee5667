"""Means as dots with their intervals, a line a method: of whole boards, and part by part."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.board import Cell
from bench.figures.names import count_lines, labels
from bench.figures.style import COLUMN, MUTED, one_panel
from bench.figures.subjects import Method, Plot, Subject
from bench.tracks import AUTOMATIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, NEXT = 0.19, 0.117
"""Inches of a method, and of each further line of its name."""
REST = 0.55
INTERVALS = "Dots are means, lines their 95 % bootstrap intervals over images."


def draw_scores(subject: Subject) -> Plot:
    """Draw the mean of each method, best first."""
    methods, metric = subject.methods, subject.metric
    cells = [method.cell(metric) for method in methods]
    figure, axes = one_panel(COLUMN, REST + height_of(methods))
    draw_dots(axes, methods, cells)
    name_methods(axes, methods)
    axes.set_xlabel(metric.title)
    truth = _truth(cells)
    if truth is not None:
        axes.axvline(truth, color=MUTED, linestyle="--", linewidth=0.8)
    caption = (
        f"{subject.place}.",
        _meaning(subject, cells),
        "Dashed: the mean of the true pictures, nearest to which is best." if truth is not None else "",
        _hollow(methods),
    )
    return subject.plot(figure, ("scores",), len(methods), caption)


def _hollow(methods: Sequence[Method]) -> str:
    """Say what hollow dots mean; nothing where there are none."""
    if all(method.entry.unaided_rank is not None for method in methods):
        return ""
    guided = any(method.entry.track != AUTOMATIC for method in methods)
    return f"Hollow dots have no rank{', or see more than light and boxes' * guided}."


def _truth(cells: Sequence[Cell]) -> float | None:
    """Return the mean of the true pictures, of a metric that is best there."""
    known = [(cell.mean, cell.difference) for cell in cells]
    return next((mean - apart for mean, apart in known if mean is not None and apart is not None), None)


def _meaning(subject: Subject, cells: Sequence[Cell]) -> str:
    if subject.metric.of_set:
        return "A dot is one number of the whole set."
    return INTERVALS if any(cell.low is not None for cell in cells) else "Dots are means."


def draw_dots(axes: "Axes", methods: Sequence[Method], cells: Sequence[Cell | None]) -> None:
    """Draw a cell of each method, the first on top; one that has none leaves its line empty."""
    for place, (method, cell) in enumerate(zip(methods, cells, strict=True)):
        if cell is not None and cell.mean is not None:
            draw_mean(axes, method, cell, place, hollow=method.entry.unaided_rank is None)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.grid(axis="x")


def draw_mean(axes: "Axes", method: Method, cell: Cell, place: float, *, hollow: bool = False) -> None:
    """Draw a mean with its interval at a height."""
    if cell.mean is None:
        return
    axes.errorbar(
        cell.mean,
        place,
        xerr=reach(cell),
        color=method.look.color,
        marker=method.look.marker,
        markerfacecolor="white" if hollow else method.look.color,
        capsize=2,
    )


def reach(cell: Cell) -> list[list[float]] | None:
    """Return how far the interval of a mean reaches below and above it; None without any.

    The mean of equal numbers may lie a last bit outside.
    """
    if cell.mean is None or cell.low is None or cell.high is None:
        return None
    return [[max(0.0, cell.mean - cell.low)], [max(0.0, cell.high - cell.mean)]]


def height_of(methods: Sequence[Method]) -> float:
    """Return inches that the lines of methods take, which `name_methods` names."""
    return len(methods) * (LINE + NEXT * (count_lines(_names(methods)) - 1))


def _names(methods: Sequence[Method]) -> list[str]:
    return labels([method.marked for method in methods])


def name_methods(axes: "Axes", methods: Sequence[Method]) -> None:
    """Write the methods beside their lines, and rule off those without rank among automatic ones."""
    axes.set_yticks(range(len(methods)), _names(methods))
    axes.tick_params("y", length=0)
    unranked = [place for place, method in enumerate(methods) if method.entry.unaided_rank is None]
    if unranked and unranked[0] > 0:
        axes.axhline(unranked[0] - 0.5, color=MUTED, linewidth=0.6)
