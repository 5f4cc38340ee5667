"""Run a suite: prepare, compute rows, write records and tables. One visible loop."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.device import device_name
from bench.errors import CommandError, UsageError
from bench.execute import Effort, Request, execute
from bench.files import atomic_write, path_below, remove_torn
from bench.leaderboard import write_leaderboards
from bench.locks import Lock
from bench.pictures import save_pictures
from bench.plan import plan
from bench.prepare import Job, Options, check_unchanged, prepare
from bench.progress import progress, say
from bench.record import RunRecord, build_record
from bench.report.page import write_report
from bench.rows import await_writers, read_rows, write_images_csv, write_instances_csv
from bench.scoring.metrics import row_columns
from bench.suite import Suite
from bench.tracking import log_record
from bench.workers import GaveUpError, Task, execute_in_processes
from datamodules.protocol import PROTOCOLS


def run(suite: Suite, options: Options) -> int:
    """Run a suite and write everything that the interface promises.

    Returns:
        How many pictures ended as error rows.

    Raises:
        CommandError: Another process is at work in the folder, or runs were left unfinished; all others are done.
    """
    runs = plan(suite, options.only)
    _check_writable(options.out)
    with Lock(options.out / ".run.lock", str(options.out)):
        remove_torn(options.out)
        jobs = prepare(suite, runs, options)
        for job in jobs:
            check_unchanged(job, suite)
        for job in jobs:
            atomic_write(job.request.folder / "config.yaml", job.config())
        _write_plan(jobs, options.out)
        if options.save_images:
            for name, tree in {job.run.dataset.name: job.request.data for job in jobs}.items():
                save_pictures(tree, suite, options.out / "pictures" / name)
        failed, left = _execute_all(suite, jobs, options)
        write_leaderboards(options.out)
        write_report(options.out)
    if left:
        raise CommandError("\n".join(map(str, left)))
    return failed


def _execute_all(suite: Suite, jobs: Sequence[Job], options: Options) -> tuple[int, list[GaveUpError]]:
    """Compute what is missing and finish each run; several processes get all runs at once, but for `--strict`.

    Returns:
        How many pictures failed, and the runs that were left unfinished because their method ends its process.
    """
    at_once = len(jobs) if options.devices > 1 and not options.strict else 1
    failed, left = 0, []
    for start in range(0, len(jobs), at_once):
        together = jobs[start : start + at_once]
        tasks = [(job.request, frozenset(_finished(job))) for job in together]
        began = datetime.now(UTC)
        for job, result in zip(together, _compute(tasks, options), strict=True):
            if isinstance(result, GaveUpError):
                left.append(result)
            else:
                failed += finish(suite, job, options, began, result)
        if (failed or left) and options.strict:
            say(f"{together[-1].request.title}: a picture failed, and --strict ends the run here")
            break
    return failed, left


def _compute(tasks: Sequence[Task], options: Options) -> list[Effort | GaveUpError]:
    """Compute the missing rows of runs; without any missing no process is started."""
    spent: list[Effort | GaveUpError] = [Effort(0, 0.0, 0.0)] * len(tasks)
    places = [place for place, (request, done) in enumerate(tasks) if len(done) < request.total]
    missing = [tasks[place] for place in places]
    if options.devices == 1 and not options.isolate:
        results: Sequence[Effort | GaveUpError] = [_execute_here(*task) for task in missing]
    else:
        results = execute_in_processes(missing, options.devices, options.timeout) if missing else []
    for place, result in zip(places, results, strict=True):
        spent[place] = result
    return spent


def _execute_here(request: Request, done: frozenset[str]) -> Effort:
    with progress(request.title, request.total - len(done)) as advance:
        return execute(request, 0, 1, done, advance)


def _finished(job: Job) -> Iterable[str]:
    """Return the pictures of a run that have their row; say so where their coloured pictures are wanted and gone."""
    await_writers(job.request.folder)
    rows = read_rows(job.request.folder, job.request.run_id)
    kept = job.request.folder / "images"
    lost = [key for key, row in rows.items() if not row.failed and not path_below(kept, key, ".png").is_file()]
    if job.request.save_images and lost:
        say(
            f"{job.request.title}: {len(lost)} pictures were scored before without --save-images and are not coloured "
            "again; give another --out to get them"
        )
    return rows


def finish(suite: Suite, job: Job, options: Options, started: datetime, effort: Effort) -> int:
    """Write the tables and the record of a run whose rows are there; return how many pictures failed."""
    request = job.request
    rows = read_rows(request.folder, request.run_id)
    write_images_csv(rows.values(), request.folder / "images.csv", row_columns("image", request.metrics))
    columns = row_columns("instance", request.metrics)
    write_instances_csv(rows.values(), request.folder / "instances.csv", columns)
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
        seconds=effort.seconds,
        computed=effort.pictures,
        peak_memory_mb=effort.peak_memory_mb,
    )
    if not _same_rows(previous, record):
        atomic_write(previous, record.to_json())
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
