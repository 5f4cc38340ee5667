"""Scores by category, by COCO size and by number of instances: a pure function of a run's rows."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.files import atomic_write
from bench.rows import Row, Scores, read_rows
from bench.scoring.metrics import METRICS, Level
from bench.statistics import Floats, bootstrap_intervals
from bench.tables import Cell, read_table, table_to_csv

FILE = "breakdown.csv"
By = Literal["category", "size", "instances"]
LEVEL_OF: Mapping[By, Level] = {"category": "instance", "size": "instance", "instances": "image"}
SIZES = ("small", "medium", "large")
NUMBERS = (("0", 0), ("1", 1), ("2-4", 4), ("5-8", 8), ("9 and more", float("inf")))
"""Names of groups by number of scored instances, each with the most that it takes."""
FIRST_COLUMNS = ("by", "group", "level", "images", "instances")
METRIC_COLUMNS = ("", "_low", "_high")


@dataclass(frozen=True, slots=True)
class Mean:
    """Hold a mean with its 95 % bootstrap interval over pictures; None for all without any score."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Hold the scores of some pictures or instances of a run.

    Attributes:
        by: what parts them.
        name: category, size, or number of scored instances of the picture.
        images: pictures that are in it, or whose instances are.
        instances: scored ones that are in it, or on its pictures.
        scores: by metric.
    """

    by: By
    name: str
    images: int
    instances: int
    scores: Mapping[str, Mean]


def break_down(rows: Iterable[Row], metrics: Sequence[str]) -> list[Group]:
    """Part the pictures and the instances that enter a run's means, in three ways.

    Categories stand in order of their names, an unnamed one as `category` with its id. Groups of nothing are left out.
    """
    ranked = sorted((row for row in rows if row.status == "ok"), key=lambda row: row.image)
    categories: dict[str, dict[str, list[Scores]]] = defaultdict(dict)
    sizes: dict[str, dict[str, list[Scores]]] = {size: {} for size in SIZES}
    for row in ranked:
        for each in row.instances:
            name = each.category or f"category {each.category_id}"
            categories[name].setdefault(row.image, []).append(each.scores)
            sizes[each.size].setdefault(row.image, []).append(each.scores)
    parts: list[tuple[By, str, Mapping[str, list[Scores]]]] = [
        *(("category", name, categories[name]) for name in sorted(categories)),
        *(("size", name, pictures) for name, pictures in sizes.items()),
    ]
    groups = [_group(by, name, pictures, metrics) for by, name, pictures in parts if pictures]
    return groups + _by_number(ranked, metrics)


def _group(by: By, name: str, pictures: Mapping[str, list[Scores]], metrics: Sequence[str]) -> Group:
    instances = sum(map(len, pictures.values()))
    return Group(by, name, len(pictures), instances, _means(list(pictures.values()), metrics))


def _by_number(rows: Sequence[Row], metrics: Sequence[str]) -> list[Group]:
    """Part pictures by the number of their scored instances."""
    found: dict[str, list[Row]] = {name: [] for name, _ in NUMBERS}
    for row in rows:
        found[next(name for name, most in NUMBERS if row.n_instances <= most)].append(row)
    return [
        Group(
            by="instances",
            name=name,
            images=len(members),
            instances=sum(row.n_instances for row in members),
            scores=_means([[row.scores] for row in members], metrics),
        )
        for name, members in found.items()
        if members
    ]


def _means(pictures: Sequence[Sequence[Scores]], metrics: Sequence[str]) -> dict[str, Mean]:
    """Return the mean of each metric.

    Args:
        pictures: the scores of one unit or more, picture by picture.
        metrics: that are wanted.
    """
    place = np.repeat(np.arange(len(pictures)), [len(picture) for picture in pictures])
    table = np.array([[unit.get(name) for name in metrics] for picture in pictures for unit in picture], np.float64)
    means = column_means(table.reshape(len(place), len(metrics)), place)
    return dict(zip(metrics, means, strict=True))


def column_means(table: Floats, pictures: NDArray[np.intp]) -> list[Mean]:
    """Return the mean of each column; those that the same units have share the draws of the bootstrap.

    Args:
        table: (units, columns), NaN where a unit has no number.
        pictures: (units,) the number of the picture that each unit belongs to.
    """
    alike: dict[bytes, list[int]] = defaultdict(list)
    for column in range(table.shape[1]):
        alike[(~np.isnan(table[:, column])).tobytes()].append(column)
    means: dict[int, Mean] = {}
    for mask, columns in alike.items():
        present = np.frombuffer(mask, np.bool_)
        means |= dict(zip(columns, _column_means(table[present][:, columns], pictures[present]), strict=True))
    return [means[column] for column in range(table.shape[1])]


def _column_means(values: Floats, pictures: NDArray[np.intp]) -> list[Mean]:
    """Return the mean of each column of (units, columns), whose units belong to `pictures`, (units,)."""
    if not len(values):
        return [Mean(None, None, None)] * values.shape[1]
    _, place = np.unique(pictures, return_inverse=True)
    sums = np.column_stack([np.bincount(place, weights=column) for column in values.T])
    intervals = bootstrap_intervals(sums, np.bincount(place))
    return [
        Mean(math.fsum(column.tolist()) / len(column), low, high)
        for column, (low, high) in zip(values.T, intervals, strict=True)
    ]


def write_breakdown(rows: Iterable[Row], path: Path, metrics: Sequence[str]) -> None:
    """Replace `path` by `breakdown_csv`."""
    atomic_write(path, breakdown_csv(rows, metrics))


def breakdown_csv(rows: Iterable[Row], metrics: Sequence[str]) -> str:
    """Return the text of `breakdown.csv`: a line a group, with each metric that single pictures have."""
    single = [metric for metric in metrics if not METRICS[metric].of_set]
    columns = [*FIRST_COLUMNS, *(f"{metric}{part}" for metric in single for part in METRIC_COLUMNS)]
    return table_to_csv(columns, [_line(group, single) for group in break_down(rows, single)])


def _line(group: Group, metrics: Sequence[str]) -> list[Cell]:
    line: list[Cell] = [group.by, group.name, LEVEL_OF[group.by], group.images, group.instances]
    for metric in metrics:
        mean = group.scores[metric]
        line += [mean.mean, mean.low, mean.high]
    return line


def read_breakdown(path: Path, by: By) -> list[Group]:
    """Read one of the parts of `breakdown.csv`.

    Raises:
        OSError: There is no such file.
        ValueError: It holds something else.
    """
    return [_parse(line, by) for line in read_table(path) if line.get("by") == by]


def run_groups(folder: Path, run_id: str, by: By) -> list[Group]:
    """Return one of the parts of a run: from its `breakdown.csv`, and where there is none, as in old runs, of its rows.

    Raises:
        OSError: There is neither the file nor any row.
        ValueError: The file holds something else.
        RowError: The rows are broken, or those of another run.
    """
    try:
        return read_breakdown(folder / FILE, by)
    except FileNotFoundError:
        found = _groups_of_rows(folder, run_id)
        if not found:
            raise
        return [group for group in found if group.by == by]


@cache
def _groups_of_rows(folder: Path, run_id: str) -> tuple[Group, ...]:
    """Break a finished run down once for all parts and metrics; nothing changes its rows."""
    metrics = [metric.id for metric in METRICS.values() if not metric.of_set]
    return tuple(break_down(read_rows(folder, run_id).values(), metrics))


def _parse(line: Mapping[str, str], by: By) -> Group:
    try:
        images, instances = int(line["images"]), int(line["instances"])
        ends = {name: float(cell) if cell else None for name, cell in line.items() if name not in FIRST_COLUMNS}
        metrics = [name for name in ends if name in METRICS]
        scores = {each: Mean(ends[each], ends[f"{each}_low"], ends[f"{each}_high"]) for each in metrics}
        return Group(by, line["group"], images, instances, scores)
    except (KeyError, TypeError) as error:
        raise ValueError(f"a line of a breakdown lacks {error}") from error
