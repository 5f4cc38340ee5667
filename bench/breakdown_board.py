"""Breakdowns of several methods beside each other: methods x groups by one metric. Knows no torch."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.board import Board, Cell, Entry, RunKey, run_key
from bench.board_text import MISSING, score_cell, tell_detectors
from bench.breakdown import FILE, LEVEL_OF, METRIC_COLUMNS, NUMBERS, SIZES, By, Group, run_groups
from bench.errors import MissingError, UsageError
from bench.formats import FORMATS, Tables, print_tables
from bench.leaderboard import HTML, check_measured, finished_runs
from bench.ranking import DEFAULT_SORT, LEVELS, places, rank_records
from bench.rows import RowError
from bench.scoring.metrics import METRICS, Level, Metric
from bench.sheet import Sheet, SheetCell, SheetLine
from bench.shown import EVERYTHING, Shown

PARTED: Mapping[By, str] = {
    "category": "category of the instance",
    "size": "size of the instance as COCO has it: small below 32² px of the photo, medium below 96²",
    "instances": "number of scored instances of the picture",
}
PLACE_COLUMNS = ("dataset", "protocol", "level", "by", "group", "rank")
FIRST_COLUMNS = (*PLACE_COLUMNS, "method", "detector", "seeds", "partial", "untrained", "images", "instances")


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Hold the score of one method in one group; `images` and `instances` are in it, of several seeds the fewest."""

    images: int
    instances: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class BreakdownBoard:
    """Hold the scores of all methods of a board by group.

    Attributes:
        board: the methods in the order of their ranks by the metric.
        by: what parts the groups.
        groups: their names: sizes and numbers in their order, categories in that of their names.
        scores: for each entry of the board, by group.
    """

    board: Board
    by: By
    groups: tuple[str, ...]
    scores: tuple[Mapping[str, GroupScore], ...]

    @property
    def metric(self) -> Metric:
        """Return the metric that is shown."""
        return METRICS[self.board.sort]


def read_breakdown_boards(
    folders: Sequence[Path],
    by: By,
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
) -> list[BreakdownBoard]:
    """Read what `colorbench run` wrote, one board for each dataset and protocol.

    Args:
        folders: output folders of runs.
        by: what parts the groups.
        levels: that the reader wants to see.
        sort: the metric; `DEFAULT_SORT` where None.
        shown: which of the runs are shown, and ranked among themselves.

    Raises:
        UsageError: The groups are not of such a level, or no single picture has the metric.
        MissingError: There is no finished run, a run has no breakdown, or none has the metric.
    """
    if sort is not None and METRICS[sort].of_set:
        raise UsageError(f"{sort} is a score of a whole set, which has no parts: give --sort another metric")
    fitting = LEVEL_OF[by]
    if fitting not in levels:
        raise UsageError(f"--by {by} parts {fitting}s, so --level {levels[0]} has no such table: leave --level out")
    runs = shown.of(finished_runs(folders))
    boards = rank_records([record for _, record in runs], sort=sort or DEFAULT_SORT, levels=[fitting])
    found = {run_key(record): folder for folder, record in runs}
    chosen = [replace(board, detectors=shown.detectors) for board in check_measured(boards, folders, sort)]
    return [break_down_board(part, by, found) for board in chosen for part in board.parts]


def break_down_board(board: Board, by: By, folders: Mapping[RunKey, Path]) -> BreakdownBoard:
    """Add the groups of each entry's runs to a board; `folders` holds those of the runs.

    Raises:
        MissingError: A run has no breakdown that can be read.
    """
    found = [[_read(folders[run], run.run_id, by) for run in entry.runs] for entry in board.entries]
    scores = [_mean_over_seeds(runs, board.sort) for runs in found]
    names = {name for groups in scores for name in groups}
    known = {"category": sorted(names), "size": SIZES, "instances": [name for name, _ in NUMBERS]}[by]
    groups = tuple(name for name in known if name in names)
    return BreakdownBoard(board, by, groups, _with_ranks(board, groups, scores))


def _read(folder: Path, run_id: str, by: By) -> dict[str, Group]:
    try:
        return {group.name: group for group in run_groups(folder, run_id, by)}
    except (OSError, ValueError, RowError) as error:
        raise MissingError(
            f"{folder} has no {FILE} that can be read ({error}); give the same `colorbench run` command again: it "
            "writes the tables of finished runs anew"
        ) from error


def _mean_over_seeds(runs: Sequence[Mapping[str, Group]], metric: str) -> dict[str, GroupScore]:
    """Return the score of each group that all seeds have: the mean of their means, the outermost ends."""
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: _group_score([run[name] for run in runs], metric) for name in shared}


def _group_score(groups: Sequence[Group], metric: str) -> GroupScore:
    scores = [group.scores[metric] for group in groups if metric in group.scores]
    means = [score.mean for score in scores if score.mean is not None]
    lows = [score.low for score in scores if score.low is not None]
    highs = [score.high for score in scores if score.high is not None]
    mean = math.fsum(means) / len(means) if len(means) == len(groups) else None
    cell = Cell(mean, min(lows, default=None), max(highs, default=None))
    return GroupScore(min(group.images for group in groups), min(group.instances for group in groups), cell)


