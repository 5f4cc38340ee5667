"""The output folder of runs: who may write there, what is planned, and what a finished run leaves behind."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from pydantic import ValidationError

from bench.breakdown import write_breakdown
from bench.catalog import read_yaml
from bench.errors import UsageError
from bench.files import atomic_write, remove_torn
from bench.locks import Lock
from bench.record import RunRecord
from bench.rows import Row, read_rows, write_images_csv, write_instances_csv
from bench.scoring.metrics import row_columns
from bench.status import PlannedRun, read_plan_file

COMPUTATION = (
    "git_commit",
    "git_dirty",
    "versions",
    "device",
    "processes",
    "started_utc",
    "seconds",
    "images_per_second",
    "peak_memory_mb",
)
"""What a record says of the computation of its rows; all else follows from these and from the configuration."""


@contextmanager
def working_in(out: Path) -> Iterator[None]:
    """Keep other commands from writing runs to a folder, and clear up behind those that were killed there.

    Raises:
        UsageError: The folder cannot be made or written to.
        CommandError: Another process is at work there.
    """
    check_writable(out)
    with Lock(out / ".run.lock", str(out)):
        remove_torn(out)
        yield


def check_writable(out: Path) -> None:
    """Fail before the first model is loaded where nothing could be written.

    Raises:
        UsageError: The output folder cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to --out {out}: {error.strerror}; give another folder") from error


def write_plan(runs: Iterable[PlannedRun], out: Path) -> None:
    """Add runs to `plan.json`, from which `status` knows what is to come.

    Raises:
        CommandError: The plan that is there cannot be read.
    """
    entries = {run.folder: run.model_dump() for run in (*read_plan_file(out), *runs)}
    atomic_write(out / "plan.json", json.dumps({"runs": list(entries.values())}, indent=1) + "\n")


def write_results(
    folder: Path, run_id: str, metrics: Sequence[str], describe: Callable[[Mapping[str, Row]], RunRecord]
) -> RunRecord:
    """Write the tables and the record of a run whose rows are there.

    Args:
        folder: of the run.
        run_id: of its rows.
        metrics: that were computed.
        describe: makes the record of the rows. Where one of these very rows stands already, `COMPUTATION` is taken
            from it, whatever else it says.

    Returns:
        The record that stands there now.
    """
    rows = read_rows(folder, run_id)
    write_images_csv(rows.values(), folder / "images.csv", row_columns("image", metrics))
    write_instances_csv(rows.values(), folder / "instances.csv", row_columns("instance", metrics))
    write_breakdown(rows.values(), folder / "breakdown.csv", metrics)
    path = folder / "record.json"
    record = _with_computation(path, describe(rows))
    if not path.is_file() or path.read_bytes() != record.to_json().encode():
        atomic_write(path, record.to_json())
    return record


def refuse_other_run(folder: Path, run_id: str, config: str) -> None:
    """Refuse to go on where what is to be run is not what stands in the folder.

    Args:
        folder: of the run.
        run_id: of what is to be run.
        config: content of its `config.yaml`.

    Raises:
        UsageError: Names what differs, or a `config.yaml` that cannot be read.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return
    before, now = read_yaml(path), yaml.safe_load(config)
    expected = before.get("expected")
    stood = expected if isinstance(expected, dict) else {}
    if stood.get("run") == run_id:
        return
    changed = sorted({*_differing(before, now), *_differing(stood, now["expected"]) - {"settings", "partial"}})
    raise UsageError(
        f"{folder} holds another run: {', '.join(changed) or 'settings'} changed; give another --out, or delete that "
        "folder"
    )


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    """Return the keys under which two mappings differ, but for those that sum up or repeat others."""
    keys = {*before, *now} - {"command", "expected", "run", "name"}
    return {key for key in keys if before.get(key) != now.get(key)}


def config_digest(folder: Path) -> str:
    """Return the sha256 of a run's `config.yaml`, in hexadecimal."""
    return hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()


def _with_computation(path: Path, record: RunRecord) -> RunRecord:
    """Return a record with `COMPUTATION` from the one at `path`, if that is of the same rows."""
    try:
        before = RunRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # a broken record is written anew
        return record
    if (before.run_id, before.digests.rows) != (record.run_id, record.digests.rows):
        return record
    return record.model_copy(update={name: getattr(before, name) for name in COMPUTATION})
