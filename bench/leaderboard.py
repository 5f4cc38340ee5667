"""Leaderboards of records, for the terminal and as Markdown, CSV, JSON and HTML. Knows no torch."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench.board import Board, Cell, Entry
from bench.errors import CommandError, MissingError
from bench.files import atomic_write
from bench.observations import Observations, read_observations
from bench.ranking import DEFAULT_SORT, LEVELS, columns_of, rank_records, to_lines
from bench.record import RunRecord
from bench.scoring.metrics import METRICS, Level, Metric
from bench.tables import table_to_csv
from bench.terminal import PLAIN_WIDTH, visible, widen

MISSING = "—"
FEWEST_FOR_FID = 2048
GROUPS = (
    "Methods of one tie group cannot be told apart from its first picture by picture: Wilcoxon signed-rank tests, "
    "false discovery rate 5 % over all pairs."
)
TO_TRUTH = "( ): the mean less that of the true pictures; nearest to zero is best."
FEW_FOR_FID = f"FID of fewer than {FEWEST_FOR_FID} pictures is biased: compare it within this table only."
MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")


def record_paths(out: Path) -> list[Path]:
    """Return where the records of the finished runs in an output folder lie."""
    return sorted(out.glob("runs/*/*/record.json"))


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


def read_runs(folders: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Read the records of all finished runs in output folders, each with its own folder; the same run counts once."""
    runs = [(path.parent, read_record(path)) for folder in folders for path in record_paths(folder)]
    return list({record.run_id: (folder, record) for folder, record in runs}.values())


def read_records(folders: Sequence[Path]) -> list[RunRecord]:
    """Read the records of all finished runs in output folders; one that stands in two of them counts once."""
    return [record for _, record in read_runs(folders)]


def rank_runs(
    runs: Sequence[tuple[Path, RunRecord]], *, levels: Sequence[Level] = LEVELS, sort: str = DEFAULT_SORT
) -> list[Board]:
    """Rank runs, each given with its folder, whose tables tell which methods are tied."""
    observations: dict[Level, dict[str, Observations]] = {level: {} for level in levels}
    for folder, record in runs:
        for level in levels if not record.partial and not record.untrained else ():
            found = read_observations(folder, record, level, sort)
            if found is not None:
                observations[level][record.run_id] = found
    return rank_records([record for _, record in runs], sort=sort, levels=levels, observations=observations)


def read_boards(folders: Sequence[Path], *, levels: Sequence[Level] = LEVELS, sort: str | None = None) -> list[Board]:
    """Read records and rank them.

    Args:
        folders: output folders of runs.
        levels: which of `LEVELS` are wanted.
        sort: the metric that ranks; `DEFAULT_SORT` where None, and then nothing has a rank if no run has it.

    Raises:
        MissingError: There is no finished run, nothing was scored at the level, or no run has the metric to sort by.
    """
    looked = ", ".join(str(folder) for folder in folders)
    runs = read_runs(folders)
    if not runs:
        raise MissingError(f"no finished run in {looked}: give the --out folder of `colorbench run`; see its status")
    boards = rank_runs(runs, sort=sort or DEFAULT_SORT, levels=levels)
    if not boards:
        raise MissingError(f"no scored instances in {looked}: no picture has an annotated box that is large enough")
    measured = [metric for metric in METRICS if any(metric == known.id for board in boards for known in board.metrics)]
    if sort is not None and measured and sort not in measured:
        raise MissingError(f"{sort} was not measured in these runs; available: {', '.join(measured)}")
    return boards


def format_of(path: Path) -> str | None:
    """Return the format of `FORMATS` that a file's suffix asks for; None where it asks for none.

    >>> format_of(Path("tables/board.MD"))
    'md'
    """
    form = path.suffix.lower().removeprefix(".")
    return form if form in {"md", "csv", "json", "html"} else None


def print_leaderboards(
    folders: Sequence[Path],
    *,
    levels: Sequence[Level] = LEVELS,
    sort: str | None = None,
    console: Console | None = None,
) -> None:
    """Print the boards of output folders to the terminal, or as plain text where there is none."""
    _print_boards(read_boards(folders, levels=levels, sort=sort), console or Console(highlight=False))


