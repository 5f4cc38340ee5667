"""The rows of a run: one JSON line a finished picture, appended and never rewritten.

From them everything else is computed. A run that was killed is resumed by reading them, at any number of processes.
"""

import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, model_validator

from bench.errors import CommandError
from bench.files import append_whole, atomic_write, sync_folder, writing
from bench.locks import PATIENCE, Lock
from bench.tables import table_to_csv

Status = Literal[
    "ok",
    "gray-truth",
    "error-decode",
    "error-size",
    "error-nonfinite",
    "error-memory",
    "error-crash",
    "error-method",
]
Size = Literal["small", "medium", "large"]
Scores = dict[str, FiniteFloat | None]

SYNC_ROWS = 16
SYNC_SECONDS = 1.0


class RowError(CommandError):
    """Rows that cannot be read, written or merged; the message names file, line and reason."""


class InstanceRow(BaseModel):
    """Hold the scores of one instance; `x`, `y`, `width`, `height` are the scored box in protocol pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: int
    category_id: int
    category: str
    area: FiniteFloat
    size: Size
    x: NonNegativeInt
    y: NonNegativeInt
    width: NonNegativeInt
    height: NonNegativeInt
    scores: Scores = {}


class Row(BaseModel):
    """Hold what a run found out about one picture.

    Attributes:
        width: in pixels at the protocol's size, like `height`; None where the picture could not be read.
        n_instances: instances that were scored, the length of `instances`.
        n_boxes: boxes that the method was given.
        left_out_small: instances whose box is too small to score.
        left_out_crowd: annotations of crowds.
        identical: whether prediction and truth are the same to the last bit.
        gray_prediction: whether the prediction is grey, by the rule for the truth.
        scores: by metric; None where the metric is not defined for this picture. Empty in a row with an error.
        message: why there is an error; empty elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    image: str
    status: Status
    width: NonNegativeInt | None = None
    height: NonNegativeInt | None = None
    n_instances: NonNegativeInt = 0
    n_boxes: NonNegativeInt = 0
    left_out_small: NonNegativeInt = 0
    left_out_crowd: NonNegativeInt = 0
    identical: bool = False
    gray_prediction: bool = False
    scores: Scores = {}
    instances: tuple[InstanceRow, ...] = ()
    message: str = ""

    @model_validator(mode="after")
    def _agree_with_itself(self) -> Self:
        if self.failed and (self.scores or self.instances):
            raise ValueError("a row with an error has no scores")
        if self.n_instances != len(self.instances):
            raise ValueError(f"n_instances is {self.n_instances}, but {len(self.instances)} instances follow")
        return self

    @property
    def failed(self) -> bool:
        """Whether the picture has no scores because of an error."""
        return self.status.startswith("error-")

    def to_json(self) -> str:
        """Return the row as one line of JSON, always the same for equal rows."""
        return json.dumps(self.model_dump(mode="json"), allow_nan=False, separators=(",", ":"))


class RowStore:
    """Append the rows of one process to `rows.rank<r>.jsonl`.

    Each row is one write to a file opened for appending: a kill at any moment costs at most the picture in hand.
    Opening cuts off the torn end that a kill or a power loss may have left. One store at a time has the file: a second
    one, in whatever process, waits for the first to be closed or to die.

    Args:
        folder: of the run; made where it is missing.
        run_id: that all rows must carry.
        rank: of the process.
        patience: seconds to wait for another store.

    Raises:
        CommandError: Another process has the file for longer, or it cannot be opened.
    """

    def __init__(self, folder: Path, run_id: str, rank: int = 0, patience: float = PATIENCE) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.run_id = run_id
        self.path = folder / f"rows.rank{rank}.jsonl"
        self._lock = Lock(folder / f".rows.rank{rank}.lock", f"{folder.name}/{self.path.name}", patience)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        os.ftruncate(self._file, sum(map(len, _whole_lines(self.path)[0])))
        sync_folder(folder)
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def append(self, row: Row) -> None:
        """Write one row.

        Raises:
            RowError: The row belongs to another run, or the disk does not take it; no part of it stays in the file.
        """
        if row.run_id != self.run_id:
            raise RowError(f"a row of run {row.run_id[:12]} was given to the store of run {self.run_id[:12]}")
        line = f"{row.to_json()}\n".encode()
        try:
            append_whole(self._file, line)
        except OSError as error:
            raise RowError(f"{self.path.name}: {len(line)} bytes could not be written: {error.strerror}") from error
        self._unsynced += 1
        if self._unsynced >= SYNC_ROWS or time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Let all rows reach the disk.

        Raises:
            CommandError: The disk does not take them.
        """
        if self._unsynced:
            with writing(self.path):
                os.fsync(self._file)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Flush and close the file; may be called twice."""
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_rows(folder: Path, run_id: str | None = None, rank: int | None = None) -> dict[str, Row]:
    """Return the rows of all processes, by image, sorted by it.

    A torn last line is left out with a warning, so that its image is done again; a row that stands twice counts once.

    Args:
        folder: of the run; without row files there are no rows.
        run_id: that all rows must carry; None takes that of the first.
        rank: of the process whose rows are wanted; None for those of all.

    Raises:
        RowError: A line in the middle is broken, rows are of another run, or two rows of one image differ.
    """
    rows: dict[str, tuple[Row, str]] = {}
    for path in sorted(folder.glob(f"rows.rank{'*' if rank is None else rank}.jsonl")):
        for number, row in _read_file(path):
            place = f"{path.name}:{number}"
            run_id = run_id or row.run_id
            if row.run_id != run_id:
                raise RowError(f"{place}: a row of run {row.run_id[:12]} among those of run {run_id[:12]}")
            known, first = rows.setdefault(row.image, (row, place))
            if known != row:
                raise RowError(f"{first} and {place} give different scores to {row.image!r}")
    return {image: rows[image][0] for image in sorted(rows)}


