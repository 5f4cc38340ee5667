"""Leaderboards of records, for the terminal and as Markdown, CSV, JSON and HTML. Knows no torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError
from rich.console import Console

from bench.board import Board, RunKey, run_key
from bench.board_text import sheet_of
from bench.catalog import known
from bench.errors import CommandError, MissingError, UsageError
from bench.files import atomic_write
from bench.formats import FORMATS, Tables, print_tables
from bench.inpainting.record import note_inpainting
from bench.missing_plugins import note_missing_metrics
from bench.observations import Observations, read_observations
from bench.ranking import DEFAULT_SORT, LEVELS, columns_of, rank_records, to_lines
from bench.record import RunRecord
from bench.scoring.metrics import METRICS, Level
from bench.shown import EVERYTHING, Shown

HTML = "html"
SUFFIXES = {"tex": "latex"}
"""Of files whose format has another name."""


def record_paths(out: Path) -> list[Path]:
    """Return where the records of the finished runs in an output folder lie."""
    return sorted(out.glob("runs/*/*/record.json"))


def published_paths(results: Path) -> list[Path]:
    """Return where the records lie that a folder of results holds, or that of a study; their rows are not there."""
    return sorted((results / "records").glob("**/*.json"))


def read_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CommandError(f"{path} is no record ({reason}); run the suite again to write it anew") from error


def read_runs(folders: Sequence[Path], *, results: bool = False) -> list[tuple[Path, RunRecord]]:
    """Read the records of all finished runs in output folders, each with its own folder; the same run counts once.

    With `results`, folders may be those of published records, too.
    """
    paths = (record_paths(folder) or (published_paths(folder) if results else []) for folder in folders)
    runs = [(path.parent, read_record(path)) for found in paths for path in found]
    note_missing_metrics(record for _, record in runs)
    return list({run_key(record): (folder, record) for folder, record in runs}.values())


def read_records(folders: Sequence[Path]) -> list[RunRecord]:
    """Read the records of all finished runs in output folders; one that stands in two of them counts once."""
    return [record for _, record in read_runs(folders)]


def rank_runs(
    runs: Sequence[tuple[Path, RunRecord]], *, levels: Sequence[Level] = LEVELS, sort: str = DEFAULT_SORT
) -> list[Board]:
    """Rank runs, each given with its folder, whose tables tell which methods are tied."""
    observations: dict[Level, dict[RunKey, Observations]] = {level: {} for level in levels}
    for folder, record in runs:
        for level in levels if not record.partial and not record.untrained else ():
            found = read_observations(folder, record, level, sort)
            if found is not None:
                observations[level][run_key(record)] = found
    return rank_records([record for _, record in runs], sort=sort, levels=levels, observations=observations)


def read_boards(
    folders: Sequence[Path],
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
    published: bool = False,
) -> list[Board]:
    """Read records and rank them.

    Args:
        folders: output folders of runs, or folders of published records.
        levels: which of `LEVELS` are wanted.
        sort: the metric that ranks; `DEFAULT_SORT` where None, and then nothing has a rank if no run has it.
        shown: which of the runs are shown, and ranked among themselves.
        published: whether the figures of papers follow, on boards of their own for datasets without a run.

    Raises:
        MissingError: There is no finished run, nothing was scored at the level, or no run has the metric to sort by.
        UsageError: `shown` names what no run has.
    """
    from bench.published import published_datasets, with_published

    runs = shown.of(finished_runs(folders, results=True), published_datasets() if published else ())
    boards = rank_runs(runs, sort=sort or DEFAULT_SORT, levels=levels)
    if boards or not published:
        boards = [replace(board, detectors=shown.detectors) for board in check_measured(boards, folders, sort)]
    return with_published(boards, levels, sort or DEFAULT_SORT, shown.datasets) if published else boards


def finished_runs(folders: Sequence[Path], *, results: bool = False) -> list[tuple[Path, RunRecord]]:
    """Read the records of output folders, each with its own folder; with `results`, published ones, too.

    Raises:
        MissingError: There is no finished run.
    """
    runs = read_runs(folders, results=results)
    if not runs:
        raise MissingError(_nothing_in(folders, results=results))
    return runs


def runs_of_dataset(runs: Sequence[tuple[Path, RunRecord]], dataset: str | None) -> list[tuple[Path, RunRecord]]:
    """Return the runs on one dataset, the only one where None is named.

    Raises:
        UsageError: There are several, or none has that name.
    """
    names = sorted({record.dataset for _, record in runs})
    if dataset is None and len(names) > 1:
        raise UsageError(f"there are runs on {', '.join(names)}: say which with --dataset")
    chosen = names[0] if dataset is None else known("dataset of these runs", dataset, names)
    return [(folder, record) for folder, record in runs if record.dataset == chosen]


def _nothing_in(folders: Sequence[Path], *, results: bool) -> str:
    """Return that there is no finished run, and where else to look."""
    notes = [note for folder in folders if (note := note_inpainting(folder))]
    if notes:
        return "; ".join(notes)
    if not results and any(map(published_paths, folders)):
        return f"{_names(folders)} holds records without their rows: give the --out folder of `colorbench run`"
    studies = [path.parent for folder in folders for path in sorted(folder.glob("studies/*/records"))]
    if results and studies:
        return f"{_names(folders)} holds no record but those of studies: give {_names(studies)}"
    return f"no finished run in {_names(folders)}: give the --out folder of `colorbench run`; see its status"


def check_measured(boards: list[Board], folders: Sequence[Path], sort: str | None) -> list[Board]:
    """Return the boards of output folders.

    Raises:
        MissingError: There are none, or `sort` was given and none of them has that metric.
    """
    if not boards:
        raise MissingError(f"no scored instances in {_names(folders)}: no picture has an annotated box large enough")
    measured = [metric for metric in METRICS if any(metric == known.id for board in boards for known in board.metrics)]
    if sort is not None and measured and sort not in measured:
        raise MissingError(f"{sort} was not measured in these runs; available: {', '.join(measured)}")
    return boards


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)


def format_of(path: Path) -> str | None:
    """Return the format that a file's suffix asks for; None where it asks for none.

    >>> format_of(Path("tables/board.MD"))
    'md'
    """
    suffix = path.suffix.lower().removeprefix(".")
    form = SUFFIXES.get(suffix, suffix)
    return form if form in {*FORMATS, HTML} - {"terminal"} else None


def print_leaderboards(
    folders: Sequence[Path],
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
    published: bool = False,
    console: Console | None = None,
) -> None:
    """Print the boards of output folders to the terminal, or as plain text where there is none."""
    boards = read_boards(folders, levels=levels, sort=sort, shown=shown, published=published)
    print_tables(tables_of(boards), console)


def render(
    folders: Sequence[Path],
    form: str,
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    shown: Shown = EVERYTHING,
    published: bool = False,
) -> str:
    """Return the boards of output folders as `format_boards` does."""
    return format_boards(read_boards(folders, levels=levels, sort=sort, shown=shown, published=published), form)


def write_leaderboards(out: Path) -> None:
    """Write `leaderboard.md`, `leaderboard.csv` and `leaderboard.html` of all finished runs in an output folder.

    Several processes may do so at once: each reads all records and writes while the others wait.
    """
    with FileLock(out / ".leaderboard.lock"):
        for name, text in leaderboard_files(out).items():
            atomic_write(out / name, text)


def leaderboard_files(out: Path) -> dict[str, str]:
    """Return the texts of the leaderboards of all finished runs in an output folder, by file name."""
    boards = rank_runs(read_runs([out]))
    return {f"leaderboard.{form}": format_boards(boards, form) for form in ("md", "csv", "html")}


def format_boards(boards: Sequence[Board], form: str) -> str:
    """Return boards as text in one of the formats; `html` is a page that opens without a network."""
    if form == HTML:
        from bench.report.page import leaderboard_page

        return leaderboard_page(boards)
    return FORMATS[form](tables_of(boards))


def tables_of(boards: Sequence[Board]) -> Tables:
    """Return one table a board and kind of track, and all in one."""
    sheets = [
        (sheet_of(part), sheet_of(part, costs=False), sheet_of(part, interval=False, costs=False))
        for board in boards
        for part in board.parts
    ]
    return Tables("Leaderboard", sheets, columns_of(boards), to_lines(boards))
