"""What a board says to people: headings, cells and the sentences below it."""

from collections.abc import Mapping, Sequence

from bench.board import Board, Cell, Cost, Entry, full_count
from bench.scoring.frechet import LEAST_FOR_FID
from bench.scoring.metrics import METRICS, Metric
from bench.sheet import Sheet, SheetCell, SheetLine
from bench.tracks import AUTOMATIC, SEEN

MISSING = "—"
ORACLE = "annotations"
"""The detector that copies the boxes of the annotators."""
GROUPS = (
    "Methods of one tie group cannot be told apart from its first: sign-flip tests of the mean difference over images, "
    "false discovery rate 5 % over all pairs."
)
TO_TRUTH = "( ): the mean less that of the true pictures{}."
COSTS: Mapping[str, tuple[str, float]] = {
    "images_per_second": ("images/s", 1.0),
    "parameters": ("parameters [M]", 1e6),
    "gmacs": ("GMACs", 1.0),
}
"""What a method's answers cost: attributes of `Cost`, each with its heading and what it is divided by."""
MACS = (
    "GMACs: 10⁹ multiply-adds of the networks for a picture of 256 x 256 with as many boxes as the detector may give."
)
PUBLISHED = "Published figures stand below, without rank: pictures and scores were made otherwise there."
ANY_DETECTOR = "They are shown whatever detector is chosen."
OTHERWISE = "†: as its source computes it, otherwise than we do; CF: colourfulness, ΔCF: its distance to the truth's."
ONLY_PUBLISHED = "Nothing was measured here; published figures have no rank."
FEW_FOR_FID = f"FID of fewer than {LEAST_FOR_FID} pictures is biased: compare it within this table only."


