"""Leaderboards of inpainting: one table for each dataset and bucket of holes. Knows no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.board import Cell
from bench.board_text import MISSING, score_cell
from bench.files import atomic_write
from bench.formats import Tables, print_tables, to_csv, to_markdown
from bench.inpainting.metrics import INPAINT_METRICS
from bench.inpainting.record import InpaintRecord, read_inpaint_records
from bench.inpainting.suite import cards
from bench.scoring.frechet import LEAST_FOR_FID
from bench.scoring.metrics import Metric
from bench.sheet import Sheet, SheetCell, SheetLine
from datamodules.holes import BUCKETS

SORT = "psnr"
COLUMNS = (
    "dataset",
    "protocol",
    "holes",
    "hole_share",
    "rank",
    "method",
    "n",
    "failed",
    "partial",
    "untrained",
    "edges",
    "sigma",
    "train_sigma",
    "steps",
    "seed",
)
FEW_FOR_FID = f"FID of fewer than {LEAST_FOR_FID} pictures is biased: compare it within this table only."
NO_FID = (
    "No FID: the weights of Inception were not at hand; `colorbench weights fetch "
    "weights-inception-2015-12-05-6726825d.pth` gets them, then run the same command with another --out."
)
PAINTED = (
    "Irregular holes are painted by a seed, not those of Liu et al. 2018: published figures are of other holes and "
    "other pictures."
)
GIVEN = "Methods that are given the truth's edges see into the hole: they stand below and have no rank."
LEFT_OUT = "Partial and untrained runs stand below and have no rank."
FEWER = "Methods with fewer scored pictures than others stand below and have no rank."

Records = Sequence[InpaintRecord]


def ranking(records: Records) -> list[tuple[int | None, InpaintRecord]]:
    """Return records with their rank by PSNR, best first; those that have none stand last, by the same score."""
    full = max((record.scores[SORT].n for record in records if record.ranked), default=0)

    def competes(record: InpaintRecord) -> bool:
        return record.ranked and record.scores[SORT].n == full > 0

    def order(record: InpaintRecord) -> tuple[bool, float, str]:
        mean = record.scores[SORT].mean
        return not competes(record), float("inf") if mean is None else -mean, record.method

    ordered = sorted(records, key=order)
    means = [record.scores[SORT].mean for record in ordered if competes(record)]
    return [(means.index(record.scores[SORT].mean) + 1 if competes(record) else None, record) for record in ordered]


def tables_of(records: Records) -> Tables:
    """Return one table for each dataset, protocol and bucket, and all in one."""
    groups: dict[tuple[str, str, int], list[InpaintRecord]] = {}
    for record in records:
        place = list(BUCKETS).index(record.holes)
        groups.setdefault((record.dataset, record.protocol, place), []).append(record)
    boards = [groups[key] for key in sorted(groups)]
    shown = [metric for metric in INPAINT_METRICS if any(metric in record.scores for record in records)]
    columns = [*COLUMNS, *(f"{metric}{end}" for metric in shown for end in ("", "_low", "_high"))]
    lines = [line for board in boards for line in _lines(board, shown)]
    sheets = [(sheet_of(board), sheet_of(board, interval=False)) for board in boards]
    return Tables("Inpainting", sheets, columns, lines)


def _lines(board: Records, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines of one board in the long table."""
    lines = []
    for rank, record in ranking(board):
        fields: dict[str, Any] = {"rank": rank, "n": record.scores[SORT].n}
        fields |= {name: getattr(record, name) for name in COLUMNS if name not in fields}
        for metric in metrics:
            score = record.scores.get(metric)
            ends = {"": "mean", "_low": "low", "_high": "high"}
            fields |= {f"{metric}{end}": None if score is None else getattr(score, name) for end, name in ends.items()}
        lines.append(fields)
    return lines


def sheet_of(board: Records, *, interval: bool = True) -> Sheet:
    """Return the table of one bucket for people, with or without intervals."""
    metrics = [
        metric
        for metric in INPAINT_METRICS.values()
        if any((score := record.scores.get(metric.id)) is not None and score.mean is not None for record in board)
    ]
    ranked = ranking(board)
    places = {metric.id: _places(ranked, metric) for metric in metrics}
    lines = []
    for place, (rank, record) in enumerate(ranked):
        cells = [SheetCell(MISSING if rank is None else str(rank)), SheetCell(record.method)]
        cells.append(SheetCell(str(record.scores[SORT].n)))
        cells += [
            score_cell(_cell(record, metric, places[metric.id].get(place)), metric, interval=interval)
            for metric in metrics
        ]
        lines.append(SheetLine([*cells, SheetCell(", ".join(notes(record)))], rank is None))
    headings = ["rank", "method", "n", *(metric.title for metric in metrics), "note"]
    return Sheet(title(board[0]), headings, lines, captions(board, interval=interval), "column")


def title(record: InpaintRecord) -> str:
    """Return what a table is of."""
    holes = "the middle quarter" if BUCKETS[record.holes] is None else f"{record.holes} %"
    return f"{record.dataset}, {record.protocol}, holes: {holes}"


