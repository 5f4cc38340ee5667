"""What stands in an output folder: which runs are finished, which are not, and what failed. Knows no torch."""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.errors import CommandError, MissingError
from bench.files import path_below
from bench.inpainting.record import note_inpainting
from bench.leaderboard import read_record, record_paths
from bench.rows import Row, RowError, read_rows
from bench.terminal import visible, widen

MOST_FAILURES = 10


class PlannedRun(BaseModel):
    """Hold one entry of `plan.json`; `folder` is relative to the output folder, `total` counts pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    dataset: str
    method: str
    detector: str
    seed: int
    total: NonNegativeInt
    run_id: str


class Plan(BaseModel):
    """Hold the runs that an output folder is to have, in the order in which they are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[PlannedRun, ...]


def read_plan(out: Path) -> list[PlannedRun]:
    """Return what `plan.json` promises, and after it the finished runs that it does not name.

    Raises:
        CommandError: The plan cannot be read.
        MissingError: The folder holds neither a plan nor a finished run.
    """
    planned = read_plan_file(out)
    known = {run.folder for run in planned}
    found = [_planned(out, path) for path in record_paths(out)]
    planned += [run for run in found if run.folder not in known]
    if not planned:
        raise MissingError(note_inpainting(out) or f"no run in {out}: give the --out folder of `colorbench run`")
    return planned


def read_plan_file(out: Path) -> list[PlannedRun]:
    """Return what `plan.json` promises, nothing where there is none.

    Raises:
        CommandError: It cannot be read.
    """
    path = out / "plan.json"
    if not path.is_file():
        return []
    try:
        planned = list(Plan.model_validate(json.loads(path.read_text(encoding="utf-8"))).runs)
        for run in planned:
            path_below(out, run.folder)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise CommandError(f"{path} is no plan ({reason}); `colorbench run` writes it anew") from error
    return planned


def _planned(out: Path, path: Path) -> PlannedRun:
    try:
        record = read_record(path)
    except CommandError:
        return _named_by_folder(out, path.parent)
    return PlannedRun(
        folder=path.parent.relative_to(out).as_posix(),
        dataset=record.dataset,
        method=record.method,
        detector=record.detector,
        seed=record.seed,
        total=record.counts.images,
        run_id=record.run_id,
    )


def _named_by_folder(out: Path, folder: Path) -> PlannedRun:
    """Return what `<dataset>/<method>--<detector>--s<seed>` and the rows say of a run whose record cannot be read."""
    named, _, seed = folder.name.rpartition("--s")
    method, _, detector = named.rpartition("--")
    run = PlannedRun(
        folder=folder.relative_to(out).as_posix(),
        dataset=folder.parent.name,
        method=method or folder.name,
        detector=detector,
        seed=int(seed) if seed.isdecimal() else 0,
        total=0,
        run_id="",
    )
    return run.model_copy(update={"total": len(_rows(out, run)[0])})


def read_status(out: Path) -> dict[str, Any]:
    """Return the state of all runs in an output folder as plain values.

    Returns:
        `runs`, each with its place, `state` (`finished`, `partial` or `not started`), `done` and `total` pictures, the
        number `failed`, its `failures` by status, the first `failed_images` and an `error` if it cannot be read; and
        the sums `finished`, `total_runs`, `done`, `total` and `failed`.
    """
    runs = [_run_status(out, run) for run in read_plan(out)]
    sums = {key: sum(run[key] for run in runs) for key in ("done", "total", "failed")}
    finished = sum(run["state"] == "finished" for run in runs)
    return {"runs": runs, "finished": finished, "total_runs": len(runs), **sums}


def _run_status(out: Path, run: PlannedRun) -> dict[str, Any]:
    rows, error = _rows(out, run)
    broken = [row for row in rows.values() if row.failed]
    finished, unreadable = _record_state(out, run)
    error = error or unreadable
    state = "finished" if finished else "partial" if rows or error else "not started"
    return {
        **run.model_dump(),
        "state": state,
        "done": len(rows),
        "failed": len(broken),
        "failures": dict(sorted(Counter(row.status for row in broken).items())),
        "failed_images": [row.image for row in broken[:MOST_FAILURES]],
        "error": error,
    }


def _rows(out: Path, run: PlannedRun) -> tuple[dict[str, Row], str]:
    try:
        return read_rows(path_below(out, run.folder), run.run_id), ""
    except (RowError, OSError) as error:
        return {}, str(error)


def tell_failures(out: Path, folders: Collection[str] | None = None) -> list[str]:
    """Return a line for each of the first failed pictures in an output folder, with its reason, and one for the rest.

    Args:
        out: folder of runs.
        folders: of the runs that are asked about, relative to it; None for all.
    """
    runs = [run for run in read_plan(out) if folders is None or run.folder in folders]
    failed = [(run.folder, row) for run in runs for row in _rows(out, run)[0].values() if row.failed]
    lines = [f"{folder}: {row.image}: {row.message} ({row.status})" for folder, row in failed[:MOST_FAILURES]]
    more = len(failed) - len(lines)
    return [*map(visible, lines), *([f"and {more} more"] if more else [])]


def _record_state(out: Path, run: PlannedRun) -> tuple[bool, str]:
    """Return whether the run has a record of its own, not one that another run left, and why it cannot be read."""
    path = path_below(out, run.folder) / "record.json"
    try:
        return path.is_file() and read_record(path).run_id == run.run_id, ""
    except CommandError as error:
        return False, str(error)


def print_status(out: Path, console: Console | None = None) -> None:
    """Print the state of all runs in an output folder."""
    console = widen(console or Console(highlight=False))
    status = read_status(out)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("dataset", "method", "detector", "seed", "state", "done", "failed"):
        table.add_column(name, justify="right" if name in {"seed", "done", "failed"} else "left", overflow="fold")
    for run in status["runs"]:
        done = f"{run['done']}/{run['total']}"
        cells = (run["dataset"], run["method"], run["detector"], str(run["seed"]), run["state"], done)
        table.add_row(
            *(Text(visible(cell)) for cell in cells), Text(_failed(run), style="red" if run["failed"] else "")
        )
    console.print(table)
    for run in status["runs"]:
        _print_failures(run, console)
    console.print(f"{status['finished']} of {status['total_runs']} runs finished, {status['failed']} pictures failed")
    if status["finished"] < status["total_runs"]:
        console.print("Go on with the same command: what is done is kept.", soft_wrap=True)


def _failed(run: dict[str, Any]) -> str:
    return ", ".join(f"{count} {status}" for status, count in run["failures"].items()) or "0"


def _print_failures(run: dict[str, Any], console: Console) -> None:
    lines = [run["error"]] if run["error"] else []
    lines += run["failed_images"]
    more = run["failed"] - len(run["failed_images"])
    if lines:
        console.print(Text(f"{run['folder']}:"))
    for line in lines:
        console.print(Text(f"  {visible(line)}"), soft_wrap=True)
    if more > 0:
        console.print(Text(f"  and {more} more, in images.csv"))