def format_score(cell: Cell, metric: Metric, *, interval: bool = True) -> str:
    """Return a mean, and behind it the ends of its interval.

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
    spread = format_interval(cell, metric) if interval else ""
    return f"{text} {spread}" if spread else text


def format_interval(cell: Cell, metric: Metric) -> str:
    """Return the ends of an interval, which seldom lie equally far from the mean; empty where there is none."""
    if cell.mean is None or cell.low is None or cell.high is None:
        return ""
    return f"[{cell.low:.{metric.decimals}f}, {cell.high:.{metric.decimals}f}]"


def score_cell(cell: Cell, metric: Metric, *, interval: bool = True) -> SheetCell:
    """Return a score as a cell of a table, the best and the second best marked."""
    spread = format_interval(cell, metric) if interval else ""
    return SheetCell(format_score(cell, metric, interval=False), spread, cell.rank)


def format_cost(cost: Cost, name: str) -> str:
    """Return one of `COSTS` with two decimals, a zero without any.

    >>> format_cost(Cost(parameters=34_187_027, gmacs=0.0), "parameters")
    '34.19'
    """
    value = getattr(cost, name)
    if value is None:
        return MISSING
    return f"{value / COSTS[name][1]:.2f}" if value else "0"


def costs_of(board: Board) -> list[str]:
    """Return those of `COSTS` that any entry of a board has."""
    return [name for name in COSTS if any(getattr(entry.cost, name) for entry in board.entries)]


def captions(board: Board, *, interval: bool = True, costs: bool = True) -> list[str]:
    """Return what a reader must know about a board, one sentence an item; `footnotes` holds the rest.

    Args:
        board: that is shown.
        interval: whether intervals are.
        costs: whether speed and size are.
    """
    other = [OTHERWISE] if any(metric.id not in METRICS for metric in board.metrics) else []
    if not measured(board):
        return [ONLY_PUBLISHED, *other]
    sorting = METRICS[board.sort]
    unit = "images" if board.level == "image" else "instances"
    ranked = sum(entry.rank is not None for entry in board.entries)
    alone = " without errors of boxes" if any(entry.errors for entry in board.entries) else ""
    nothing = f"No whole, trained run{alone} has {sorting.name} to rank by."
    lines = [] if board.track == AUTOMATIC else [SEEN[board.track]]
    lines.append(f"Ranked by {sorting.name}." if ranked else nothing)
    lines += tell_detectors(board)
    lines.append(f"n: {unit} in the mean.")
    known = any(cell.low is not None for entry in board.entries for cell in entry.scores.values())
    if interval and known:
        lines.append("[ , ]: 95 % bootstrap interval over images.")
    if board.grouped:
        lines.append(GROUPS)
    elif ranked > 1 and known:
        lines.append(f"Ranks are not significance: {'see' if interval else 'a wider terminal shows'} the intervals.")
    lines += _tell_truth(board)
    if any(0 < entry.scores["fid"].n < LEAST_FOR_FID for entry in board.entries if "fid" in entry.scores):
        lines.append(FEW_FOR_FID)
    lines += _tell_boxes(board)
    if any(entry.seeds > 1 for entry in board.entries):
        lines.append("Several seeds: the mean over them, the interval from the lowest to the highest end of theirs.")
    if any(entry.partial or entry.untrained for entry in board.entries):
        lines.append("Partial and untrained runs stand below and have no rank.")
    if _some_lack_pictures(board, sorting):
        lines.append("Methods with fewer scored pictures than others stand below and have no rank.")
    lines += _cost_captions(board) if costs else []
    if not board.sources:
        return lines
    return [*lines, PUBLISHED, *([ANY_DETECTOR] if board.detectors else []), *other]


def _some_lack_pictures(board: Board, sorting: Metric) -> bool:
    """Tell whether a competing entry has fewer pictures in its mean than others of its track."""
    tracks = {entry.track for entry in board.entries}
    parts = [[entry for entry in board.entries if entry.track == track] for track in tracks]
    return any(
        entry.competes and entry.scores.get(sorting.id, Cell(None, n=full)).n < full
        for part, full in ((part, full_count(part, sorting)) for part in parts)
        for entry in part
    )


def _tell_truth(board: Board) -> list[str]:
    """Return what the numbers in round brackets are, and of which metrics they rank."""
    shown = {name for entry in board.entries for name, cell in entry.scores.items() if cell.difference is not None}
    nearest = [metric.name for metric in board.metrics if metric.id in shown and metric.direction == "truth"]
    best = f"; of {_listed(nearest)} nearest to zero is best" if nearest else ""
    return [TO_TRUTH.format(best)] if shown else []


def tell_detectors(board: Board) -> list[str]:
    """Return among which runs a board ranks, where it leaves some out."""
    shown = " or ".join(board.detectors)
    return [f"Ranked among the runs that are shown, with the detector {shown}."] if shown else []


def _tell_boxes(board: Board) -> list[str]:
    """Return which boxes no user has, and which were made worse."""
    oracles = sorted({entry.detector for entry in board.entries if entry.detector_id == ORACLE and not entry.errors})
    worse = sorted({entry.detector_id for entry in board.entries if entry.errors})
    lines = [f"Boxes of {_listed(oracles)} are the annotators' own: an oracle that no user has."] if oracles else []
    if worse:
        lines.append(
            f"Boxes with errors on purpose, made to those of {_listed(worse)}, show what a method bears: they stand "
            "below and have no rank."
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def footnotes(board: Board) -> list[str]:
    """Return the sources of published figures, each behind its number."""
    return [f"[{number}] {source}." for number, source in enumerate(board.sources, start=1)]


def measured(board: Board) -> bool:
    """Tell whether anything on a board was measured."""
    return any(entry.reported is None for entry in board.entries)


def notes_of(board: Board, entry: Entry) -> str:
    """Return what a reader must know beside the numbers of an entry; of published ones, the number of the source."""
    number = [f"[{board.sources.index(entry.source) + 1}]"] if entry.source else []
    return " ".join([", ".join(entry.notes), *number])


def _cost_captions(board: Board) -> list[str]:
    """Return what a reader must know about speed and size."""
    shown = costs_of(board)
    lines = [MACS] if "gmacs" in shown else []
    if "images_per_second" not in shown:
        return lines
    machines = sorted({machine for entry in board.entries for machine in entry.cost.machines})
    told = f"images/s: as the run went, with reading and scoring, on {' or '.join(machines)}"
    apart = ", which cannot be compared" if len(machines) > 1 else ""
    return [f"{told}{apart}; the machine may have done other work, and colorbench speed measures alone.", *lines]


def headings(board: Board, *, costs: bool = True) -> list[str]:
    """Return the columns of a board as people read it, with or without speed and size."""
    seeds = ["seeds"] if any(entry.seeds > 1 for entry in board.entries) else []
    notes = ["note"] if any(entry.notes for entry in board.entries) else []
    group = ["tie"] if board.grouped else []
    scores = [metric.title for metric in board.metrics]
    sizes = [COSTS[name][0] for name in costs_of(board)] if costs else []
    if not measured(board):
        return ["method", *scores, *notes]
    return ["rank", *group, "method", "detector", *seeds, "n", *scores, *sizes, *notes]


def cells_of(board: Board, entry: Entry, *, interval: bool = True, costs: bool = True) -> list[SheetCell]:
    """Return the cells of one line under `headings`."""
    places = {"rank": entry.rank, "tie": entry.tie_group}
    counts = {name: None if entry.reported else getattr(entry, name) for name in ("seeds", "n")}
    names = headings(board, costs=costs)
    numbers = {name: MISSING if number is None else str(number) for name, number in (places | counts).items()}
    plain = {**numbers, "method": entry.method, "detector": entry.detector}
    scores = [
        score_cell(entry.scores.get(metric.id, Cell(None)), metric, interval=interval) for metric in board.metrics
    ]
    last = [format_cost(entry.cost, name) for name in costs_of(board)] if costs and measured(board) else []
    last += [notes_of(board, entry)] if "note" in names else []
    return [*(SheetCell(plain[name]) for name in names if name in plain), *scores, *map(SheetCell, last)]


def sheet_of(board: Board, *, interval: bool = True, costs: bool = True) -> Sheet:
    """Return a board as a table for people, with or without intervals, with or without speed and size."""
    shown = {"interval": interval, "costs": costs}
    lines = [SheetLine(cells_of(board, entry, **shown), entry.rank is None) for entry in board.entries]
    several = len({entry.track for entry in board.entries}) > 1
    best_of = "column among as many hints" if several else "column"
    return Sheet(board.title, headings(board, costs=costs), lines, captions(board, **shown), best_of, footnotes(board))
