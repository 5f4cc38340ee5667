"""From records to ranked boards, one for each dataset, protocol and level. Pure functions, without torch or files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.board import Board, Cell, Cost, Entry, RunKey, full_count, run_key
from bench.box_errors import ERROR_KINDS, BoxErrors
from bench.observations import Observations, mean_over_seeds, pair
from bench.record import RunRecord, Score
from bench.scoring.metrics import METRICS, Level, Metric
from bench.statistics import tie_groups
from bench.tracks import AUTOMATIC, track_order

if TYPE_CHECKING:
    import pandas as pd

LEVELS: tuple[Level, ...] = ("image", "instance")
DEFAULT_SORT = "psnr"
PLACE_COLUMNS = ("dataset", "protocol", "level", "rank", "tie_group")
FIRST_COLUMNS = (*PLACE_COLUMNS, "method", "detector", "seeds", "n", "partial", "untrained")
METRIC_COLUMNS = ("", "_low", "_high", "_rank")
CONDITION_COLUMNS = ("hints", "box_errors")
TRACK_COLUMNS = ("track",)
COST_COLUMNS = ("images_per_second", "parameters", "gmacs")
PUBLISHED_COLUMNS = ("published", "verified")


def rank_records(
    records: Iterable[RunRecord],
    *,
    sort: str = DEFAULT_SORT,
    levels: Sequence[str] = LEVELS,
    observations: Mapping[Level, Mapping[RunKey, Observations]] = MappingProxyType({}),
) -> list[Board]:
    """Rank the runs of each dataset and protocol, at each level.

    Runs of one method and detector with different seeds are one entry with the mean over them, unless their settings,
    their networks' sizes or their precision differ. Partial and untrained runs are entries of their own, below the
    others and without rank; so are runs with boxes that were made worse on purpose. Runs that saw more than light and
    boxes are ranked below those that did not, each track by itself. Without rank are, by each metric, those whose mean
    is over fewer pictures than others': the ones that failed may be the hard ones. What no method could score harms
    none. Runs on other pictures, or under a protocol of other content,
    never share a board, even if they share a name: then `#` and the digest's first digits follow it.

    Args:
        records: of finished runs.
        sort: the metric that ranks.
        levels: which of `LEVELS` are wanted.
        observations: scores of single pictures or instances by the sorting metric, by level and run; what is not here
            is in no tie group.
    """
    unique = list({run_key(record): record for record in records}.values())
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    names = _names(unique)
    for record in unique:
        groups.setdefault(names[run_key(record)], []).append(record)
    boards = [
        _board(dataset, protocol, level, groups[dataset, protocol], sort, observations.get(level, {}))
        for dataset, protocol in sorted(groups)
        for level in LEVELS
        if level in levels
    ]
    return [board for board in boards if board.level == "image" or board.metrics]


def _names(records: Sequence[RunRecord]) -> dict[RunKey, tuple[str, str]]:
    """Return dataset and protocol of each run, told apart by digest where one name stands for several things."""
    datasets: dict[str, set[str]] = {}
    protocols: dict[str, set[str]] = {}
    for record in records:
        datasets.setdefault(record.dataset, set()).add(record.digests.dataset)
        protocols.setdefault(record.protocol, set()).add(record.protocol_sha256)

    def name(known: Mapping[str, set[str]], given: str, digest: str) -> str:
        return given if len(known[given]) == 1 else f"{given}#{digest[:8]}"

    return {
        run_key(record): (
            name(datasets, record.dataset, record.digests.dataset),
            name(protocols, record.protocol, record.protocol_sha256),
        )
        for record in records
    }


def _board(
    dataset: str,
    protocol: str,
    level: Level,
    records: Sequence[RunRecord],
    sort: str,
    observations: Mapping[RunKey, Observations],
) -> Board:
    entries = [_entry(name, runs, level, sort) for name, runs in name_groups(records)]
    present = {name for entry in entries for name, cell in entry.scores.items() if cell.mean is not None}
    metrics = tuple(METRICS[name] for name in METRICS if name in present)
    tracks = sorted({entry.track for entry in entries}, key=track_order)
    parts = [[entry for entry in entries if entry.track == track] for track in tracks]
    ranked = [entry for part in parts for entry in _ranked(part, metrics, sort, observations)]
    return Board(dataset, protocol, level, sort, metrics, tuple(ranked))


def _ranked(
    entries: Sequence[Entry], metrics: Sequence[Metric], sort: str, observations: Mapping[RunKey, Observations]
) -> list[Entry]:
    """Rank the entries of one track, best first."""
    for metric in metrics:
        entries = _with_metric_ranks(entries, metric)
    ranked = [_with_rank(entry, sort) for entry in entries]
    ordered = sorted(ranked, key=lambda entry: (entry.rank or math.inf, entry.method, entry.detector, entry.notes))
    return ordered if METRICS[sort].direction == "truth" else _with_tie_groups(ordered, observations)


def name_groups(records: Sequence[RunRecord]) -> list[tuple[str, list[RunRecord]]]:
    """Return the runs of each entry of a board with its name.

    It is the method's; where runs of one method and detector differ in more than their seed, `#` and the first digits
    of a run id follow it.
    """
    groups: dict[tuple[str, str, bool, bool], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.method, record.detector, record.partial, record.untrained), []).append(record)
    named = []
    for group in groups.values():
        alike = _group_seeds(group)
        named += [(exact_name(runs[0]) if len(alike) > 1 else runs[0].method, runs) for runs in alike]
    return named


def exact_name(record: RunRecord) -> str:
    """Return the method with the first digits of the run id."""
    return f"{record.method}#{record.run_id[:8]}"


def _group_seeds(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Group the runs that can be one thing with several seeds: alike but for the seed, which all differ in."""
    kinds: dict[tuple[object, ...], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.seed, record.run_id)):
        conditions = (record.hints, record.ranked_in, _errors(record))
        alike = (*sorted(record.parameters.items()), record.precision, record.digests.settings, conditions)
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
        runs=tuple(map(run_key, records)),
        cost=_cost(records),
        hints=first.hints or 0,
        errors=_errors(first),
        detector_id=_detector_id(first),
        track=first.ranked_in,
    )


