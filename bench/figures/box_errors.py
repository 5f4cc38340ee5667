"""Score against detector error: a curve a method."""

from typing import TYPE_CHECKING, Any

from bench.board import LEVEL_WORDS
from bench.failure_modes import ErrorCurves, Series
from bench.figures.names import LONGEST_IN_LEGEND, labels
from bench.figures.style import COLUMN, Look, draw_legend, looks, one_panel
from bench.figures.subjects import Plot
from bench.scoring.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_box_errors(curves: ErrorCurves) -> Plot:
    """Draw the curves over one kind of error, what looks at no boxes as thin lines, real detectors as single marks."""
    metric, series = METRICS[curves.metric], curves.series
    names = labels([line.label for line in series], LONGEST_IN_LEGEND)
    figure, axes = one_panel(COLUMN, 2.3 + 0.15 * len(series))
    drawn = [_draw(axes, line, look) for line, look in zip(series, looks(names).values(), strict=True)]
    axes.set(xlabel=curves.x_title, ylabel=metric.title)
    axes.grid()
    draw_legend(figure, dict(zip(names, drawn, strict=True)), 1)
    caption = (
        f"{metric.title} of {LEVEL_WORDS[curves.level]} on {curves.dataset} ({curves.protocol}) against errors of the "
        f"boxes: {curves.x_title}. Bands are 95 % bootstrap intervals over images."
    )
    place = (curves.dataset, curves.protocol, curves.level, curves.metric)
    return Plot(figure, ("box-errors", curves.error), *place, methods=len(series), n="", caption=caption)


def _draw(axes: "Axes", line: Series, look: Look) -> Any:
    x, means = [point.x for point in line.points], [point.mean for point in line.points]
    reference = line.kind == "reference"
    (drawn,) = axes.plot(
        x,
        means,
        color=look.color,
        linestyle=look.dash,
        linewidth=0.7 if reference else 1.1,
        marker=None if reference else look.marker,
    )
    ends = [(point.low, point.high) for point in line.points]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    if line.kind == "curve" and len(known) == len(x):
        axes.fill_between(
            x, [low for low, _ in known], [high for _, high in known], color=look.color, alpha=0.12, linewidth=0
        )
    return drawn
