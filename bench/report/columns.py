"""The columns that a reader of the report may hide: of the leaderboards and of the table of runs."""

from collections.abc import Sequence

from bench.board import Board
from bench.board_text import COSTS, MISSING, costs_of
from bench.record import RunRecord

RUN_COLUMNS = {
    "images": "images",
    "failed": "failed",
    "gray_truth": "grey truth",
    "without_instances": "without instances",
    "without_detections": "without boxes",
    "instances": "instances",
    "left_out_small": "too small",
    "left_out_crowd": "crowds",
    "identical": "identical",
    "gray_prediction": "grey predictions",
    "images_per_second": "images/s",
    "peak_memory_mb": "memory [MB]",
    "parameters": "parameters [M]",
    "gmacs": "GMACs",
}
"""The columns of the table of runs after the first ones: attributes of a record or its counts, with their headings."""
ALWAYS = frozenset({"images", "failed"})
FORMATS = {"images_per_second": (1.0, 2), "peak_memory_mb": (1.0, 0), "parameters": (1e6, 2), "gmacs": (1.0, 2)}
"""What divides a number that is no count, and its decimals."""


def board_columns(boards: Sequence[Board]) -> list[tuple[str, str]]:
    """Return the columns of leaderboards that can be hidden, by id with their names."""
    scores = {metric.id: metric.name for board in boards for metric in board.metrics}
    costs = {name for board in boards for name in costs_of(board)}
    return list(scores.items()) + [(name, heading) for name, (heading, _) in COSTS.items() if name in costs]


def run_columns(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return the columns of the table of runs that hold anything but zero, by id with their headings."""
    return [
        (id, name)
        for id, name in RUN_COLUMNS.items()
        if id in ALWAYS or any(run_value(record, id)[0] for record in records)
    ]


def run_value(record: RunRecord, column: str) -> tuple[float | str, str]:
    """Return what a run has in a column as a number to sort by and as text; empty and a dash where it has nothing."""
    if column == "parameters":
        scored = record.digests.predictions is not None
        return _number_and_text(None if scored else sum(record.parameters.values()), column)
    if column == "without_detections" and record.detector == "none":
        return _number_and_text(None, column)
    return _number_and_text(getattr(record if column in FORMATS else record.counts, column), column)


def _number_and_text(value: float | None, column: str) -> tuple[float | str, str]:
    if value is None:
        return "", MISSING
    divisor, decimals = FORMATS.get(column, (1.0, 0))
    return value, f"{value / divisor:,.{decimals}f}" if value else "0"
