"""Two methods of an output folder on the same pictures: how far apart, how surely, and where most. Knows no torch."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.board import LEVEL_WORDS, run_key
from bench.catalog import known
from bench.errors import CommandError, MissingError, UsageError
from bench.leaderboard import finished_runs, runs_of_dataset
from bench.observations import Observations, Paired, mean_over_seeds, pair, read_observations, score_of
from bench.ranking import DEFAULT_SORT, exact_name, name_groups
from bench.record import RunRecord
from bench.scoring.metrics import METRICS, Level, Metric
from bench.statistics import Floats, PairedDifference, paired_difference

MOST_IMAGES = 10

Run = tuple[Path, RunRecord]


@dataclass(frozen=True, slots=True)
class Side:
    """Hold one of the two methods, `<method>--<detector>`, with its runs, one a seed.

    Where runs of one method differ in more than their seed, `#` and the first digits of a run id follow the method.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def records(self) -> list[RunRecord]:
        """Return the records of the runs, in order of their seeds."""
        return [record for _, record in self.runs]


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """Hold both scores of one picture, at instance level the means over the instances that both have."""

    image: str
    a: float
    b: float
    difference: float


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """Hold what is known of two methods on the pictures that both have; differences are `a` less `b`.

    Attributes:
        means: of both, over those pictures or instances; None without any.
        found: the differences, with interval and test.
        images: all pictures, from the one where `a` is highest above `b` to the one where it is furthest below.
        missing: how many pictures or instances only `a` has, and only `b`.
    """

    level: Level
    metric: Metric
    a: Side
    b: Side
    means: tuple[float | None, float | None]
    found: PairedDifference
    images: tuple[ImageDifference, ...]
    missing: tuple[int, int]

    @property
    def title(self) -> str:
        """Return dataset, protocol, level and metric in words."""
        record = self.a.records[0]
        return f"{record.dataset}, {record.protocol}, {LEVEL_WORDS[self.level]}, {self.metric.title}"

    @property
    def win_rate(self) -> float | None:
        """Return the share of pictures on which `a` is better, ties half; None where only a set is better."""
        above = self.found.above
        if above is None or self.metric.direction == "truth":
            return None
        return above if self.metric.direction == "higher" else 1 - above

    @property
    def above(self) -> list[ImageDifference]:
        """Return the pictures where `a` is highest above `b`, the largest difference first."""
        return [image for image in self.images[:MOST_IMAGES] if image.difference > 0]

    @property
    def below(self) -> list[ImageDifference]:
        """Return the pictures where `a` is furthest below `b`, the largest difference first."""
        return [image for image in self.images[: -MOST_IMAGES - 1 : -1] if image.difference < 0]


def compare_methods(
    folder: Path,
    a: str,
    b: str,
    *,
    metric: str = DEFAULT_SORT,
    level: Level = "image",
    dataset: str | None = None,
) -> MethodComparison:
    """Compare two methods picture by picture; of several seeds the mean of each picture.

    Args:
        folder: output folder of runs.
        a: a method's name as the leaderboard has it, with or without `--<detector>`.
        b: the other one.
        metric: by which they are compared.
        level: whole pictures or instances.
        dataset: may be left out where there is one.

    Raises:
        UsageError: A name is unknown or stands for several things, or the runs cannot be compared.
        MissingError: There is no finished run, or none of these has the metric.
        CommandError: The tables of a run are not those of its record.
    """
    if METRICS[metric].of_set:
        raise UsageError(f"{metric} is a score of a whole set, which no picture has: give --metric another one")
    runs = runs_of_dataset(finished_runs([folder]), dataset)
    first, second = _find(runs, a), _find(runs, b)
    _check_comparable(first, second)
    scores = [_observations(side, level, metric) for side in (first, second)]
    return compare_sides(first, second, scores, metric=metric, level=level)