def _errors(record: RunRecord) -> BoxErrors | None:
    """Return which errors were made to the boxes of a run, whose boxes they were aside."""
    made = record.perturbation
    return None if made is None else BoxErrors.model_validate({kind: made.size(kind) for kind in ERROR_KINDS})


def _detector_id(record: RunRecord) -> str:
    made = record.perturbation
    return record.detector_id or (record.detector if made is None else made.detector)


def _cost(records: Sequence[RunRecord]) -> Cost:
    """Return what a method costs; of a folder that was scored, nothing is known of what made its pictures."""
    first = records[0]
    if first.digests.predictions is not None:
        return Cost()
    speeds = [record.images_per_second for record in records if record.images_per_second is not None]
    speed = math.fsum(speeds) / len(speeds) if speeds else None
    machines = sorted({_machine(record) for record in records})
    return Cost(speed, sum(first.parameters.values()), first.gmacs, tuple(machines))


def _machine(record: RunRecord) -> str:
    return record.device if record.processes == 1 else f"{record.device}, {record.processes} processes"


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
    differences = [score.difference for score in scores if score is not None and score.difference is not None]
    return Cell(
        math.fsum(means) / len(means),
        min(lows, default=None),
        max(highs, default=None),
        difference=math.fsum(differences) / len(means) if len(differences) == len(means) else None,
        n=min(score.n for score in scores if score is not None),
    )


def _with_metric_ranks(entries: Sequence[Entry], metric: Metric) -> list[Entry]:
    """Rank the entries that may compete by one metric; equal means share the better rank."""
    full = full_count(entries, metric)
    cells = [entry.scores.get(metric.id, Cell(None)) for entry in entries]
    keys = {
        index: demerit
        for index, (entry, cell) in enumerate(zip(entries, cells, strict=True))
        if entry.competes and cell.n == full and (demerit := cell.demerit(metric)) is not None
    }
    ranks = places(keys)
    return [
        replace(entry, scores={**entry.scores, metric.id: replace(cell, rank=ranks.get(index))})
        for index, (entry, cell) in enumerate(zip(entries, cells, strict=True))
    ]


