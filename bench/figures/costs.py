"""Scores against what they cost: images a second, and multiply-adds of the networks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.board import Cost
from bench.figures.dots import reach
from bench.figures.names import LONGEST_IN_LEGEND, LONGEST_OF_TWO, labels
from bench.figures.style import COLUMN, PAGE, draw_legend, legend_height, one_panel
from bench.figures.subjects import Method, Plot, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_IN_COLUMN = 12
"""Methods whose names fit below a plot of a column's width, and whose intervals can be told apart."""
MOST = 20
"""Methods that fit on a page's width."""


def draw_speed(subject: Subject) -> Plot | None:
    """Draw scores over images a second; None where no speed is known."""
    machines = sorted({machine for method in subject.methods for machine in method.entry.cost.machines})
    caption = (
        f"Images a second as each run went ({'; '.join(machines)}), with reading and scoring, on a machine that may "
        "have done other work: `colorbench speed` measures methods alone. Further right is faster."
    )
    return _draw(subject, "speed", "images/s →", lambda cost: cost.images_per_second, caption)


def draw_gmacs(subject: Subject) -> Plot | None:
    """Draw scores over multiply-adds; None where none are known."""
    caption = "Multiply-adds of the networks for one picture: further left is cheaper."
    return _draw(subject, "gmacs", "GMACs a picture ←", lambda cost: cost.gmacs, caption)


def _draw(subject: Subject, kind: str, title: str, cost: Callable[[Cost], float | None], caption: str) -> Plot | None:
    costs = [(method, cost(method.entry.cost)) for method in subject.methods]
    known = [(method, value) for method, value in costs if value]
    if not known:
        return None
    shown = known[:MOST]
    names = labels([method.marked for method, _ in shown], LONGEST_IN_LEGEND)
    wide = len(shown) > MOST_IN_COLUMN
    columns = 2 if wide or max(map(len, names)) <= LONGEST_OF_TWO else 1
    figure, axes = one_panel(PAGE if wide else COLUMN, 2.2 + legend_height(names, columns))
    points = [_draw_point(axes, method, value, subject, interval=not wide) for method, value in shown]
    _scale(axes, [value for _, value in shown])
    axes.set(xlabel=title, ylabel=subject.metric.title)
    draw_legend(figure, dict(zip(names, points, strict=True)), columns)
    left = [method.label for method, value in costs if not value]
    lines = (
        f"{subject.place} against cost.",
        caption,
        f"Not known, or none: {', '.join(left)}." if left else "",
        f"The first {MOST} of {len(known)} methods." if len(known) > MOST else "",
        "Intervals stand in the plot of scores." if wide else "",
    )
    return subject.plot(figure, (kind,), len(shown), lines)


def _draw_point(axes: "Axes", method: Method, cost: float, subject: Subject, *, interval: bool) -> Any:
    cell, look = method.cell(subject.metric), method.look
    face = look.color if method.entry.unaided_rank else "white"
    return axes.errorbar(
        cost,
        cell.mean or 0.0,
        yerr=reach(cell) if interval else None,
        marker=look.marker,
        color=look.color,
        mfc=face,
        linestyle="",
        elinewidth=0.7,
    )


def _scale(axes: "Axes", costs: list[float]) -> None:
    """Let equal ratios of cost lie equally far apart, with plain numbers below."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(xscale="log", xlim=(min(costs) / 1.5, max(costs) * 1.5))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=8))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid()
