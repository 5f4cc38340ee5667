"""What the report's plots show, as one JSON document: scores of pictures, instances and groups. Knows no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board import Board, Entry, RunKey, run_key
from bench.breakdown import LEVEL_OF, By, Mean
from bench.breakdown_board import BreakdownBoard, GroupScore, break_down_board
from bench.errors import MissingError
from bench.failure_modes import ErrorCurves, Point, error_curves
from bench.hint_curves import HintCurves, hint_curves
from bench.observations import Observations, mean_over_seeds, pair, read_observations
from bench.record import RunRecord
from bench.report.selection import spread
from bench.scoring.metrics import METRICS, Level, Metric
from bench.terminal import visible

MOST_VALUES = 180_000
"""Scores of single pictures that the page holds of one dataset and level; of more, pictures are left out evenly."""
MORE_DECIMALS = 2
PARTS: tuple[By, ...] = ("category", "size", "instances")

Runs = Mapping[RunKey, tuple[Path, RunRecord]]
Json = dict[str, Any]


def plot_data(runs: Sequence[tuple[Path, RunRecord]], boards: Sequence[Board]) -> Json:
    """Return what the page's script draws; names are `visible`, numbers rounded two digits beyond those of tables.

    Args:
        runs: each with its folder, whose tables are read.
        boards: of these runs, at all levels.

    Returns:
        `metrics` by id, and in `sets` each dataset and protocol that has scores of single pictures: the labels of its
        `methods`, the names of its `pictures`, the scores of each metric by method in `levels`, those of `groups`, and
        the curves over `errors` of boxes and over `hints`.
    """
    known = {run_key(record): (folder, record) for folder, record in runs}
    pages = [[board for board in boards if _place(board) == place] for place in dict.fromkeys(map(_place, boards))]
    curves = error_curves(runs)
    sets = [found for page in pages if (found := _plot_set(page, known, curves))["levels"]]
    metrics = {metric.id: _metric(metric) for board in boards for metric in board.metrics}
    return {"metrics": metrics, "sets": sets}


def _place(board: Board) -> tuple[str, str]:
    return board.dataset, board.protocol


def _metric(metric: Metric) -> Json:
    unit = {"name": metric.name, "unit": metric.unit, "decimals": metric.decimals}
    return unit | {"direction": metric.direction, "arrow": metric.arrow}


def run_label(method: str, detector: str) -> str:
    """Return how pages call a run: the method, with its detector if it has one.

    >>> run_label("instcolor-fusion", "yolo")
    'instcolor-fusion · yolo'
    """
    return visible(method if detector == "none" else f"{method} · {detector}")


def _plot_set(boards: Sequence[Board], runs: Runs, curves: Sequence[ErrorCurves]) -> Json:
    """Return one dataset under one protocol, with its methods in the order of the first of its boards."""
    entries = boards[0].entries
    pictures: dict[str, int] = {}
    levels = {board.level: found for board in boards if (found := _level(board, entries, runs, pictures))}
    parted = {by: _groups(board, entries, by, runs) for by in PARTS for board in boards if LEVEL_OF[by] == board.level}
    return {
        "title": visible(f"{boards[0].dataset}, {boards[0].protocol}"),
        "dataset": visible(entries[0].runs[0].dataset),
        "methods": [run_label(entry.method, entry.detector) for entry in entries],
        "notes": [", ".join(entry.notes) for entry in entries],
        "apart": [bool(entry.conditions) for entry in entries],
        "pictures": [visible(name) for name in pictures],
        "levels": levels,
        "groups": {by: found for by, found in parted.items() if found},
        "unparted": None in parted.values(),
        "errors": [_error(curve) for curve in curves if (curve.dataset, curve.protocol) == _place(boards[0])],
        "hints": [_hints(curve) for curve in hint_curves(boards)],
    }


def _error(curves: ErrorCurves) -> Json:
    """Return the curves over one kind of error: of each point its place, the mean and the change with their ends."""
    digits = METRICS[curves.metric].decimals + MORE_DECIMALS
    series = [
        {
            "label": visible(line.label),
            "kind": line.kind,
            "points": [[round(point.x, 4), *_round(_values(point), digits)] for point in line.points],
        }
        for line in curves.series
    ]
    place = {"level": curves.level, "metric": curves.metric, "error": curves.error}
    return place | {"title": curves.x_title, "note": curves.note, "series": series}


def _hints(curves: HintCurves) -> Json:
    """Return the curves over hints: of each point the number of hints, and the mean with its ends."""
    digits = METRICS[curves.metric].decimals + MORE_DECIMALS
    series = [
        {
            "label": visible(curve.label),
            "points": [[point.hints, *_round((point.mean, point.low, point.high), digits)] for point in curve.points],
        }
        for curve in curves.curves
    ]
    return {"level": curves.level, "metric": curves.metric, "series": series}


def _values(point: Point) -> tuple[float | None, ...]:
    """Return mean, low and high, and the same of the change."""
    change = point.change or Mean(None, None, None)
    return point.mean, point.low, point.high, change.mean, change.low, change.high


def _level(board: Board, entries: Sequence[Entry], runs: Runs, pictures: dict[str, int]) -> Json | None:
    """Return the scores at one level, None without any; `pictures` gets the place of each name that it lacks."""
    metrics = [metric for metric in board.metrics if not metric.of_set]
    columns = [_observations(entry, runs, board.level, metric.id) for metric in metrics for entry in entries]
    paired = pair(columns)
    if not paired.units:
        return None
    chosen = spread(range(len(paired.units)), MOST_VALUES // len(columns))
    units = [paired.units[place] for place in chosen]
    level: Json = {
        "total": len(paired.units),
        "pictures": [pictures.setdefault(name, len(pictures)) for name, _ in units],
    }
    if board.level == "instance":
        level["instances"] = [instance for _, instance in units]
    lines = iter(paired.scores[chosen].T)
    level["scores"] = {metric.id: [_rounded(next(lines), metric) for _ in entries] for metric in metrics}
    level["truths"] = {metric.id: truth for metric in metrics if (truth := _truth(board, metric)) is not None}
    return level


def _truth(board: Board, metric: Metric) -> float | None:
    """Return the mean of the truth, for a metric that is best there; of the entry that stands first."""
    cells = [entry.scores[metric.id] for entry in board.entries if metric.id in entry.scores]
    found = [cell.mean - cell.difference for cell in cells if cell.mean is not None and cell.difference is not None]
    return round(found[0], metric.decimals + MORE_DECIMALS) if found else None


def _observations(entry: Entry, runs: Runs, level: Level, metric: str) -> Observations:
    """Return the mean score of each unit over the seeds of an entry; nothing where a seed has none to believe."""
    found = [read_observations(*runs[key], level, metric) for key in entry.runs]
    whole = [scores for scores in found if scores is not None]
    return mean_over_seeds(whole) if len(whole) == len(found) else {}


def _rounded(values: NDArray[np.float64], metric: Metric) -> list[float | None]:
    return _round([None if math.isnan(value) else value for value in values.tolist()], metric.decimals + MORE_DECIMALS)


def _groups(board: Board, entries: Sequence[Entry], by: By, runs: Runs) -> Json | None:
    """Return the scores of the groups of a board, empty where there are none; None where a run has no breakdown."""
    folders = {key: folder for key, (folder, _) in runs.items()}
    metrics = [metric for metric in board.metrics if not metric.of_set]
    try:
        tables = [break_down_board(replace(board, sort=metric.id), by, folders) for metric in metrics]
    except MissingError:
        return None
    names = tables[0].groups if tables else ()
    if not names:
        return {}
    images, instances = zip(*(_most(tables[0], name) for name in names), strict=True)
    scores = {table.metric.id: _group_lines(table, entries) for table in tables}
    return {"names": [*map(visible, names)], "images": images, "instances": instances, "scores": scores}


def _most(table: BreakdownBoard, name: str) -> tuple[int, int]:
    """Return how many images and instances the methods have in a group, the most of them."""
    found = [scores[name] for scores in table.scores if name in scores]
    return max(score.images for score in found), max(score.instances for score in found)


def _group_lines(table: BreakdownBoard, entries: Sequence[Entry]) -> list[list[list[float | None] | None]]:
    """Return mean, low and high of each group, by entry in the order of `entries`."""
    lines = {entry.runs: line for entry, line in zip(table.board.entries, table.scores, strict=True)}
    return [[_ends(lines.get(entry.runs, {}).get(name), table.metric) for name in table.groups] for entry in entries]


def _ends(score: GroupScore | None, metric: Metric) -> list[float | None] | None:
    if score is None or score.cell.mean is None:
        return None
    return _round((score.cell.mean, score.cell.low, score.cell.high), metric.decimals + MORE_DECIMALS)


def _round(values: Sequence[float | None], digits: int) -> list[float | None]:
    return [None if value is None else round(value, digits) for value in values]
