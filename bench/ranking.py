"""From records to ranked boards, one for each dataset, protocol and level. Pure functions, without torch or files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.record import RunRecord, Score
from bench.scoring.metrics import METRICS, Level, Metric

if TYPE_CHECKING:
    import pandas as pd

LEVELS: tuple[Level, ...] = ("image", "instance")
DEFAULT_SORT = "psnr"
PLACE_COLUMNS = ("dataset", "protocol", "level", "rank", "tie_group")
FIRST_COLUMNS = (*PLACE_COLUMNS, "method", "detector", "seeds", "n", "partial", "untrained")
METRIC_COLUMNS = ("", "_low", "_high", "_rank")


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold one score of one method.

    Attributes:
        mean: over pictures or instances, and over seeds; None where the method has no such score.
        low: lower end of the 95 % interval, `high` the upper; of several seeds the outermost ends.
        rank: among the ranked methods of the board by this metric, equal means share one; None for the others.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one line of a board: a method with a detector, over its seeds.

    Attributes:
        n: pictures or instances that entered the mean; of several seeds the fewest.
        failed: pictures without scores because of an error, over all seeds.
        rank: by the board's sorting metric; None for partial and untrained runs and for those without a score.
    """

    method: str
    detector: str
    seeds: int
    n: int
    failed: int
    partial: bool
    untrained: bool
    scores: Mapping[str, Cell]
    rank: int | None = None

    @property
    def notes(self) -> list[str]:
        """Return what a reader must know beside the numbers."""
        marks = {"partial": self.partial, "untrained": self.untrained, f"{self.failed} failed": self.failed > 0}
        return [text for text, holds in marks.items() if holds]


@dataclass(frozen=True, slots=True)
class Board:
    """Hold all methods that may be compared with each other, best first.

    `metrics` are those that any of its entries has, in the order of the table of metrics.
    """

    dataset: str
    protocol: str
    level: Level
    sort: str
    metrics: tuple[Metric, ...]
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """Return dataset, protocol and level in words."""
        return f"{self.dataset}, {self.protocol}, {'whole images' if self.level == 'image' else 'instances'}"


def rank_records(
    records: Iterable[RunRecord], *, sort: str = DEFAULT_SORT, levels: Sequence[str] = LEVELS
) -> list[Board]:
    """Rank the runs of each dataset and protocol, at each level.

    Runs of one method and detector with different seeds are one entry with the mean over them, unless their settings,
    their networks' sizes or their precision differ; partial and untrained runs are entries of their own, below the
    others and without rank. Runs on other pictures, or under a protocol of other content, never share a board, even if
    they share a name: then `#` and the digest's first digits follow it.
    """
    unique = list({record.run_id: record for record in records}.values())
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    names = _names(unique)
    for record in unique:
        groups.setdefault(names[record.run_id], []).append(record)
    boards = [
        _board(dataset, protocol, level, groups[dataset, protocol], sort)
        for dataset, protocol in sorted(groups)
        for level in LEVELS
        if level in levels
    ]
    return [board for board in boards if board.level == "image" or board.metrics]


def _names(records: Sequence[RunRecord]) -> dict[str, tuple[str, str]]:
    """Return dataset and protocol of each run, told apart by digest where one name stands for several things."""
    datasets: dict[str, set[str]] = {}
    protocols: dict[str, set[str]] = {}
    for record in records:
        datasets.setdefault(record.dataset, set()).add(record.digests.dataset)
        protocols.setdefault(record.protocol, set()).add(record.protocol_sha256)

    def name(known: Mapping[str, set[str]], given: str, digest: str) -> str:
        return given if len(known[given]) == 1 else f"{given}#{digest[:8]}"

    return {
        record.run_id: (
            name(datasets, record.dataset, record.digests.dataset),
            name(protocols, record.protocol, record.protocol_sha256),
        )
        for record in records
    }


def _board(dataset: str, protocol: str, level: Level, records: Sequence[RunRecord], sort: str) -> Board:
    groups: dict[tuple[str, str, bool, bool], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.method, record.detector, record.partial, record.untrained), []).append(record)
    entries = [entry for group in groups.values() for entry in _entries(group, level, sort)]
    present = {name for entry in entries for name, cell in entry.scores.items() if cell.mean is not None}
    metrics = tuple(metric for name, metric in METRICS.items() if name in present)
    for metric in metrics:
        entries = _with_metric_ranks(entries, metric)
    ranked = [_with_rank(entry, sort) for entry in entries]
    ordered = sorted(ranked, key=lambda entry: (entry.rank or math.inf, entry.method, entry.detector, entry.notes))
    return Board(dataset, protocol, level, sort, metrics, tuple(ordered))


def _entries(records: Sequence[RunRecord], level: Level, sort: str) -> list[Entry]:
    """Return one entry of all seeds; runs that differ in more than their seed are entries told apart by run id."""
    repeated = _repeated(records)
    if len(repeated) == 1:
        return [_entry(records[0].method, records, level, sort)]
    return [_entry(f"{runs[0].method}#{runs[0].run_id[:8]}", runs, level, sort) for runs in repeated]