def places(demerits: Mapping[int, float]) -> dict[int, int]:
    """Return the place of each by what it lacks, the least first; equals share the better place."""
    return {index: 1 + sum(other < own for other in demerits.values()) for index, own in demerits.items()}


def _with_rank(entry: Entry, sort: str) -> Entry:
    return replace(entry, rank=entry.scores[sort].rank if sort in entry.scores else None)


def _with_tie_groups(entries: Sequence[Entry], observations: Mapping[RunKey, Observations]) -> list[Entry]:
    """Group the ranked entries whose observations are known; of several seeds the mean of each picture is tested."""
    known = [entry for entry in entries if entry.rank is not None and set(entry.runs) <= observations.keys()]
    paired = pair([mean_over_seeds([observations[run] for run in entry.runs]) for entry in known])
    groups = dict(zip([entry.runs for entry in known], tie_groups(paired.scores, paired.pictures), strict=True))
    return [replace(entry, tie_group=groups.get(entry.runs)) for entry in entries]


def columns_of(boards: Sequence[Board]) -> list[str]:
    """Return the columns of `leaderboard.csv`."""
    scores = [f"{metric}{part}" for metric in _metrics_of(boards) for part in METRIC_COLUMNS]
    conditions = CONDITION_COLUMNS if any(entry.conditions for board in boards for entry in board.entries) else ()
    published = PUBLISHED_COLUMNS if any(board.published for board in boards) else ()
    tracks = TRACK_COLUMNS if any(entry.track != AUTOMATIC for board in boards for entry in board.entries) else ()
    return [*FIRST_COLUMNS, *scores, *COST_COLUMNS, *conditions, *published, *tracks]


def to_lines(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """Return one flat mapping an entry, with the columns of `leaderboard.csv`; what is missing is None.

    Published figures stand there once, also where they are shown beside runs under several protocols.
    """
    metrics, columns = _metrics_of(boards), columns_of(boards)
    full = (_line(board, entry, metrics) for board in boards for entry in board.entries)
    lines = [{name: line[name] for name in columns} for line in full]
    return [line for place, line in enumerate(lines) if not line.get("published") or line not in lines[:place]]


def to_frame(boards: Sequence[Board]) -> "pd.DataFrame":
    """Return the same as a pandas table, for a notebook; what is missing is NaN."""
    import pandas as pd

    lines = [{name: math.nan if value is None else value for name, value in line.items()} for line in to_lines(boards)]
    return pd.DataFrame(lines, columns=columns_of(boards))


def _metrics_of(boards: Sequence[Board]) -> list[str]:
    present = {metric.id for board in boards for metric in board.metrics}
    return [name for name in METRICS if name in present] + sorted(present - METRICS.keys())


def _line(board: Board, entry: Entry, metrics: Sequence[str]) -> dict[str, Any]:
    measured = (board.protocol, entry.detector, entry.seeds, entry.n, entry.partial, entry.untrained)
    protocol, detector, *facts = measured if entry.reported is None else (None,) * len(measured)
    place = (board.dataset, protocol, board.level, entry.rank, entry.tie_group)
    line: dict[str, Any] = dict(zip(FIRST_COLUMNS, (*place, entry.method, detector, *facts), strict=True))
    for name in metrics:
        cell = entry.scores.get(name, Cell(None))
        values = (cell.mean, cell.low, cell.high, cell.rank)
        line |= {f"{name}{part}": value for part, value in zip(METRIC_COLUMNS, values, strict=True)}
    line |= {name: getattr(entry.cost, name) for name in COST_COLUMNS}
    conditions = (entry.hints or None, entry.errors.words if entry.errors else None)
    line |= dict(zip(CONDITION_COLUMNS, conditions, strict=True))
    verified = None if entry.reported is None else entry.reported.verification == "verified"
    line |= dict(zip(PUBLISHED_COLUMNS, (entry.source or None, verified), strict=True))
    return line | dict(zip(TRACK_COLUMNS, (entry.track,), strict=True))
