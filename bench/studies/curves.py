"""Learning curves as a figure, one panel a training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.figures.style import Look, looks, new_figure, styled, to_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
WIDTH, HEIGHT = 3.0, 2.1
"""Inches of a panel."""


def learning_curves(points: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG figure of training losses, thin, and losses of held-out training photos, with marks.

    Equal input gives equal bytes with one version of matplotlib.

    Args:
        points: lines of `curves.csv`: training, seed, pictures, train_loss, val_loss; NaN where one is missing.
    """
    names = list(dict.fromkeys(str(point["training"]) for point in points))
    seeds = looks(f"{seed}" for seed in sorted({point["seed"] for point in points}))
    rows = max(1, -(-len(names) // COLUMNS))
    with styled():
        figure, panels = new_figure(COLUMNS * WIDTH, rows * HEIGHT, rows, COLUMNS)
        for panel in panels.ravel()[len(names) :]:
            panel.set_axis_off()
        for name, panel in zip(names, panels.ravel(), strict=False):
            _draw(panel, name, [point for point in points if point["training"] == name], seeds)
        return to_bytes(figure, "svg").decode()


def _draw(panel: "Axes", name: str, points: Sequence[Mapping[str, Any]], seeds: Mapping[str, Look]) -> None:
    for seed, look in seeds.items():
        mine = [point for point in points if f"{point['seed']}" == seed]
        thin = {"linewidth": 0.6, "alpha": 0.6}
        marked = {"marker": look.marker, "linestyle": look.dash, "markersize": 3}
        for column, style in (("train_loss", thin), ("val_loss", marked)):
            known = [(point["pictures"], point[column]) for point in mine if point[column] == point[column]]
            panel.plot(*zip(*known, strict=True), color=look.color, **style) if known else None
    panel.set(title=name, xlabel="pictures seen in this stage", ylabel="loss")
    panel.grid()
