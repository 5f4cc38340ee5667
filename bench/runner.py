"""Run a suite: prepare, compute rows, write records and tables. One visible loop."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from bench.catalog import Tree
from bench.dashboards.sending import Sending
from bench.device import device_name
from bench.errors import CommandError
from bench.execute import Effort
from bench.files import atomic_write, path_below
from bench.leaderboard import read_records, write_leaderboards
from bench.outputs import config_digest, working_in, write_plan, write_results
from bench.picture_set import PictureSet, pictures_folder, refuse_other_pictures
from bench.pictures import save_pictures
from bench.plan import plan
from bench.portion import Portion
from bench.prepare import Job, Options, check_unchanged, prepare
from bench.progress import progress, say
from bench.record import RunRecord, build_record
from bench.report.page import write_report
from bench.rows import Row, await_writers, read_rows
from bench.scoring.sets import score_set
from bench.status import PlannedRun
from bench.suite import Suite
from bench.work import Work, do_work
from bench.workers import GaveUpError, Task, execute_in_processes
from datamodules.protocol import PROTOCOLS


def run(suite: Suite, options: Options) -> int:
    """Run a suite and write everything that the interface promises.

    Returns:
        How many pictures ended as error rows.

    Raises:
        CommandError: Another process is at work in the folder, or runs were left unfinished; all others are done.
        UsageError: The folder holds other runs, or pictures of another set, under names of the suite.
    """
    runs = plan(suite, options.only)
    with working_in(options.out):
        jobs = prepare(suite, runs, options)
        for job in jobs:
            check_unchanged(job, suite)
        kept = _pictures(suite, jobs) if options.save_images else {}
        for name, (_, held) in kept.items():
            refuse_other_pictures(options.out, name, held, read_records([options.out]))
        for job in jobs:
            atomic_write(job.request.folder / "config.yaml", job.config())
        write_plan(map(_planned, jobs), options.out)
        for name, (tree, held) in kept.items():
            save_pictures(tree, suite, pictures_folder(options.out, name), held)
        with Sending(options.loggers, options.out) as dashboards:
            failed, left = _execute_all(suite, jobs, options, dashboards)
        write_leaderboards(options.out)
        write_report(options.out)
    if left:
        raise CommandError("\n".join(map(str, left)))
    return failed


def _pictures(suite: Suite, jobs: Sequence[Job]) -> dict[str, tuple[Tree, PictureSet]]:
    """Return the datasets whose pictures are to be kept, by name."""
    protocol = PROTOCOLS[suite.protocol].digest
    return {job.run.dataset.name: (job.request.data, PictureSet(job.digests["dataset"], protocol)) for job in jobs}


def _execute_all(
    suite: Suite, jobs: Sequence[Job], options: Options, dashboards: Sending
) -> tuple[int, list[GaveUpError]]:
    """Compute what is missing and finish each run; several processes get all runs at once, but for `--strict`.

    Returns:
        How many pictures failed, and the runs that were left unfinished because their method ends its process.
    """
    at_once = len(jobs) if options.devices > 1 and not options.strict else 1
    failed, left = 0, []
    for start in range(0, len(jobs), at_once):
        together = jobs[start : start + at_once]
        tasks: list[Task] = [(job.request, frozenset(_finished(job))) for job in together]
        began = datetime.now(UTC)
        results = compute(tasks, options.devices, isolate=options.isolate, timeout=options.timeout)
        for job, result in zip(together, results, strict=True):
            if isinstance(result, GaveUpError):
                left.append(result)
            else:
                record = finish(suite, job, options, began, result)
                dashboards.send(job.request.folder, record)
                failed += record.counts.failed
        if (failed or left) and options.strict:
            say(f"{together[-1].request.title}: a picture failed, and --strict ends the run here")
            break
    return failed, left


def compute(
    tasks: Sequence[Task], devices: int, *, isolate: bool = False, timeout: float | None = None
) -> list[Effort | GaveUpError]:
    """Compute the missing rows of runs; without any missing no process is started."""
    spent: list[Effort | GaveUpError] = [Effort(0, 0.0, 0.0)] * len(tasks)
    places = [place for place, (request, done) in enumerate(tasks) if len(done) < request.total]
    missing = [tasks[place] for place in places]
    if devices == 1 and not isolate:
        results: Sequence[Effort | GaveUpError] = [_execute_here(*task) for task in missing]
    else:
        results = execute_in_processes(missing, devices, timeout) if missing else []
    for place, result in zip(places, results, strict=True):
        spent[place] = result
    return spent


def _execute_here(work: Work, done: frozenset[str]) -> Effort:
    with progress(work.title, work.total - len(done)) as advance:
        return do_work(work, Portion(done=done, advance=advance))


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


def finish(suite: Suite, job: Job, options: Options, started: datetime, effort: Effort) -> RunRecord:
    """Write the tables and the record of a run whose rows are there."""
    request = job.request

    def describe(rows: Mapping[str, Row]) -> RunRecord:
        return build_record(
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
            digests=job.digests | {"config": config_digest(request.folder)},
            plugins=job.plugins,
            parameters=job.parameters,
            device=device_name(),
            precision=suite.precision,
            processes=options.devices,
            started=started,
            seconds=effort.seconds,
            computed=effort.pictures,
            peak_memory_mb=effort.peak_memory_mb,
            gmacs=job.gmacs,
            sets=score_set(request.folder, rows, request.metrics),
            perturbation=None if job.boxes is None else job.boxes.perturbation,
            detector_error=None if job.boxes is None else job.boxes.error,
            hints=request.hints or None,
            detector_id=job.run.detector.id,
            track=job.run.method.track,
        )

    return write_results(request.folder, request.run_id, request.metrics, describe)


def _planned(job: Job) -> PlannedRun:
    return PlannedRun(
        folder=job.run.folder,
        dataset=job.run.dataset.name,
        method=job.run.method.name,
        detector=job.run.detector.name,
        seed=job.run.seed,
        total=job.request.total,
        run_id=job.request.run_id,
    )
