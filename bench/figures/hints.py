"""Score over the number of hints, a curve a method."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.board import LEVEL_WORDS
from bench.figures.names import LONGEST_IN_LEGEND, labels
from bench.figures.style import COLUMN, Look, draw_legend, looks, one_panel
from bench.figures.subjects import Plot
from bench.hint_curves import HintCurve, HintCurves
from bench.scoring.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_hints(curves: HintCurves) -> Plot:
    """Draw the curves; the axis is logarithmic, but for the room between none and one."""
    metric = METRICS[curves.metric]
    names = labels([curve.label for curve in curves.curves], LONGEST_IN_LEGEND)
    figure, axes = one_panel(COLUMN, 2.3 + 0.15 * len(names))
    drawn = [_draw(axes, *each) for each in zip(curves.curves, looks(names).values(), strict=True)]
    counts = sorted({point.hints for curve in curves.curves for point in curve.points})
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(counts, list(map(str, counts)), rotation=90 if len(counts) > 8 else 0)
    axes.minorticks_off()
    axes.set(xlabel="hints: squares whose true colour is given", ylabel=metric.title)
    axes.grid()
    draw_legend(figure, dict(zip(names, drawn, strict=True)), 1)
    place = (curves.dataset, curves.protocol, curves.level, curves.metric)
    return Plot(figure, ("hints",), *place, methods=len(names), n="", caption=_caption(curves))


def _caption(curves: HintCurves) -> str:
    metric = METRICS[curves.metric].title
    return (
        f"{metric} of {LEVEL_WORDS[curves.level]} on {curves.dataset} ({curves.protocol}) over the number of hints, "
        "squares whose mean true colour a method is given. With as many hints and the same seed all methods get the "
        "same squares, and the first ones stay where more are given. Bands are 95 % bootstrap intervals over images."
    )


def _draw(axes: "Axes", curve: HintCurve, look: Look) -> Any:
    x = [point.hints for point in curve.points]
    means = [point.mean for point in curve.points]
    ends = np.array([(point.low, point.high) for point in curve.points], np.float64)
    axes.fill_between(x, *ends.T, color=look.color, alpha=0.15, linewidth=0)
    (drawn,) = axes.plot(x, means, color=look.color, linestyle=look.dash, marker=look.marker)
    return drawn
