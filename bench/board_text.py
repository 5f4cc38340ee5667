"""What a board says to people: headings, cells and the sentences below it."""

from bench.board import Board, Cell, Entry, full_count
from bench.scoring.frechet import LEAST_FOR_FID
from bench.scoring.metrics import METRICS, Metric
from bench.sheet import Sheet, SheetLine

MISSING = "—"
GROUPS = (
    "Methods of one tie group cannot be told apart from its first: sign-flip tests of the mean difference over images, "
    "false discovery rate 5 % over all pairs."
)
TO_TRUTH = "( ): the mean less that of the true pictures; nearest to zero is best."
FEW_FOR_FID = f"FID of fewer than {LEAST_FOR_FID} pictures is biased: compare it within this table only."


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
    if any(0 < entry.scores["fid"].n < LEAST_FOR_FID for entry in board.entries if "fid" in entry.scores):
        lines.append(FEW_FOR_FID)
    if any(entry.detector == "annotations" for entry in board.entries):
        lines.append("Boxes of annotations are the annotators' own: an oracle that no user has.")
    if any(entry.seeds > 1 for entry in board.entries):
        lines.append("Several seeds: the mean over them, the interval from the lowest to the highest end of theirs.")
    if any(entry.partial or entry.untrained for entry in board.entries):
        lines.append("Partial and untrained runs stand below and have no rank.")
    full = full_count(board.entries, sorting)
    if any(entry.competes and entry.scores.get(sorting.id, Cell(None, n=full)).n < full for entry in board.entries):
        lines.append("Methods with fewer scored pictures than others stand below and have no rank.")
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


def sheet_of(board: Board, *, interval: bool = True) -> Sheet:
    """Return a board as a table for people, with or without intervals."""
    lines = [SheetLine(texts(board, entry, interval=interval), entry.rank is None) for entry in board.entries]
    return Sheet(board.title, headings(board), lines, captions(board, interval=interval), "column")
