"""Run a suite: prepare, compute rows, write records and tables. One visible loop."""

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bench.device import device_name, peak_memory_mb
from bench.errors import UsageError
from bench.execute import execute
from bench.files import atomic_write
from bench.leaderboard import write_leaderboards
from bench.pictures import save_pictures
from bench.plan import plan, resolved
from bench.prepare import Job, Options, check_unchanged, prepare
from bench.progress import progress, say
from bench.provenance import sources_digest
from bench.record import RunRecord, build_record
from bench.report.page import write_report
from bench.rows import read_rows, write_images_csv, write_instances_csv
from bench.suite import Suite
from bench.tracking import log_record
from bench.workers import execute_in_processes
from datamodules.protocol import PROTOCOLS


def run(suite: Suite, options: Options) -> int:
    """Run a suite and write everything that the interface promises.

    Returns:
        How many pictures ended as error rows.
    """
    runs = plan(suite, options.only)
    _check_writable(options.out)
    jobs = prepare(suite, runs, options)
    for job in jobs:
        check_unchanged(job, suite)
    for job in jobs:
        _write_config(suite, job, options)
    _write_plan(jobs, options.out)
    if options.save_images:
        for name, tree in {job.run.dataset.name: job.request.data for job in jobs}.items():
            save_pictures(tree, suite, options.out / "pictures" / name)
    failed = _execute_all(suite, jobs, options)
    write_leaderboards(options.out)
    write_report(options.out)
    return failed


def _execute_all(suite: Suite, jobs: Sequence[Job], options: Options) -> int:
    if options.devices > 1:
        started = time.monotonic(), datetime.now(UTC)
        execute_in_processes([job.request for job in jobs], options.devices)
        return sum(finish(suite, job, options, *started) for job in jobs)
    failed = 0
    for job in jobs:
        began = time.monotonic(), datetime.now(UTC)
        with progress(job.request.title, job.request.total) as advance:
            execute(job.request, 0, 1, advance)
        failed += finish(suite, job, options, *began)
        if failed and options.strict:
            say(f"{job.request.title}: a picture failed, and --strict ends the run here")
            break
    return failed


def finish(suite: Suite, job: Job, options: Options, began: float, started: datetime) -> int:
    """Write the tables and the record of a run whose rows are there; return how many pictures failed."""
    request = job.request
    rows = read_rows(request.folder, request.run_id)
    write_images_csv(rows.values(), request.folder / "images.csv", request.metrics)
    write_instances_csv(rows.values(), request.folder / "instances.csv", request.metrics)
    previous = request.folder / "record.json"
    record = build_record(
        rows=rows,
        run_id=request.run_id,
        suite=suite.name,
        method=job.run.method.name,
        detector=job.run.detector.name,
        dataset=job.run.dataset.name,
        protocol=PROTOCOLS[suite.protocol],
        seed=job.run.seed,
        partial=suite.limit is not None or len(rows) < request.total,
        untrained=job.run.method.untrained,
        metrics=request.metrics,
        digests=job.digests | {"config": _config_digest(request.folder)},
        parameters=job.parameters,
        device=device_name(),
        precision=suite.precision,
        processes=options.devices,
        started=started,
        seconds=time.monotonic() - began,
        peak_memory_mb=peak_memory_mb(),
    )
    if _same_rows(previous, record):
        return record.counts.failed
    atomic_write(previous, record.model_dump_json(indent=1) + "\n")
    log_record(record, options.loggers, options.out)
    return record.counts.failed


def _same_rows(path: Path, record: RunRecord) -> bool:
    """Whether a record of these very rows stands already: then its times are those of the real computation."""
    if not path.is_file():
        return False
    before = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    return before.digests == record.digests and before.run_id == record.run_id


def _check_writable(out: Path) -> None:
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


def _write_config(suite: Suite, job: Job, options: Options) -> None:
    """Write the suite of this single run, with all defaults and the digests that it was made with."""
    expected = {**job.digests, "sources": sources_digest(), "run": job.request.run_id}
    single = resolved(suite, job.run, options.places, expected)
    job.request.folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(single.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    atomic_write(job.request.folder / "config.yaml", text)


def _config_digest(folder: Path) -> str:
    return hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()


def _write_plan(jobs: Sequence[Job], out: Path) -> None:
    """Add the runs to `plan.json`, from which `status` knows what is to come."""
    path = out / "plan.json"
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    runs = {entry["folder"]: entry for entry in before}
    for job in jobs:
        runs[job.run.folder] = {
            "folder": job.run.folder,
            "dataset": job.run.dataset.name,
            "method": job.run.method.name,
            "detector": job.run.detector.name,
            "seed": job.run.seed,
            "total": job.request.total,
            "run_id": job.request.run_id,
        }
    atomic_write(path, json.dumps({"runs": list(runs.values())}, indent=1) + "\n")
