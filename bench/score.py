"""Score a folder of coloured pictures from any method: pair, check, compute rows, write what a run writes."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bench.build import data_errors
from bench.device import device_name
from bench.downloads import METRIC_FILES
from bench.errors import CommandError, UsageError
from bench.execute import Effort
from bench.files import atomic_write
from bench.leaderboard import read_records, write_leaderboards
from bench.outputs import config_digest, refuse_other_run, working_in, write_plan, write_results
from bench.pairs import Pairing, batches
from bench.picture_set import PictureSet, pictures_folder, refuse_other_pictures
from bench.pictures import save_pairs
from bench.plan import portable
from bench.plugins import Plugin
from bench.progress import progress, say
from bench.provenance import canonical_digest, plugin_sources, run_id, sources_digest
from bench.record import RunRecord, build_record
from bench.report.page import write_report
from bench.rows import Row, await_writers, read_rows
from bench.runner import compute
from bench.scoring.classification import tell_classes
from bench.scoring.folders import FolderRequest, open_truth
from bench.scoring.metrics import METRICS
from bench.scoring.networks import find_networks
from bench.scoring.sets import score_set
from bench.status import PlannedRun
from bench.submission import DETECTOR, SEED, Submission
from bench.suite import DEFAULT_METRICS
from bench.weights import find_weights
from bench.workers import GaveUpError
from datamodules.images import open_file
from datamodules.photos import Photo
from datamodules.protocol import PROTOCOLS
from datamodules.sources.annotated import AnnotatedFolderSource
from datamodules.sources.digest import digest_photos
from datamodules.sources.folder import FolderSource

BATCH_SIZE = 4
BATCH_PIXELS = 2**22


@dataclass(frozen=True, slots=True)
class Job:
    """Hold what is scored, with the digests of what goes into it and the content of its `config.yaml`."""

    request: FolderRequest
    digests: dict[str, str]
    partial: bool
    config: str
    plugins: tuple[Plugin, ...] = ()

    @property
    def pictures(self) -> PictureSet:
        """Return the true pictures that are scored against, as they are compared."""
        return PictureSet(self.digests["dataset"], PROTOCOLS[self.request.protocol].digest)


def score(submission: Submission, pairing: Pairing) -> int:
    """Score what was paired and write everything that the interface promises.

    Returns:
        How many pictures ended as error rows.

    Raises:
        CommandError: Another process is at work in the output folder, or a picture failed and that ends the run.
        UsageError: The output folder holds another run of that name, or pictures of another set.
        MissingError: Annotations or weights are not there.
    """
    with working_in(submission.out):
        job = prepare(submission, pairing)
        request = job.request
        refuse_other_run(request.folder, request.run_id, job.config)
        if submission.save_images:
            refuse_other_pictures(submission.out, submission.dataset, job.pictures, read_records([submission.out]))
        if not (request.folder / "config.yaml").is_file():
            atomic_write(request.folder / "config.yaml", job.config)
        write_plan([_planned(submission, request)], submission.out)
        await_writers(request.folder)
        done = read_rows(request.folder, request.run_id)
        _refuse_failed(request, done)
        began = datetime.now(UTC)
        (effort,) = compute([(request, frozenset(done))], submission.devices)
        if isinstance(effort, GaveUpError):
            raise effort
        record = finish(submission, job, began, effort)
        if submission.save_images:
            save_pairs(request, pairing.matched, pictures_folder(submission.out, submission.dataset), job.pictures)
        write_leaderboards(submission.out)
        write_report(submission.out)
    _tell(record, submission)
    return record.counts.failed


def prepare(submission: Submission, pairing: Pairing) -> Job:
    """Find all that scoring needs, and tell runs apart by what goes into them."""
    with data_errors():
        truth = open_truth(submission.truth, submission.instances, pairing.ambiguous)
        predictions = FolderSource(submission.predictions, leave_out=pairing.ambiguous, named=submission.named)
    if isinstance(truth, AnnotatedFolderSource) and submission.instances is not None:
        _tell_listed(truth, submission.instances)
    metrics = find_metrics(submission)
    for notice in tell_classes(submission.dataset, truth, metrics):
        say(notice)
    digests = _digests(truth, predictions, pairing.matched)
    brought = tuple(plugin for plugin in map(METRICS.plugin, metrics) if plugin is not None)
    digests |= {"plugins": canonical_digest(plugin_sources(brought))} if brought else {}
    settings = {"name": submission.name, "dataset_name": submission.dataset, "partial": not pairing.whole}
    protocol = PROTOCOLS[submission.protocol].digest
    identity = run_id({**settings, "protocol": protocol, "metrics": list(metrics), **digests})
    request = FolderRequest(
        run_id=identity,
        title=f"{submission.dataset} {submission.name}",
        folder=submission.out / submission.folder,
        predictions=submission.predictions,
        truth=submission.truth,
        instances=submission.instances,
        leave_out=tuple(pairing.ambiguous),
        batches=tuple(batches(pairing, BATCH_SIZE, BATCH_PIXELS)),
        protocol=submission.protocol,
        metrics=metrics,
        total=len(pairing.matched),
        strict=submission.strict,
        named=submission.named,
    )
    facts = {"metrics": " ".join(metrics), "sources": sources_digest(), "run": identity}
    expected = {**digests, "partial": str(not pairing.whole).lower(), **facts}
    return Job(request, digests, not pairing.whole, _config(submission, expected), brought)


def find_metrics(submission: Submission) -> tuple[str, ...]:
    """Return the metrics to compute: those that were asked for, or those of the usual ones that can be.

    Raises:
        MissingError: The weights of one that was asked for are not there; the message says how to get them.
    """
    for metric in submission.metrics or ():
        if metric in METRIC_FILES:
            find_weights(*METRIC_FILES[metric], download=submission.download)
    _, metrics, notices = find_networks(submission.metrics or DEFAULT_METRICS, download=submission.download)
    for notice in notices:
        say(notice)
    return metrics


def _tell_listed(truth: AnnotatedFolderSource, instances: Path) -> None:
    """Say how the pictures that a COCO file lists and those of the folder differ, which is no error.

    Raises:
        UsageError: They have none in common.
    """
    keys = {photo.key for photo in truth.photos}
    absent, unlisted = truth.listed - keys, keys - truth.listed
    if unlisted == keys:
        raise UsageError(
            f"{instances} lists none of the {len(keys)} pictures in {truth.root}: its file names must be relative to it"
        )
    if absent:
        say(f"{len(absent)} of the {len(truth.listed)} pictures that {instances.name} lists are not in {truth.root}")
    if unlisted:
        say(f"{len(unlisted)} of the {len(keys)} pictures in {truth.root} are not in {instances.name}: no instances")


def _digests(truth: FolderSource, predictions: FolderSource, keys: Sequence[str]) -> dict[str, str]:
    """Return the digest of all true pictures, as a run on them has it, and that of the predictions that are scored."""
    with progress("digests of truth and predictions", 2) as advance:
        whole = truth.digest()
        advance()
        given = digest_photos(map(Photo, keys), lambda key: open_file(predictions.paths[key], predictions.root))
        advance()
    return {"dataset": whole, "predictions": given}


def _config(submission: Submission, expected: Mapping[str, str]) -> str:
    """Return the content of `config.yaml`: all arguments, without the folders of absolute paths."""
    instances = None if submission.instances is None else portable(str(submission.instances))
    given = {
        "predictions": portable(str(submission.predictions)),
        "truth": portable(str(submission.truth)),
        "name": submission.name,
        "instances": instances,
        "protocol": submission.protocol,
        "metrics": ",".join(expected["metrics"].split()),
        "dataset": submission.dataset,
        "partial": submission.partial,
        **({"named": submission.named} if submission.named else {}),
    }
    return yaml.safe_dump(
        {"command": _command(given), **given, "expected": dict(expected)}, sort_keys=False, allow_unicode=True
    )


def _command(given: Mapping[str, Any]) -> str:
    """Return the command line that repeats a run.

    >>> _command({"predictions": "a", "truth": "b", "name": "mine", "instances": None, "partial": True})
    'colorbench score a b --name mine --partial'
    """
    words = ["colorbench", "score", given["predictions"], given["truth"]]
    for key, value in given.items():
        if key not in {"predictions", "truth"} and value:
            words += [f"--{key}"] if value is True else [f"--{key}", value]
    return shlex.join(words)


def _refuse_failed(request: FolderRequest, rows: Mapping[str, Row]) -> None:
    """End a strict run that is started again where it has ended before."""
    failed = next((row for row in rows.values() if row.failed), None)
    if request.strict and failed is not None:
        raise CommandError(f"{failed.image}: {failed.message} ({failed.status}); --strict ends here")


def finish(submission: Submission, job: Job, started: datetime, effort: Effort) -> RunRecord:
    """Write the tables and the record of a folder whose rows are there."""
    request = job.request

    def describe(rows: Mapping[str, Row]) -> RunRecord:
        return build_record(
            rows=rows,
            run_id=request.run_id,
            suite="score",
            method=submission.name,
            detector=DETECTOR,
            dataset=submission.dataset,
            protocol=PROTOCOLS[submission.protocol],
            seed=SEED,
            partial=job.partial,
            untrained=False,
            metrics=request.metrics,
            digests=job.digests | {"config": config_digest(request.folder)},
            plugins=job.plugins,
            parameters={},
            device=device_name(),
            precision="32",
            processes=submission.devices,
            started=started,
            seconds=effort.seconds,
            computed=effort.pictures,
            peak_memory_mb=effort.peak_memory_mb,
            sets=score_set(request.folder, rows, request.metrics),
        )

    return write_results(request.folder, request.run_id, request.metrics, describe)


def _planned(submission: Submission, request: FolderRequest) -> PlannedRun:
    return PlannedRun(
        folder=submission.folder,
        dataset=submission.dataset,
        method=submission.name,
        detector=DETECTOR,
        seed=SEED,
        total=request.total,
        run_id=request.run_id,
    )


def _tell(record: RunRecord, submission: Submission) -> None:
    """Say what a reader of the scores should know."""
    counts = record.counts
    notes = {
        "predictions are grey": counts.gray_prediction,
        "predictions are the truth to the last bit": counts.identical,
        "truths are grey and enter no mean": counts.gray_truth,
    }
    for what, number in notes.items():
        if number:
            say(f"{number} of {counts.images} {what}")
    others = [other for other in read_records([submission.out]) if other.dataset == record.dataset]
    if any(other.digests.dataset != record.digests.dataset for other in others):
        say(
            f"there are runs on other pictures, or with other annotations, that are called {record.dataset} too: they "
            "stand in tables of their own; give each set a name with --dataset"
        )
