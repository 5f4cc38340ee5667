"""Two methods against each other, a point a picture."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bench.board import LEVEL_WORDS
from bench.compare import MethodComparison, Side, compare_sides
from bench.compare_text import notes
from bench.errors import UsageError
from bench.figures.named import called, check_known, find_method
from bench.figures.names import DETECTOR, labels
from bench.figures.style import COLORS, COLUMN, one_panel
from bench.figures.subjects import Method, Plot, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_VECTORS = 2000
"""Points that an SVG or PDF file holds one by one; more become pixels in it."""


def draw_pair(compared: MethodComparison) -> Plot:
    """Draw A over B: a point above the diagonal is a picture where A is higher."""
    first, metric = compared.a.records[0], compared.metric
    names = labels([_label(side.name) for side in (compared.a, compared.b)], 34)
    figure, axes = one_panel(COLUMN, COLUMN)
    _draw_points(axes, compared)
    axes.set(xlabel=f"{names[1]}\n{metric.title}", ylabel=f"{names[0]}\n{metric.title}")
    kind = ("pair", *(side.name.removesuffix("--none") for side in (compared.a, compared.b)))
    n = str(compared.found.pictures)
    places = (first.dataset, first.protocol, compared.level, metric.id)
    return Plot(figure, kind, *places, methods=2, n=n, caption=_caption(compared))


def _label(name: str) -> str:
    method, _, detector = name.rpartition("--")
    return method if detector == "none" else f"{method}{DETECTOR}{detector}"


def best_pair(subject: Subject) -> MethodComparison | None:
    """Compare the best two methods that have a rank and single scores; None where there are no two."""
    ranked = [method for method in subject.scored if method.entry.unaided_rank is not None]
    return _compare(subject, *ranked[:2]) if len(ranked) > 1 else None


def named_pair(subject: Subject, names: tuple[str, str]) -> MethodComparison | None:
    """Compare two methods by name; None where the subject lacks one, or its single scores.

    Raises:
        UsageError: A name stands for several methods, or both for the same.
    """
    methods = [method for method in _find_both(subject, names) if method.scores]
    return _compare(subject, *methods) if len(methods) == len(names) else None


def check_names(subjects: Sequence[Subject], pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse names that mean nothing, before anything is drawn.

    Raises:
        UsageError: No subject has such a method, a name stands for several, or both for the same.
    """
    for names in pairs:
        check_known(subjects, names)
        for subject in subjects:
            _find_both(subject, names)


def _find_both(subject: Subject, names: tuple[str, str]) -> list[Method]:
    """Return those of two named methods that a subject has."""
    found = [method for name in names if (method := find_method(subject, name)) is not None]
    if len(found) == 2 and found[0] is found[1]:
        raise UsageError(f"both names of --pair {','.join(names)} stand for {found[0].label}: give two methods")
    return found


def _compare(subject: Subject, a: Method, b: Method) -> MethodComparison:
    first, second = (Side(called(method)[1], method.runs) for method in (a, b))
    scores = [a.scores or {}, b.scores or {}]
    return compare_sides(first, second, scores, metric=subject.metric.id, level=subject.board.level)


def _draw_points(axes: "Axes", compared: MethodComparison) -> None:
    a, b = [image.a for image in compared.images], [image.b for image in compared.images]
    low, high = min([*a, *b], default=0.0), max([*a, *b], default=1.0)
    margin = (high - low) * 0.05 or 0.5
    ends = (low - margin, high + margin)
    many = len(a) > MOST_VECTORS
    axes.axline((low, low), slope=1, color="0.2", linewidth=0.7)
    axes.plot(b, a, "o", color=COLORS[0], alpha=0.3 if many else 0.6, markersize=2.5, mew=0, rasterized=many)
    found = compared.found
    if found.mean is not None:
        axes.axline((low, low + found.mean), slope=1, color=COLORS[1], linestyle="--", linewidth=0.9)
    if found.low is not None and found.high is not None:
        below, above = ([end + shift for end in ends] for shift in (found.low, found.high))
        axes.fill_between(ends, below, above, color=COLORS[1], alpha=0.2, linewidth=0)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.grid()
    _say_sides(axes, compared)


def _say_sides(axes: "Axes", compared: MethodComparison) -> None:
    """Write in both halves how many pictures lie there."""
    above = sum(image.difference > 0 for image in compared.images)
    below = sum(image.difference < 0 for image in compared.images)
    for text, x, y, side in ((above, 0.03, 0.97, "left"), (below, 0.97, 0.03, "right")):
        axes.text(
            x,
            y,
            f"{text} of {len(compared.images)}",
            transform=axes.transAxes,
            ha=side,
            va="top" if side == "left" else "bottom",
            fontsize=7,
            color="0.25",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )


def _caption(compared: MethodComparison) -> str:
    first, metric, found = compared.a.records[0], compared.metric, compared.found
    a, b = _label(compared.a.name), _label(compared.b.name)
    instances = f" with {found.values} instances, of which a point is the mean" if compared.level == "instance" else ""
    lines = [
        f"{metric.title} of {LEVEL_WORDS[compared.level]} on {first.dataset} ({first.protocol}): {a} over {b}.",
        f"n = {found.pictures} images{instances}.",
        "Numbers in the corners: images above and below the diagonal.",
    ]
    digits = metric.decimals
    if found.mean is not None and found.p_value is not None:
        interval = "" if found.low is None else f", 95 % interval [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
        mean = f"{found.mean:+.{digits}f}{interval}"
        lines.append(f"Dashed: the mean difference, {mean}, p = {found.p_value:.2g} (sign-flip test over images).")
    if compared.win_rate is not None:
        lines.append(f"{a} is better on {100 * compared.win_rate:.1f} % of the images, equal ones half.")
    return " ".join([*lines, *notes(compared)])