def scan_rows(folder: Path) -> Iterator[tuple[str, Row | RowError]]:
    """Yield every line of the rows of a run with its file and number, one that is broken or torn as an error."""
    for path in sorted(folder.glob("rows.rank*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            try:
                yield f"{path.name}:{number}", _parse(path, number, line)
            except RowError as error:
                yield f"{path.name}:{number}", error


def await_writers(folder: Path, patience: float = PATIENCE) -> None:
    """Wait until no process writes rows of a run: those that a killed run left behind end by themselves.

    Raises:
        CommandError: One is still at work after `patience` seconds; the message names it.
    """
    for path in sorted(folder.glob(".rows.rank*.lock")):
        Lock(path, f"{folder.name}/{path.stem.removeprefix('.')}.jsonl", patience).release()


def images_csv(rows: Iterable[Row], metrics: Sequence[str]) -> str:
    """Return the text of `images.csv`: one line a picture, sorted by `image`; a column for each of `metrics`."""
    columns = ("image", "width", "height", "n_instances", "status", *metrics)
    ordered = sorted(rows, key=lambda row: row.image)
    lines = [
        (row.image, row.width, row.height, row.n_instances, row.status, *map(row.scores.get, metrics))
        for row in ordered
    ]
    return table_to_csv(columns, lines)


def instances_csv(rows: Iterable[Row], metrics: Sequence[str]) -> str:
    """Return the text of `instances.csv`: one line an instance, sorted by `image` and the number `instance`."""
    columns = [name for name in InstanceRow.model_fields if name != "scores"]
    lines = [
        (row.image, *(getattr(instance, name) for name in columns), *map(instance.scores.get, metrics))
        for row in sorted(rows, key=lambda row: row.image)
        for instance in sorted(row.instances, key=lambda instance: instance.instance)
    ]
    return table_to_csv(("image", *columns, *metrics), lines)


def write_images_csv(rows: Iterable[Row], path: Path, metrics: Sequence[str]) -> None:
    """Replace `path` by `images_csv`."""
    atomic_write(path, images_csv(rows, metrics))


def write_instances_csv(rows: Iterable[Row], path: Path, metrics: Sequence[str]) -> None:
    """Replace `path` by `instances_csv`."""
    atomic_write(path, instances_csv(rows, metrics))


def _read_file(path: Path) -> Iterator[tuple[int, Row]]:
    lines, torn = _whole_lines(path)
    for number, line in enumerate(lines, 1):
        yield number, _parse(path, number, line)
    if torn:
        warnings.warn(f"{path.name}: the torn last line is left out, its image is done again", stacklevel=3)


def _parse(path: Path, number: int, line: bytes) -> Row:
    try:
        return Row.model_validate(json.loads(line))
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise RowError(
            f"{path.name}:{number}: not a row of this suite ({reason}); put the file back as it was, or delete "
            f"line {number} and run the same command again: its picture is done anew"
        ) from error


def _whole_lines(path: Path) -> tuple[list[bytes], bool]:
    """Return the lines of a row file, and whether a last one was left out that has no end or is not JSON."""
    lines = path.read_bytes().splitlines(keepends=True)
    torn = bool(lines) and not _is_whole(lines[-1])
    return lines[:-1] if torn else lines, torn


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
