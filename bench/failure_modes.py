"""Score against detector error: how each method bears boxes that are missing, moved, doubled or of nothing.

A pure function of records, without torch: `error_curves`. Runs with one kind of error are the points of a curve; the
run with the boxes as they were is its first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.board import Board, Entry, RunKey, run_key
from bench.box_errors import ERROR_KINDS, ERROR_WORDS, ErrorKind
from bench.ranking import rank_records
from bench.record import RunRecord
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
    """

    x: float
    mean: float
    low: float | None
    high: float | None
    declared: float | None = None


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


@dataclass(frozen=True, slots=True)
class ErrorCurves:
    """Hold the curves of all methods of one dataset and protocol over one kind of error, by one metric."""

    dataset: str
    protocol: str
    level: Level
    metric: str
    error: ErrorKind
    x_title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class _Runs:
    """Hold one entry of a board with the records that it is the mean of."""

    entry: Entry
    records: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        """Return method and detector."""
        return self.entry.method if self.entry.detector == "none" else f"{self.entry.method} · {self.entry.detector}"

    @property
    def boxes(self) -> str | None:
        """Return the digest of the boxes; before they were perturbed, if they were."""
        first = self.records[0]
        return first.perturbation.boxes if first.perturbation else first.digests.boxes

    @property
    def kinds(self) -> tuple[ErrorKind, ...]:
        """Return which errors the boxes were given."""
        perturbation = self.records[0].perturbation
        return perturbation.kinds if perturbation else ()

    @property
    def missed(self) -> float | None:
        """Return the measured share of objects without a box, mean over seeds."""
        errors = [record.detector_error for record in self.records]
        shares = [error.missed for error in errors if error is not None and error.missed is not None]
        return math.fsum(shares) / len(shares) if len(shares) == len(errors) else None

    def declared(self, kind: ErrorKind) -> float:
        """Return the size of the error that the suite gives; 0 for boxes as they are."""
        perturbation = self.records[0].perturbation
        return perturbation.size(kind) if perturbation else 0.0

    def point(self, metric: str, x: float, declared: float | None = None) -> Point | None:
        """Return the score by a metric, if there is one."""
        cell = self.entry.scores.get(metric)
        return None if cell is None or cell.mean is None else Point(x, cell.mean, cell.low, cell.high, declared)


def error_curves(runs: Sequence[tuple[Path, RunRecord]]) -> list[ErrorCurves]:
    """Return the curves of score against detector error of all runs, each given with its folder.

    Dropped boxes stand at the measured share of objects without a box, so that real detectors find a place among them;
    other errors at the size that the suite gives. Partial and untrained runs are left out, and so are runs with several
    kinds of error at once.

    Returns:
        One a dataset, protocol, level, metric and kind of error that any method has two points of.
    """
    records = {run_key(record): record for _, record in runs}
    found = []
    for board in rank_records(records.values()):
        entries = _entries(board, records)
        for metric in board.metrics:
            curves = (_curves(board, metric.id, kind, entries) for kind in ERROR_KINDS)
            found += [curve for curve in curves if curve.series]
    return found


def _entries(board: Board, records: Mapping[RunKey, RunRecord]) -> list[_Runs]:
    """Return those entries of a board that may be compared."""
    return [_Runs(entry, tuple(records[key] for key in entry.runs)) for entry in board.entries if entry.competes]


def _curves(board: Board, metric: str, kind: ErrorKind, entries: Sequence[_Runs]) -> ErrorCurves:
    """Return the curves over one kind of error; without series where there is no curve."""
    lines = _lines(kind, entries)
    measured = kind == "drop" and all(runs.missed is not None for line in lines for runs in line)
    curves = _as_series(metric, kind, lines, measured=measured)
    found: list[Series] = []
    if curves:
        places = [point.x for series in curves for point in series.points]
        found = [*curves, *(_detectors(metric, lines, entries) if measured else ())]
        found += _references(metric, entries, (min(places), max(places)))
    x_title = ERROR_WORDS[kind] if kind != "drop" or measured else DECLARED
    return ErrorCurves(board.dataset, board.protocol, board.level, metric, kind, x_title, tuple(found))


def _lines(kind: ErrorKind, entries: Sequence[_Runs]) -> list[list[_Runs]]:
    """Return for each method and its boxes the runs with one kind of error, behind that without any, if it is there."""
    lines: dict[tuple[str, str | None], list[_Runs]] = {}
    for runs in entries:
        if runs.kinds == (kind,):
            lines.setdefault((runs.entry.method, runs.boxes), []).append(runs)
    for runs in entries:
        if not runs.kinds and (line := lines.get((runs.entry.method, runs.boxes))) is not None:
            line.insert(0, runs)
    return [lines[place] for place in sorted(lines, key=str)]


def _as_series(metric: str, kind: ErrorKind, lines: Iterable[Sequence[_Runs]], *, measured: bool) -> list[Series]:
    """Return the lines that have two points or more as curves."""
    found = []
    for line in lines:
        sizes = [(runs, runs.declared(kind)) for runs in line]
        places = [runs.missed if measured else declared for runs, declared in sizes]
        points = [
            runs.point(metric, x, declared) for (runs, declared), x in zip(sizes, places, strict=True) if x is not None
        ]
        present = sorted((point for point in points if point is not None), key=lambda point: point.x)
        if len(present) > 1:
            found.append(Series(_label(line), tuple(present)))
    return found


def _label(line: Sequence[_Runs]) -> str:
    """Return method and detector; the detector's id where no run shows the boxes as they are."""
    perturbation = line[0].records[0].perturbation
    return line[0].label if perturbation is None else f"{line[0].entry.method} · {perturbation.detector}"


def _detectors(metric: str, lines: Sequence[Sequence[_Runs]], entries: Sequence[_Runs]) -> list[Series]:
    """Return the methods that have a curve with the boxes of other detectors, where these miss as many objects."""
    methods = {line[0].entry.method for line in lines}
    drawn = {(runs.entry.method, runs.entry.detector) for line in lines for runs in line}
    others = [
        runs
        for runs in entries
        if runs.entry.method in methods
        and not runs.kinds
        and runs.missed is not None
        and (runs.entry.method, runs.entry.detector) not in drawn
    ]
    points = [(runs.label, runs.point(metric, runs.missed or 0.0)) for runs in others]
    return [Series(label, (point,), "detector") for label, point in sorted(points, key=str) if point is not None]


def _references(metric: str, entries: Sequence[_Runs], ends: tuple[float, float]) -> list[Series]:
    """Return the methods that look at no boxes, whose score is the same at both ends of the axis."""
    found = []
    for runs in sorted(entries, key=lambda runs: runs.label):
        points = [runs.point(metric, x) for x in ends] if runs.entry.detector == "none" else []
        if present := tuple(point for point in points if point is not None):
            found.append(Series(f"{runs.label} (looks at no boxes)", present, "reference"))
    return found
