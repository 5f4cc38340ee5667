"""Pictures side by side: grey, what methods made of it, truth."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import MissingError, UsageError
from bench.figures.named import find_method
from bench.figures.names import count_lines, labels, shorten
from bench.figures.style import DPI, PAGE, new_figure
from bench.figures.subjects import Method, Plot, Subject
from bench.files import path_below
from bench.observations import Observations, read_observations
from bench.scoring.metrics import Metric
from datamodules.images import ImageError, read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_METHODS = 6
"""With grey and truth, eight pictures of less than an inch fit on a page."""
LONGEST_LINE = 14
"""Letters that fit above a picture."""
LINE, FOOT, GAP = 0.12, 0.17, 0.02
"""Inches of a line of the names above, of the score below, and between pictures."""


def shown_methods(subject: Subject, names: Sequence[str] = ()) -> list[Method]:
    """Return the methods that are named, in that order, or else the best, of those that have kept pictures.

    Raises:
        UsageError: There are too many names, or one stands for several methods.
    """
    if len(names) > MOST_METHODS:
        raise UsageError(f"--grid names {len(names)} methods, and {MOST_METHODS} fit on a page: leave some out")
    named = [method for name in names if (method := find_method(subject, name)) is not None]
    kept = [method for method in named if method.scores] if names else subject.scored
    return [method for method in kept if (method.runs[0][0] / "images").is_dir()][:MOST_METHODS]


def picture_keys(subject: Subject, shown: Sequence[Method]) -> list[str]:
    """Return the pictures that all methods have kept, with their grey and true versions."""
    folder = subject.pictures
    if folder is None:
        return []
    keys = sorted({image for method in shown for image, _ in method.scores or {}})
    return [key for key in keys if all(path.is_file() for path in _paths(shown, folder, key))]


def draw_pictures(subject: Subject, methods: Sequence[Method], keys: Sequence[str]) -> Plot | None:
    """Draw a line a picture: grey, the methods with their scores, truth; None without any picture."""
    folder = subject.pictures
    if not keys or folder is None:
        return None
    names = ["input", *labels([method.marked for method in methods], LONGEST_LINE), "truth"]
    side = PAGE / max(len(names), 5)
    head = LINE * count_lines(names)
    height = head + (side - 2 * GAP + FOOT) * len(keys)
    figure, panels = new_figure(side * len(names), height, len(keys), len(names))
    figure.set_layout_engine("constrained", w_pad=GAP / 2, h_pad=GAP, wspace=0.0, hspace=0.0)
    scores = [_own_scores(method, subject) for method in methods]
    for line, key in zip(panels, keys, strict=True):
        for panel, path in zip(line, _paths(methods, folder, key), strict=True):
            _show(panel, path, side)
        for panel, own in zip(line[1:], scores, strict=False):
            panel.set_xlabel(_score(own, key, subject.metric), fontsize=7, labelpad=1.5)
    for panel, name in zip(panels[0], names, strict=True):
        panel.set_title(name, fontsize=7, pad=2)
    caption = (
        f"{subject.board.dataset} ({subject.board.protocol}): grey input, {_told(methods, subject)}, truth. "
        f"Below the pictures: {subject.metric.title}.",
        f"Pictures: {', '.join(shorten(key, 60) for key in keys)}.",
        "Of several seeds the lowest is shown, with its scores." if any(len(each.runs) > 1 for each in methods) else "",
    )
    return replace(subject, methods=tuple(methods)).plot(figure, ("pictures",), len(methods), caption, means=False)


def _told(methods: Sequence[Method], subject: Subject) -> str:
    """Return which methods a caption has between grey and truth."""
    best = list(methods) == subject.scored[: len(methods)]
    return f"the best {len(methods)} methods by {subject.metric.name}" if best else f"{len(methods)} chosen methods"


def _paths(methods: Sequence[Method], folder: Path, key: str) -> list[Path]:
    made = [path_below(method.runs[0][0] / "images", key, ".png") for method in methods]
    return [path_below(folder, key, ".gray.png"), *made, path_below(folder, key, ".truth.png")]


def _show(panel: "Axes", path: Path, side: float) -> None:
    """Show a picture in a panel of so many inches; one that is much smaller is enlarged without smoothing."""
    try:
        picture = read_image(path)
        small = 2 * max(picture.shape[:2]) < side * DPI
        panel.imshow(picture, interpolation="nearest" if small else None)
    except ImageError as error:
        raise MissingError(f"{path} cannot be shown ({error}); run the suite again with --save-images") from error
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)


def _own_scores(method: Method, subject: Subject) -> Observations:
    """Return the scores of the pictures that are shown, which are those of the lowest seed; others are means."""
    folder, record = method.runs[0]
    return read_observations(folder, record, subject.board.level, subject.metric.id) or {}


def _score(scores: Observations, key: str, metric: Metric) -> str:
    value = scores.get((key, 0))
    return "" if value is None or not np.isfinite(value) else f"{value:.{metric.decimals}f}"