def compare_sides(a: Side, b: Side, scores: Sequence[Observations], *, metric: str, level: Level) -> MethodComparison:
    """Compare two methods of one board by the scores of each, means over their seeds."""
    paired = pair(scores)
    both = np.isnan(paired.scores).sum(axis=1) == 0
    common = paired.scores[both]
    differences = common[:, 0] - common[:, 1]
    means = [math.fsum(column.tolist()) / len(column) if len(column) else None for column in common.T]
    alone = (~np.isnan(paired.scores[~both])).sum(axis=0)
    return MethodComparison(
        level=level,
        metric=METRICS[metric],
        a=a,
        b=b,
        means=(means[0], means[1]),
        found=paired_difference(differences, paired.pictures[both]),
        images=_image_differences(paired, common, both),
        missing=(int(alone[0]), int(alone[1])),
    )


def _find(runs: Sequence[Run], name: str) -> Side:
    """Return the runs of a method that is named as in the leaderboard, alone or with its detector."""
    folders = {run_key(record): folder for folder, record in runs}
    names: set[str] = set()
    meant: dict[str, list[RunRecord]] = {}
    for full, records in _sides([record for _, record in runs]):
        method, detector = records[0].method, records[0].detector
        called = {full, f"{full}--{detector}", method, f"{method}--{detector}"}
        names |= called
        if name in called:
            meant[f"{full}--{detector}"] = records
    known("method of these runs", name, names)
    if len(meant) > 1:
        raise UsageError(f"{name} stands for {' and '.join(sorted(meant))}: say which")
    ((full, records),) = meant.items()
    return Side(full, tuple((folders[run_key(record)], record) for record in records))


def _sides(records: Sequence[RunRecord]) -> list[tuple[str, list[RunRecord]]]:
    """Return the runs of each entry of the leaderboard; whole and partial ones of one name are told apart, too."""
    groups = name_groups(records)
    counts = Counter((name, runs[0].detector) for name, runs in groups)
    return [(name if counts[name, runs[0].detector] == 1 else exact_name(runs[0]), runs) for name, runs in groups]


def _check_comparable(a: Side, b: Side) -> None:
    """Refuse what no difference means anything of.

    Raises:
        UsageError: Both are the same, or were scored under other protocols or on other pictures.
    """
    if a.name == b.name:
        raise UsageError(f"both names stand for {a.name}: give two methods")
    records = [*a.records, *b.records]
    protocols = {(record.protocol, record.protocol_sha256) for record in records}
    if len(protocols) > 1:
        names = [f"{name} ({digest[:8]})" for name, digest in sorted(protocols)]
        raise UsageError(f"{a.name} and {b.name} were scored under several protocols, {' and '.join(names)}")
    digests = sorted({record.digests.dataset[:8] for record in records})
    if len(digests) > 1:
        raise UsageError(
            f"{a.name} and {b.name} were scored on other pictures or annotations, though all are called "
            f"{records[0].dataset}: the digests of the data begin with {' and '.join(digests)}"
        )


def _observations(side: Side, level: Level, metric: str) -> Observations:
    return mean_over_seeds([_run_observations(side, run, level, metric) for run in side.runs])


def _run_observations(side: Side, run: Run, level: Level, metric: str) -> Observations:
    folder, record = run
    has = [name for name in METRICS if (score := score_of(record, level, name)) and score.mean is not None]
    if metric not in has:
        raise MissingError(
            f"{side.name} has no {metric} of {LEVEL_WORDS[level]} with seed {record.seed}, but "
            f"{', '.join(has) or 'no score at all'}"
        )
    found = read_observations(folder, record, level, metric)
    if found is None:
        raise CommandError(
            f"the tables in {folder} are not there or do not give the mean {metric} of its record; give the same "
            "command that made them again: it writes the tables of finished runs anew"
        )
    return found


def _image_differences(paired: Paired, common: Floats, both: NDArray[np.bool_]) -> tuple[ImageDifference, ...]:
    """Return both scores of each picture, the one where the first is highest above the second first."""
    pictures = paired.pictures[both]
    counts = np.bincount(pictures, minlength=len(paired.names))
    sums = [np.bincount(pictures, weights=column, minlength=len(paired.names)) for column in common.T]
    images = [
        ImageDifference(name, a / count, b / count, (a - b) / count)
        for name, count, a, b in zip(paired.names, counts.tolist(), *(each.tolist() for each in sums), strict=True)
        if count
    ]
    return tuple(sorted(images, key=lambda image: (-image.difference, image.image)))
