"""Score against detector error: how far each method's score changes, a curve a method."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.board import LEVEL_WORDS
from bench.failure_modes import ErrorCurves, Series
from bench.figures.names import LONGEST_IN_LEGEND, labels
from bench.figures.style import COLUMN, MUTED, Look, draw_legend, looks, one_panel
from bench.figures.subjects import Plot
from bench.scoring.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

DODGE = 3.5
"""Points between marks of one place, which would lie over each other."""


def draw_box_errors(curves: ErrorCurves) -> Plot | None:
    """Draw the changes over one kind of error, real detectors as single marks; None where no change is known."""
    from matplotlib.transforms import offset_copy

    metric, series = METRICS[curves.metric], [line for line in curves.series if line.changes]
    if not series:
        return None
    names = labels([line.label for line in series], LONGEST_IN_LEGEND)
    figure, axes = one_panel(COLUMN, 2.3 + 0.15 * len(series))
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    places = [DODGE * (place - (len(series) - 1) / 2) for place in range(len(series))]
    moved = [offset_copy(axes.transData, figure, x=place, units="points") for place in places]
    drawn = [_draw(axes, *each) for each in zip(series, looks(names).values(), moved, strict=True)]
    axes.set(xlabel=curves.x_title, ylabel=f"change in {metric.title}")
    axes.margins(x=0.08, y=0.05)
    axes.grid()
    draw_legend(figure, dict(zip(names, drawn, strict=True)), 1)
    place = (curves.dataset, curves.protocol, curves.level, curves.metric)
    kind = ("box-errors", curves.error)
    return Plot(figure, kind, *place, methods=len(series), n="", caption=_caption(curves, series))


def _caption(curves: ErrorCurves, series: Sequence[Series]) -> str:
    metric = METRICS[curves.metric].title
    detector = " Lone marks are real detectors." if any(line.kind == "detector" for line in series) else ""
    return (
        f"Change in {metric} of {LEVEL_WORDS[curves.level]} on {curves.dataset} ({curves.protocol}) with errors of the "
        f"boxes: {curves.x_title}. Means of the differences to the same method with boxes that nobody perturbed, "
        "image by image; bars are 95 % bootstrap intervals over images. Marks of one place stand side by side. "
        f"A method that looks at no boxes would stay at zero.{detector}{' ' * bool(curves.note)}{curves.note}"
    )


def _draw(axes: "Axes", line: Series, look: Look, moved: "Transform") -> Any:
    """Draw one curve, moved to the side; its data stay where they are."""
    x = [at for at, _ in line.changes]
    means = np.array([change.mean for _, change in line.changes], np.float64)
    ends = np.array([(change.low, change.high) for _, change in line.changes], np.float64)
    for at, both in zip(x, ends, strict=True):
        axes.plot([at, at], both, color=look.color, linewidth=0.8, transform=moved)
    dash = "none" if line.kind == "detector" else look.dash
    (drawn,) = axes.plot(x, means, color=look.color, linestyle=dash, marker=look.marker, transform=moved)
    for values in (means, *ends.T):
        axes.update_datalim(np.column_stack([x, values]))
    return drawn
