"""Score against detector error: how each method bears boxes that are missing, moved, doubled or of nothing.

A function of records and tables, without torch: `error_curves`. Runs with one kind of error are the points of a curve;
the run with the boxes as they were is its first, and how far the others lie from it on the same pictures is what a
picture shows: errors of boxes change a score by far less than pictures differ from each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.board import Board, run_key
from bench.box_errors import ERROR_KINDS, ERROR_WORDS, ErrorKind
from bench.box_runs import BoxRuns, Changes, Run, box_runs, measure_changes, pairs_with_zero
from bench.breakdown import Mean
from bench.ranking import rank_records
from bench.scoring.metrics import Level

DECLARED = "share of boxes left out"
"""Stands on the axis of dropped boxes where nothing was measured, in records of datasets without annotations."""


@dataclass(frozen=True, slots=True)
class Point:
    """Hold one score.

    Attributes:
        x: size of the error, in the words of the curves' `x_title`.
        mean: over pictures or instances, and over seeds.
        low: lower end of the 95 % interval, `high` the upper, of several seeds the outermost ends; None for neither.
        declared: size of the error as the suite gives it; None for a method that looks at no boxes and for boxes that
            nobody perturbed on purpose.
        change: mean of the differences to the run of the same method whose boxes nobody perturbed, on the pictures
            that both have, with its interval as `colorbench compare` gives it; of several seeds each picture's mean.
            None where there is no such run, no score of single pictures, or no table that holds them.
    """

    x: float
    mean: float
    low: float | None
    high: float | None
    declared: float | None = None
    change: Mean | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Hold one line of a plot.

    Attributes:
        label: method, and detector if it has one.
        points: sorted by `x`.
        kind: `curve` over an error; `reference`, of a method that looks at no boxes and has the same score at both ends
            of the axis; `detector`, one point, of real boxes at the error that was measured in them.
    """

    label: str
    points: tuple[Point, ...]
    kind: Literal["curve", "reference", "detector"] = "curve"

    @property
    def changes(self) -> tuple[tuple[float, Mean], ...]:
        """Return place and change of the points whose change is known."""
        return tuple((point.x, point.change) for point in self.points if point.change is not None)


@dataclass(frozen=True, slots=True)
class ErrorCurves:
    """Hold the curves of all methods of one dataset and protocol over one kind of error, by one metric.

    Attributes:
        note: sentence on where the axis begins, if that needs one; else empty.
    """

    dataset: str
    protocol: str
    level: Level
    metric: str
    error: ErrorKind
    x_title: str
    series: tuple[Series, ...]
    note: str = ""