def _repeated(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Group the runs that can be one thing with several seeds: alike but for the seed, which all differ in."""
    kinds: dict[tuple[object, ...], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.seed, record.run_id)):
        alike = (*sorted(record.parameters.items()), record.precision, record.digests.settings)
        kinds.setdefault(alike, []).append(record)
    groups: list[list[RunRecord]] = []
    for runs in kinds.values():
        alone = len({record.seed for record in runs}) < len(runs)
        groups += [[record] for record in runs] if alone else [runs]
    return groups


def _entry(method: str, records: Sequence[RunRecord], level: Level, sort: str) -> Entry:
    scores = [record.image if level == "image" else record.instance for record in records]
    first = records[0]
    return Entry(
        method=method,
        detector=first.detector,
        seeds=len(records),
        n=min(_count(part, sort) for part in scores),
        failed=sum(record.counts.failed for record in records),
        partial=first.partial,
        untrained=first.untrained,
        scores={name: _cell([part.get(name) for part in scores]) for name in METRICS if any(name in p for p in scores)},
    )


def _count(scores: Mapping[str, Score], sort: str) -> int:
    """Return over how many pictures or instances the sorting metric's mean is, else over how many at most."""
    return (scores[sort].n if sort in scores else 0) or max((score.n for score in scores.values()), default=0)


def _cell(scores: Sequence[Score | None]) -> Cell:
    """Return the mean over seeds; None unless every seed has the score."""
    means = [score.mean for score in scores if score is not None and score.mean is not None]
    if len(means) < len(scores):
        return Cell(None)
    lows = [score.low for score in scores if score is not None and score.low is not None]
    highs = [score.high for score in scores if score is not None and score.high is not None]
    return Cell(math.fsum(means) / len(means), min(lows, default=None), max(highs, default=None))


def _with_metric_ranks(entries: Sequence[Entry], metric: Metric) -> list[Entry]:
    """Rank all whole, trained entries by one metric; equal means share the better rank."""
    sign = -1 if metric.direction == "higher" else 1
    keys = {
        index: sign * mean
        for index, entry in enumerate(entries)
        if not entry.partial and not entry.untrained and (mean := _mean(entry, metric.id)) is not None
    }
    ranks = {index: 1 + sum(other < key for other in keys.values()) for index, key in keys.items()}
    return [_with_cell_rank(entry, metric.id, ranks.get(index)) for index, entry in enumerate(entries)]


def _mean(entry: Entry, metric: str) -> float | None:
    return entry.scores[metric].mean if metric in entry.scores else None


def _with_cell_rank(entry: Entry, metric: str, rank: int | None) -> Entry:
    cell = entry.scores.get(metric, Cell(None))
    ranked = Cell(cell.mean, cell.low, cell.high, rank)
    return replace(entry, scores={**entry.scores, metric: ranked})


def _with_rank(entry: Entry, sort: str) -> Entry:
    return replace(entry, rank=entry.scores[sort].rank if sort in entry.scores else None)


def columns_of(boards: Sequence[Board]) -> list[str]:
    """Return the columns of `leaderboard.csv`."""
    return [*FIRST_COLUMNS, *(f"{metric}{part}" for metric in _metrics_of(boards) for part in METRIC_COLUMNS)]


def to_lines(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """Return one flat mapping an entry, with the columns of `leaderboard.csv`; what is missing is None.

    `tie_group` is the rank for now: entries with equal means share both.
    """
    metrics = _metrics_of(boards)
    return [_line(board, entry, metrics) for board in boards for entry in board.entries]


def to_frame(boards: Sequence[Board]) -> "pd.DataFrame":
    """Return the same as a pandas table, for a notebook; what is missing is NaN."""
    import pandas as pd

    lines = [{name: math.nan if value is None else value for name, value in line.items()} for line in to_lines(boards)]
    return pd.DataFrame(lines, columns=columns_of(boards))


def _metrics_of(boards: Sequence[Board]) -> list[str]:
    return [name for name in METRICS if any(metric.id == name for board in boards for metric in board.metrics)]


def _line(board: Board, entry: Entry, metrics: Sequence[str]) -> dict[str, Any]:
    place = (board.dataset, board.protocol, board.level, entry.rank, entry.rank)
    facts = (entry.method, entry.detector, entry.seeds, entry.n, entry.partial, entry.untrained)
    line: dict[str, Any] = dict(zip(FIRST_COLUMNS, (*place, *facts), strict=True))
    for name in metrics:
        cell = entry.scores.get(name, Cell(None))
        values = (cell.mean, cell.low, cell.high, cell.rank)
        line |= {f"{name}{part}": value for part, value in zip(METRIC_COLUMNS, values, strict=True)}
    return line
