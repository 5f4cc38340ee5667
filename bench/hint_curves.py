"""Score over the number of hints, a curve a method. A pure function of boards, without torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bench.board import Board, Entry
from bench.scoring.metrics import Level

ENDING = re.compile(r"-hints[0-9]+(?=#|$)")
"""Of a method's usual name, which its runs with other hints don't share."""


@dataclass(frozen=True, slots=True)
class HintPoint:
    """Hold one score: `mean` with so many hints, `low` and `high` the ends of its 95 % interval, None for neither."""

    hints: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class HintCurve:
    """Hold the points of one method by their number of hints; 0 is the method without any."""

    label: str
    points: tuple[HintPoint, ...]


@dataclass(frozen=True, slots=True)
class HintCurves:
    """Hold the curves of all methods of one board by one metric."""

    dataset: str
    protocol: str
    level: Level
    metric: str
    curves: tuple[HintCurve, ...]


def hint_curves(boards: Iterable[Board]) -> list[HintCurves]:
    """Return the curves of whole, trained runs with boxes as they are; those with one point are left out.

    Returns:
        One a board and metric that any method has two points of.
    """
    found = []
    for board in boards:
        for metric in board.metrics:
            curves = tuple(curve for curve in _curves(board, metric.id) if len(curve.points) > 1)
            if curves:
                found.append(HintCurves(board.dataset, board.protocol, board.level, metric.id, curves))
    return found


def _curves(board: Board, metric: str) -> list[HintCurve]:
    lines: dict[str, list[HintPoint]] = {}
    for entry in board.entries:
        cell = entry.scores.get(metric)
        if entry.competes and cell is not None and cell.mean is not None:
            lines.setdefault(_label(entry), []).append(HintPoint(entry.hints, cell.mean, cell.low, cell.high))
    curves = [HintCurve(label, tuple(sorted(points, key=_place))) for label, points in sorted(lines.items())]
    return [curve for curve in curves if curve.points[-1].hints]


def _place(point: HintPoint) -> tuple[int, float]:
    return point.hints, point.mean


def _label(entry: Entry) -> str:
    """Return the method without its number of hints, with its detector if it has one."""
    method = ENDING.sub("", entry.method)
    return method if entry.detector == "none" else f"{method} · {entry.detector}"
