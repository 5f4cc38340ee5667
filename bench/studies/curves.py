"""Learning curves as a figure, one panel a training."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
SETTINGS: Any = {"svg.hashsalt": "colorbench", "svg.fonttype": "none", "font.size": 8.0, "axes.grid": True}
COLORS = ("#1f6f8b", "#c8553d", "#5b8e3e", "#7a5195")
WIDTH, HEIGHT = 3.0, 2.1
"""Inches of a panel."""


def learning_curves(points: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG figure of training losses, thin, and losses of held-out training photos, with marks.

    Equal input gives equal bytes with one version of matplotlib.

    Args:
        points: lines of `curves.csv`: training, seed, pictures, train_loss, val_loss; NaN where one is missing.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(str(point["training"]) for point in points))
    rows = max(1, -(-len(names) // COLUMNS))
    with rc_context(SETTINGS):
        figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        for name, panel in zip(names, panels, strict=False):
            _draw(panel, name, [point for point in points if point["training"] == name])
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()


def _draw(panel: "Axes", name: str, points: Sequence[Mapping[str, Any]]) -> None:
    for seed, color in zip(sorted({point["seed"] for point in points}), COLORS, strict=False):
        mine = [point for point in points if point["seed"] == seed]
        for column, style in (("train_loss", {"linewidth": 0.6, "alpha": 0.6}), ("val_loss", {"marker": "."})):
            known = [(point["pictures"], point[column]) for point in mine if point[column] == point[column]]
            panel.plot(*zip(*known, strict=True), color=color, **style) if known else None
    panel.set_title(name)
    panel.set_xlabel("pictures seen in this stage")
    panel.set_ylabel("loss")