def _with_ranks(
    board: Board, groups: Sequence[str], scores: Sequence[Mapping[str, GroupScore]]
) -> tuple[Mapping[str, GroupScore], ...]:
    """Rank the ranked entries of each track of a board within each group."""
    metric = METRICS[board.sort]
    ranked: list[dict[str, GroupScore]] = [dict(line) for line in scores]
    tracks = {entry.track for entry in board.entries}
    for name, track in itertools.product(groups, tracks):
        demerits = {
            index: demerit
            for index, (entry, line) in enumerate(zip(board.entries, scores, strict=True))
            if entry.track == track and entry.rank and name in line
            if (demerit := line[name].cell.demerit(metric)) is not None
        }
        for index, place in places(demerits).items():
            score = scores[index][name]
            ranked[index][name] = replace(score, cell=replace(score.cell, rank=place))
    return tuple(ranked)


def sheet_of(table: BreakdownBoard, *, interval: bool = True) -> Sheet:
    """Return the table as people read it: a line a method, but of categories, of which there are many, a line each."""
    by_category = table.by == "category"
    lines = _category_lines(table) if by_category else _method_lines(table, interval)
    return Sheet(
        title=f"{table.board.title}, {table.metric.title} by {table.by}",
        headings=_category_headings(table) if by_category else _method_headings(table),
        lines=lines,
        captions=_captions(table, interval=interval and not by_category),
        best_of="line" if by_category else "column",
    )


def _method_headings(table: BreakdownBoard) -> list[str]:
    unit = LEVEL_OF[table.by]
    counts = [f"{name} ({_count(table, name, unit)})" for name in table.groups]
    return ["rank", "method", "detector", *counts]


def _method_lines(table: BreakdownBoard, interval: bool) -> list[SheetLine]:
    lines = []
    for entry, scores in zip(table.board.entries, table.scores, strict=True):
        place = str(entry.rank) if entry.rank else MISSING
        cells = [_cell(scores.get(name), table.metric, interval) for name in table.groups]
        first = map(SheetCell, (place, entry.method, entry.detector))
        lines.append(SheetLine([*first, *cells], dim=not entry.rank))
    return lines


def _category_headings(table: BreakdownBoard) -> list[str]:
    return ["category", "images", "instances", *map(_run_name, table.board.entries)]


def _category_lines(table: BreakdownBoard) -> list[SheetLine]:
    lines = []
    for name in table.groups:
        counts = [str(_count(table, name, unit)) for unit in ("image", "instance")]
        cells = [_cell(scores.get(name), table.metric, False) for scores in table.scores]
        lines.append(SheetLine([*map(SheetCell, (name, *counts)), *cells]))
    return lines


def _run_name(entry: Entry) -> str:
    return entry.method if entry.detector == "none" else f"{entry.method} {entry.detector}"


def _count(table: BreakdownBoard, group: str, unit: Level) -> int:
    """Return how many images or instances the methods have in a group, the most of them."""
    found = [scores[group] for scores in table.scores if group in scores]
    return max(score.images if unit == "image" else score.instances for score in found)


def _cell(score: GroupScore | None, metric: Metric, interval: bool) -> SheetCell:
    return SheetCell(MISSING) if score is None else score_cell(score.cell, metric, interval=interval)


def _captions(table: BreakdownBoard, *, interval: bool) -> list[str]:
    unit = "images" if LEVEL_OF[table.by] == "image" else "instances"
    lines = [f"{table.metric.name} by {PARTED[table.by]}; methods in the order of the whole board."]
    lines += tell_detectors(table.board)
    lines += [f"( ): {unit} of the group."] if table.by != "category" else []
    lines.append("[ , ]: 95 % bootstrap interval over images." if interval else "Intervals stand in the CSV format.")
    notes = [f"{_run_name(entry)}: {', '.join(entry.notes)}" for entry in table.board.entries if entry.notes]
    return [*lines, f"{'; '.join(notes)}."] if notes else lines


def to_lines(tables: Sequence[BreakdownBoard]) -> list[dict[str, Any]]:
    """Return one flat mapping for each method and group; what is missing is None."""
    return [
        _line(table, entry, name, scores[name])
        for table in tables
        for entry, scores in zip(table.board.entries, table.scores, strict=True)
        for name in table.groups
        if name in scores
    ]


def _line(table: BreakdownBoard, entry: Entry, group: str, score: GroupScore) -> dict[str, Any]:
    board = table.board
    place = (board.dataset, board.protocol, board.level, table.by, group, entry.rank)
    facts = (entry.method, entry.detector, entry.seeds, entry.partial, entry.untrained, score.images, score.instances)
    ends = (score.cell.mean, score.cell.low, score.cell.high)
    return dict(zip(_columns(table.metric), (*place, *facts, *ends), strict=True))


def _columns(metric: Metric) -> list[str]:
    return [*FIRST_COLUMNS, *(f"{metric.id}{part}" for part in METRIC_COLUMNS)]


def render_breakdowns(
    folders: Sequence[Path],
    form: str,
    by: By,
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
) -> str:
    """Return the breakdowns of output folders as text in one of the formats of leaderboards."""
    tables = tables_of(read_breakdown_boards(folders, by, levels=levels, sort=sort, shown=shown))
    if form == HTML:
        from bench.report.page import tables_page

        return tables_page(tables)
    return FORMATS[form](tables)


def print_breakdowns(
    folders: Sequence[Path],
    by: By,
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
    console: Console | None = None,
) -> None:
    """Print the breakdowns of output folders to the terminal, or as plain text where there is none."""
    print_tables(tables_of(read_breakdown_boards(folders, by, levels=levels, sort=sort, shown=shown)), console)


def tables_of(boards: Sequence[BreakdownBoard]) -> Tables:
    """Return one table a board, and all in one."""
    sheets = [(sheet_of(board), sheet_of(board, interval=False)) for board in boards]
    return Tables("Breakdown", sheets, _columns(boards[0].metric), to_lines(boards))
