"""The scores of single pictures and instances, which tests compare: read from the tables of runs, and paired.

The tables `images.csv` and `instances.csv` are read, not the rows: 36 000 instances take 0.1 s so, and 0.8 s where all
rows are validated. Tables are believed only where they give the record's mean to the bit.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.record import RunRecord, Score
from bench.scoring.metrics import Level
from bench.tables import unescape_text

Unit = tuple[str, int]
"""A picture and 0, or the picture and id of an instance."""
Observations = Mapping[Unit, float]
"""The scores of one metric that enter a mean."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Hold the scores of several methods side by side.

    Attributes:
        units: n pictures or instances that any method has a score for, sorted.
        names: of the pictures, sorted.
        pictures: (n,) place in `names` of the picture that each unit belongs to.
        scores: (n, methods), NaN where a method has none.
    """

    units: tuple[Unit, ...]
    names: tuple[str, ...]
    pictures: NDArray[np.intp]
    scores: NDArray[np.float64]


def pair(methods: Sequence[Observations]) -> Paired:
    """Put the scores of methods side by side."""
    units = sorted(set[Unit]().union(*methods))
    names = sorted({picture for picture, _ in units})
    place = {name: index for index, name in enumerate(names)}
    columns = [[scores.get(unit, math.nan) for unit in units] for scores in methods]
    table = np.asarray(columns, np.float64).reshape(len(methods), len(units)).T
    return Paired(tuple(units), tuple(names), np.array([place[name] for name, _ in units], np.intp), table)


def mean_over_seeds(runs: Sequence[Observations]) -> Observations:
    """Return the mean score of each unit that all runs have."""
    if len(runs) == 1:
        return runs[0]
    shared = set(runs[0]).intersection(*runs[1:])
    return {unit: math.fsum(run[unit] for run in runs) / len(runs) for unit in shared}


def score_of(record: RunRecord, level: Level, metric: str) -> Score | None:
    """Return the score of a record, None where it has not been measured."""
    return (record.image if level == "image" else record.instance).get(metric)


def read_observations(folder: Path, record: RunRecord, level: Level, metric: str) -> Observations | None:
    """Return the scores behind a mean of a run.

    Args:
        folder: of the run, with its tables.
        record: of the run.
        level: whole pictures or instances.
        metric: which score.

    Returns:
        None where single pictures have no such score, and where the tables are not there or not those of the record.
    """
    score = score_of(record, level, metric)
    if score is None or score.mean is None:
        return None
    try:
        found = dict(_image_scores(folder, metric) if level == "image" else _instance_scores(folder, metric))
    except (OSError, ValueError, IndexError, csv.Error):
        return None
    return found if gives(found, score) else None


def gives(observations: Observations, score: Score) -> bool:
    """Whether scores are those that a mean was taken over; equal to the bit, because `math.fsum` knows no order."""
    n = len(observations)
    return n > 0 and n == score.n and math.fsum(observations.values()) / n == score.mean


def _image_scores(folder: Path, metric: str) -> Iterator[tuple[Unit, float]]:
    for image, status, value in _columns(folder / "images.csv", "image", "status", metric):
        if status == "ok" and value:
            yield (unescape_text(image), 0), float(value)


def _instance_scores(folder: Path, metric: str) -> Iterator[tuple[Unit, float]]:
    images = _columns(folder / "images.csv", "image", "status")
    ranked = {image for image, status in images if status == "ok"}
    for image, instance, value in _columns(folder / "instances.csv", "image", "instance", metric):
        if image in ranked and value:
            yield (unescape_text(image), int(instance)), float(value)


def _columns(path: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """Give the cells of some columns of a table, line by line, as they stand there.

    Raises:
        ValueError: There is no such column.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        yield from map(itemgetter(*map(header.index, names)), lines)