def render(folders: Sequence[Path], form: str, *, levels: Sequence[Level] = LEVELS, sort: str | None = None) -> str:
    """Return the boards of output folders as text in one of `FORMATS`."""
    return FORMATS[form](read_boards(folders, levels=levels, sort=sort))


def write_leaderboards(out: Path) -> None:
    """Write `leaderboard.md`, `leaderboard.csv` and `leaderboard.html` of all finished runs in an output folder.

    Several processes may do so at once: each reads all records and writes while the others wait.
    """
    with FileLock(out / ".leaderboard.lock"):
        boards = rank_runs(read_runs([out]))
        for form in ("md", "csv", "html"):
            atomic_write(out / f"leaderboard.{form}", FORMATS[form](boards))


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escape_markdown("a|<b>")
    'a\\|\\<b\\>'
    """
    return MARKDOWN.sub(r"\\\1", visible(text).replace("&", "&amp;"))


def format_score(cell: Cell, metric: Metric, *, interval: bool = True) -> str:
    """Return a mean, and behind it the ends of its interval, which seldom lie equally far from it.

    >>> format_score(Cell(23.4, 23.0, 24.0), METRICS["psnr"])
    '23.40 [23.00, 24.00]'
    >>> format_score(Cell(30.1, difference=-8.0), METRICS["colorfulness"])
    '30.10 (-8.00)'
    """
    if cell.mean is None:
        return MISSING
    text = f"{cell.mean:.{metric.decimals}f}"
    if cell.difference is not None:
        text += f" ({cell.difference:+.{metric.decimals}f})"
    if not interval or cell.low is None or cell.high is None:
        return text
    return f"{text} [{cell.low:.{metric.decimals}f}, {cell.high:.{metric.decimals}f}]"


def captions(board: Board, *, interval: bool = True) -> list[str]:
    """Return what a reader must know about a board, one sentence an item; `interval`: whether intervals are shown."""
    sorting = METRICS[board.sort]
    unit = "images" if board.level == "image" else "instances"
    ranked = sum(entry.rank is not None for entry in board.entries)
    lines = [f"Ranked by {sorting.name}." if ranked else f"No whole, trained run has {sorting.name} to rank by."]
    lines.append(f"n: {unit} in the mean.")
    known = any(cell.low is not None for entry in board.entries for cell in entry.scores.values())
    if interval and known:
        lines.append("[ , ]: 95 % bootstrap interval over images.")
    if board.grouped:
        lines.append(GROUPS)
    elif ranked > 1 and known:
        lines.append(f"Ranks are not significance: {'see' if interval else 'a wider terminal shows'} the intervals.")
    if any(cell.difference is not None for entry in board.entries for cell in entry.scores.values()):
        lines.append(TO_TRUTH)
    if any(0 < entry.scores["fid"].n < FEWEST_FOR_FID for entry in board.entries if "fid" in entry.scores):
        lines.append(FEW_FOR_FID)
    if any(entry.detector == "annotations" for entry in board.entries):
        lines.append("Boxes of annotations are the annotators' own: an oracle that no user has.")
    if any(entry.seeds > 1 for entry in board.entries):
        lines.append("Several seeds: the mean over them, the interval from the lowest to the highest end of theirs.")
    if any(entry.partial or entry.untrained for entry in board.entries):
        lines.append("Partial and untrained runs stand below and have no rank.")
    return lines


def headings(board: Board) -> list[str]:
    """Return the columns of a board as people read it."""
    seeds = ["seeds"] if any(entry.seeds > 1 for entry in board.entries) else []
    notes = ["note"] if any(entry.notes for entry in board.entries) else []
    group = ["tie"] if board.grouped else []
    return ["rank", *group, "method", "detector", *seeds, "n", *(metric.title for metric in board.metrics), *notes]


def texts(board: Board, entry: Entry, *, interval: bool = True) -> list[tuple[str, bool]]:
    """Return the cells of one line under `headings`, each with whether it is the best of its column."""
    names = headings(board)
    cells = [entry.scores.get(metric.id, Cell(None)) for metric in board.metrics]
    plain = [_place(entry.rank), *([_place(entry.tie_group)] if board.grouped else []), entry.method, entry.detector]
    plain += [str(entry.seeds), str(entry.n)] if "seeds" in names else [str(entry.n)]
    line = [(text, False) for text in plain]
    line += [
        (format_score(cell, metric, interval=interval), cell.rank == 1)
        for cell, metric in zip(cells, board.metrics, strict=True)
    ]
    return line + ([(", ".join(entry.notes), False)] if "note" in names else [])


def _place(number: int | None) -> str:
    return MISSING if number is None else str(number)


def to_markdown(boards: Sequence[Board]) -> str:
    """Return one table a board, the best of each column in bold."""
    if not boards:
        return "# Leaderboard\n\nNo run is finished yet.\n"
    return "# Leaderboard\n" + "".join(_markdown_table(board) for board in boards)


def _markdown_table(board: Board) -> str:
    names = headings(board)
    rules = [":--" if name in {"method", "detector", "note"} else "--:" for name in names]
    lines = [[escape_markdown(name) for name in names], rules]
    for entry in board.entries:
        cells = [(escape_markdown(text), best) for text, best in texts(board, entry)]
        lines.append([f"**{text}**" if best else text for text, best in cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"\n## {escape_markdown(board.title)}\n\n{table}\n\n{' '.join(captions(board))}\n"


def to_csv(boards: Sequence[Board]) -> str:
    """Return one long table with all digits."""
    columns = columns_of(boards)
    lines = [[_truth(line[column]) for column in columns] for line in to_lines(boards)]
    return table_to_csv(columns, lines)


def _truth(value: str | int | float | None) -> str | int | float | None:
    return str(value).lower() if isinstance(value, bool) else value


def to_json(boards: Sequence[Board]) -> str:
    """Return a list of objects with the columns of the CSV file; what is missing is null."""
    return json.dumps(to_lines(boards), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(boards: Sequence[Board]) -> str:
    """Return a page that opens without a network."""
    from bench.report.page import leaderboard_page

    return leaderboard_page(boards)


def to_text(boards: Sequence[Board]) -> str:
    """Return what the terminal shows, without colours and as wide as it needs."""
    file = io.StringIO()
    _print_boards(boards, Console(file=file, highlight=False, force_terminal=False, width=PLAIN_WIDTH))
    return file.getvalue()


def _print_boards(boards: Sequence[Board], console: Console) -> None:
    """Print each board; where it is too wide for the terminal, packed and without its intervals."""
    widen(console)
    for board in boards:
        table = _terminal_table(board, terminal=console.is_terminal)
        unbounded = console.options.update(max_width=PLAIN_WIDTH)
        fits = Measurement.get(console, unbounded, table).maximum <= console.width
        table = table if fits else _terminal_table(board, terminal=console.is_terminal, narrow=True)
        notes = captions(board, interval=fits) + ([] if console.is_terminal else ["*: best of its column."])
        console.print(Text(visible(board.title), style="bold"))
        console.print(table)
        console.print(Text(" ".join(notes), style="dim"))
        console.print()


def _terminal_table(board: Board, *, terminal: bool, narrow: bool = False) -> Table:
    """Return a board as rich shows it; where there is no bold, a `*` marks the best."""
    form = box.SIMPLE_HEAD if terminal else box.ASCII2
    table = Table(box=form, pad_edge=not terminal, padding=(0, 0) if narrow else (0, 1))
    for name in headings(board):
        title = name.replace(" ", "\n", 1).replace("-", "-\n") if narrow else name
        left = name in {"method", "detector", "note"}
        table.add_column(Text(title), justify="left" if left else "right", overflow="fold")
    for entry in board.entries:
        cells = [
            Text(("*" if best and not terminal else "") + visible(text), style="bold" if best else "")
            for text, best in texts(board, entry, interval=not narrow)
        ]
        table.add_row(*cells, style="" if entry.rank else "dim")
    return table


FORMATS: Mapping[str, Callable[[Sequence[Board]], str]] = {
    "terminal": to_text,
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}