def error_curves(runs: Sequence[Run]) -> list[ErrorCurves]:
    """Return the curves of score against detector error of all runs, each given with its folder.

    Dropped boxes stand at the measured share of objects without a box, so that real detectors find a place among them;
    other errors at the size that the suite gives. Partial and untrained runs are left out, and so are runs with several
    kinds of error at once.

    Returns:
        One a dataset, protocol, level, metric and kind of error that any method has two points of.
    """
    known = {run_key(record): (folder, record) for folder, record in runs}
    found = []
    for board in rank_records(record for _, record in runs):
        entries = box_runs(board, known)
        pairs = pairs_with_zero(entries)
        for metric in board.metrics if any(each.kinds for each in entries) else ():
            changes = measure_changes(pairs, board.level, metric.id)
            curves = (_Place(board, metric.id, kind, changes).curves(entries) for kind in ERROR_KINDS)
            found += [curve for curve in curves if curve.series]
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Hold what the curves over one kind of error are drawn by."""

    board: Board
    metric: str
    kind: ErrorKind
    changes: Changes

    def curves(self, entries: Sequence[BoxRuns]) -> ErrorCurves:
        """Return the curves; without series where there is none."""
        lines = _lines(self.kind, entries)
        measured = self.kind == "drop" and all(runs.missed is not None for line in lines for runs in line)
        curves = self.series(lines, measured=measured)
        found: list[Series] = []
        if curves:
            places = [point.x for series in curves for point in series.points]
            found = [*curves, *(self.detectors(lines, entries) if measured else ())]
            found += self.references(entries, (min(places), max(places)))
        x_title = ERROR_WORDS[self.kind] if self.kind != "drop" or measured else DECLARED
        place = (self.board.dataset, self.board.protocol, self.board.level, self.metric, self.kind)
        return ErrorCurves(*place, x_title, tuple(found), _tell_start(lines) if measured else "")

    def point(
        self, runs: BoxRuns, x: float, zero: BoxRuns | None = None, declared: float | None = None
    ) -> Point | None:
        """Return the score, if there is one, with its change to that of `zero`."""
        cell = runs.entry.scores.get(self.metric)
        if cell is None or cell.mean is None:
            return None
        return Point(x, cell.mean, cell.low, cell.high, declared, self.changes.of(runs, zero))

    def series(self, lines: Iterable[Sequence[BoxRuns]], *, measured: bool) -> list[Series]:
        """Return the lines that have two points or more as curves."""
        found = []
        for line in lines:
            sizes = [(runs, runs.declared(self.kind)) for runs in line]
            places = [runs.missed if measured else declared for runs, declared in sizes]
            points = [
                self.point(runs, x, _zero(line), declared)
                for (runs, declared), x in zip(sizes, places, strict=True)
                if x is not None
            ]
            present = sorted((point for point in points if point is not None), key=lambda point: point.x)
            if len(present) > 1:
                found.append(Series(_label(line), tuple(present)))
        return found

    def detectors(self, lines: Sequence[Sequence[BoxRuns]], entries: Sequence[BoxRuns]) -> list[Series]:
        """Return the methods that have a curve with the boxes of other detectors, where these miss as many objects."""
        zeros = {line[0].entry.method: _zero(line) for line in reversed(lines)}
        drawn = {(runs.entry.method, runs.entry.detector) for line in lines for runs in line}
        others = [
            runs
            for runs in entries
            if runs.entry.method in zeros
            and not runs.kinds
            and runs.missed is not None
            and (runs.entry.method, runs.entry.detector) not in drawn
        ]
        points = [(runs.label, self.point(runs, runs.missed or 0.0, zeros[runs.entry.method])) for runs in others]
        return [Series(label, (point,), "detector") for label, point in sorted(points, key=str) if point is not None]

    def references(self, entries: Sequence[BoxRuns], ends: tuple[float, float]) -> list[Series]:
        """Return the methods that look at no boxes, whose score is the same at both ends of the axis."""
        found = []
        for runs in sorted(entries, key=lambda runs: runs.label):
            points = [self.point(runs, x) for x in ends] if runs.entry.detector == "none" else []
            if present := tuple(point for point in points if point is not None):
                found.append(Series(f"{runs.label} (looks at no boxes)", present, "reference"))
        return found


def _lines(kind: ErrorKind, entries: Sequence[BoxRuns]) -> list[list[BoxRuns]]:
    """Return for each method and its boxes the runs with one kind of error, behind that without any, if it is there."""
    lines: dict[tuple[str, str | None], list[BoxRuns]] = {}
    for runs in entries:
        if runs.kinds == (kind,):
            lines.setdefault((runs.entry.method, runs.boxes), []).append(runs)
    for runs in entries:
        if not runs.kinds and (line := lines.get((runs.entry.method, runs.boxes))) is not None:
            line.insert(0, runs)
    return [lines[place] for place in sorted(lines, key=str)]


def _zero(line: Sequence[BoxRuns]) -> BoxRuns | None:
    """Return the runs of a line whose boxes nobody perturbed, if they are there."""
    return None if line[0].kinds else line[0]


def _tell_start(lines: Iterable[Sequence[BoxRuns]]) -> str:
    """Return why curves of dropped boxes begin beyond zero; empty where they do not."""
    zeros = [zero for line in lines if (zero := _zero(line)) is not None]
    starts = {f"{zero.missed:.2f}": f"{zero.given:.1f}" for zero in zeros if zero.missed and zero.given is not None}
    starts.pop("0.00", None)
    if not starts:
        return ""
    return (
        f"Curves begin at {' and '.join(starts)}: with nothing left out on purpose, methods are given "
        f"{' and '.join(starts.values())} boxes a picture, never more than max_boxes of the suite, and an object that "
        "none of these overlaps by an IoU of 0.5 has no box."
    )


def _label(line: Sequence[BoxRuns]) -> str:
    """Return method and detector; the detector's id where no run shows the boxes as they are."""
    perturbation = line[0].first.perturbation
    return line[0].label if perturbation is None else f"{line[0].entry.method} · {perturbation.detector}"