def _cell(record: InpaintRecord, metric: Metric, rank: int | None) -> Cell:
    score = record.scores.get(metric.id)
    return Cell(None) if score is None else Cell(score.mean, score.low, score.high, n=score.n, rank=rank)


def _places(ranked: Sequence[tuple[int | None, InpaintRecord]], metric: Metric) -> Mapping[int, int]:
    """Return which lines are best and second best by a metric, among those that have a rank."""
    sign = -1 if metric.direction == "higher" else 1
    means = {
        place: sign * mean
        for place, (rank, record) in enumerate(ranked)
        if rank is not None and metric.id in record.scores and (mean := record.scores[metric.id].mean) is not None
    }
    if len(means) < 2:
        return {}
    order = sorted(means.values())
    return {place: order.index(mean) + 1 for place, mean in means.items()}


def notes(record: InpaintRecord) -> list[str]:
    """Return what a reader must know beside the numbers."""
    given = f"true edges, sigma {record.sigma:g}" if record.edges == "true" else ""
    trained = "" if record.steps is None else f"{record.steps} steps"
    learnt = (
        f"learnt from sigma {record.train_sigma:g}" if record.train_sigma not in (None, record.sigma) and given else ""
    )
    marks = {"partial": record.partial, "untrained": record.untrained, f"{record.failed} failed": record.failed > 0}
    told = [given, learnt, *(f"{name}: {value}" for name, value in record.settings.items()), trained]
    return [*filter(None, told), *(mark for mark, holds in marks.items() if holds)]


def captions(board: Records, *, interval: bool) -> list[str]:
    """Return what a reader must know about a table."""
    ranked = [rank for rank, _ in ranking(board) if rank is not None]
    shares = [record.hole_share for record in board if record.hole_share is not None]
    lines = [f"Ranked by {INPAINT_METRICS[SORT].name}." if ranked else "No whole, trained run to rank."]
    lines += [f"On average {100 * shares[0]:.1f} % of a picture is missing."] if shares else []
    lines.append("Scores are of the whole picture, the hole filled and the rest true. n: pictures in the mean.")
    if interval and any(score.low is not None for record in board for score in record.scores.values()):
        lines.append("[ , ]: 95 % bootstrap interval over images.")
    if any(record.painted for record in board) and BUCKETS[board[0].holes] is not None:
        lines.append(PAINTED)
    full = max((record.scores[SORT].n for record in board if record.ranked), default=0)
    fids = [record.scores["fid"].n for record in board if "fid" in record.scores]
    told = {
        NO_FID: not fids,
        FEW_FOR_FID: any(0 < n < LEAST_FOR_FID for n in fids),
        GIVEN: any(record.edges == "true" for record in board),
        LEFT_OUT: any(record.partial or record.untrained for record in board),
        FEWER: any(record.ranked and record.scores[SORT].n < full for record in board),
    }
    return [*lines, *(line for line, holds in told.items() if holds)]


def published_sheets() -> list[tuple[Sheet, ...]]:
    """Return the figures that papers give, one table a dataset, each marked by what confirms it."""
    figures = [(card, reported) for card in cards().values() for reported in card.reported]
    sheets: list[tuple[Sheet, ...]] = []
    for dataset in dict.fromkeys(reported.dataset for _, reported in figures):
        here = [(card, reported) for card, reported in figures if reported.dataset == dataset]
        metrics = [metric for metric in INPAINT_METRICS.values() if any(metric.id in each.scores for _, each in here)]
        lines = []
        for card, reported in here:
            cells = [score_cell(Cell(reported.scores.get(metric.id)), metric) for metric in metrics]
            note = "verified" if reported.verified_by else "unverified, from memory"
            lines.append(SheetLine([SheetCell(card.name), *cells, SheetCell(note)], dim=True))
        headings = ["method", *(metric.title for metric in metrics), "note"]
        sources = list(dict.fromkeys(f"{each.source} ({each.protocol})." for _, each in here))
        sheets.append((Sheet(f"Published: {dataset}", headings, lines, [], "column", sources),))
    return sheets


def leaderboard(out: Path, *, published: bool = False) -> Tables:
    """Return the tables of all finished runs in an output folder; published figures on tables of their own below."""
    tables = tables_of([record for _, record in read_inpaint_records(out)])
    if not published:
        return tables
    return Tables(tables.title, [*tables.sheets, *published_sheets()], tables.columns, tables.lines)


def write_leaderboard(out: Path, *, published: bool = False) -> None:
    """Write `leaderboard.md`, `leaderboard.csv` and `leaderboard.html`."""
    from bench.report.page import tables_page

    tables = leaderboard(out, published=published)
    for form, text in {"md": to_markdown(tables), "csv": to_csv(tables), "html": tables_page(tables)}.items():
        atomic_write(out / f"leaderboard.{form}", text)


def print_leaderboard(out: Path, *, published: bool = False) -> None:
    """Print the tables to the terminal, or as plain text where there is none."""
    print_tables(leaderboard(out, published=published))
