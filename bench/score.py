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
from bench.errors import CommandError, MissingError, UsageError
from bench.execute import Effort
from bench.files import atomic_write
from bench.leaderboard import write_leaderboards
from bench.outputs import config_digest, refuse_other_run, working_in, write_plan, write_results
from bench.pairs import Pairing, batches, complaints, pair_folders
from bench.plan import portable
from bench.progress import progress, say
from bench.provenance import run_id, sources_digest
from bench.record import RunRecord, build_record
from bench.report.page import write_report
from bench.rows import Row, await_writers, read_rows
from bench.runner import compute
from bench.scoring.folders import FolderRequest, open_truth
from bench.scoring.networks import find_networks
from bench.scoring.sets import score_set
from bench.status import PlannedRun
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
DETECTOR = "none"
SEED = 0


@dataclass(frozen=True, slots=True)
class Folders:
    """Hold what the command line says.

    Attributes:
        metrics: None for the usual ones, as far as their weights are at hand.
        partial: score the pairs that match, where not all do.
        strict: stop at the first picture that fails.
    """

    predictions: Path
    truth: Path
    out: Path
    name: str
    dataset: str
    protocol: str
    instances: Path | None = None
    metrics: tuple[str, ...] | None = None
    partial: bool = False
    strict: bool = False
    devices: int = 1
    download: bool = True

    @property
    def folder(self) -> str:
        """Return the run's folder below the output folder."""
        return f"runs/{self.dataset}/{self.name}--{DETECTOR}--s{SEED}"


@dataclass(frozen=True, slots=True)
class Job:
    """Hold what is scored, with the digests of what goes into it and the content of its `config.yaml`."""

    request: FolderRequest
    digests: dict[str, str]
    partial: bool
    config: str


def score(folders: Folders) -> int:
    """Score a folder of predictions and write everything that the interface promises.

    Returns:
        How many pictures ended as error rows.

    Raises:
        CommandError: Files of the two folders don't match, another process is at work in the output folder, or the
            first picture failed and that ends the run.
    """
    pairing = find_pairs(folders)
    with working_in(folders.out):
        job = prepare(folders, pairing)
        request = job.request
        refuse_other_run(request.folder, request.run_id, job.config)
        if not (request.folder / "config.yaml").is_file():
            atomic_write(request.folder / "config.yaml", job.config)
        write_plan([_planned(folders, request)], folders.out)
        await_writers(request.folder)
        done = read_rows(request.folder, request.run_id)
        _refuse_failed(request, done)
        began = datetime.now(UTC)
        (effort,) = compute([(request, frozenset(done))], folders.devices)
        if isinstance(effort, GaveUpError):
            raise effort
        record = finish(folders, job, began, effort)
        write_leaderboards(folders.out)
        write_report(folders.out)
    _tell(record)
    return record.counts.failed


def find_pairs(folders: Folders) -> Pairing:
    """Pair the pictures of the two folders.

    Raises:
        CommandError: Not all match, unless a part may be scored and there is one.
        MissingError: A folder is not there or holds no picture.
    """
    for folder in (folders.predictions, folders.truth):
        if not folder.is_dir():
            raise MissingError(f"there is no folder of pictures at {folder}")
    protocol = PROTOCOLS[folders.protocol]
    pairing = pair_folders(folders.predictions, folders.truth, protocol)
    _refuse_empty(folders, pairing)
    if pairing.whole:
        return pairing
    lines = "\n".join(f"  {line}" for line in complaints(pairing, protocol))
    differ, count = f"{folders.predictions} and {folders.truth} do not hold the same pictures", len(pairing.matched)
    if folders.partial and count:
        say(f"{differ}; the {count} that match are scored:\n{lines}")
        return pairing
    way = f", or score the {count} that match with --partial" if count else ""
    raise CommandError(f"{differ}, so nothing is scored; mend the folders{way}\n{lines}")


def _refuse_empty(folders: Folders, pairing: Pairing) -> None:
    in_both = pairing.matched or pairing.resized or pairing.ambiguous
    for folder, others in ((folders.predictions, pairing.surplus), (folders.truth, pairing.missing)):
        if not in_both and not others:
            raise MissingError(f"there is no picture in {folder}")


def prepare(folders: Folders, pairing: Pairing) -> Job:
    """Find all that scoring needs, and tell runs apart by what goes into them."""
    with data_errors():
        truth = open_truth(folders.truth, folders.instances, pairing.ambiguous)
        predictions = FolderSource(folders.predictions, leave_out=pairing.ambiguous)
    if isinstance(truth, AnnotatedFolderSource):
        _tell_listed(truth)
    metrics = find_metrics(folders)
    digests = _digests(truth, predictions, pairing.matched)
    settings = {"name": folders.name, "dataset_name": folders.dataset, "partial": not pairing.whole}
    protocol = PROTOCOLS[folders.protocol].digest
    identity = run_id({**settings, "protocol": protocol, "metrics": list(metrics), "batch": BATCH_SIZE, **digests})
    request = FolderRequest(
        run_id=identity,
        title=f"{folders.dataset} {folders.name}",
        folder=folders.out / folders.folder,
        predictions=folders.predictions,
        truth=folders.truth,
        instances=folders.instances,
        leave_out=tuple(pairing.ambiguous),
        batches=tuple(batches(pairing, BATCH_SIZE, BATCH_PIXELS)),
        protocol=folders.protocol,
        metrics=metrics,
        total=len(pairing.matched),
        strict=folders.strict,
    )
    expected = {**digests, "metrics": " ".join(metrics), "sources": sources_digest(), "run": identity}
    return Job(request, digests, not pairing.whole, _config(folders, expected))


def find_metrics(folders: Folders) -> tuple[str, ...]:
    """Return the metrics to compute: those that were asked for, or those of the usual ones that can be.

    Raises:
        MissingError: The weights of one that was asked for are not there; the message says how to get them.
    """
    for metric in folders.metrics or ():
        if metric in METRIC_FILES:
            find_weights(*METRIC_FILES[metric], download=folders.download)
    _, metrics, notices = find_networks(folders.metrics or DEFAULT_METRICS, download=folders.download)
    for notice in notices:
        say(notice)
    return metrics


def _tell_listed(truth: AnnotatedFolderSource) -> None:
    keys = {photo.key for photo in truth.photos}
    absent, unlisted = len(truth.listed - keys), len(keys - truth.listed)
    if absent == len(truth.listed):
        raise UsageError(
            f"--instances lists none of the {len(keys)} pictures in {truth.root}: its file names must be relative to it"
        )
    if absent or unlisted:
        say(
            f"--instances lists {absent} pictures that are not in {truth.root}, and not {unlisted} of those that are: "
            "neither is an error"
        )


def _digests(truth: FolderSource, predictions: FolderSource, keys: Sequence[str]) -> dict[str, str]:
    """Return the digest of all true pictures, as a run on them has it, and that of the predictions that are scored."""
    with progress("digests of truth and predictions", 2) as advance:
        whole = truth.digest()
        advance()
        given = digest_photos(map(Photo, keys), lambda key: open_file(predictions.paths[key], predictions.root))
        advance()
    return {"dataset": whole, "predictions": given}


def _config(folders: Folders, expected: Mapping[str, str]) -> str:
    """Return the content of `config.yaml`: all arguments, without the folders of absolute paths."""
    instances = None if folders.instances is None else portable(str(folders.instances))
    given = {
        "predictions": portable(str(folders.predictions)),
        "truth": portable(str(folders.truth)),
        "name": folders.name,
        "instances": instances,
        "protocol": folders.protocol,
        "metrics": ",".join(expected["metrics"].split()),
        "dataset": folders.dataset,
        "partial": folders.partial,
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


def finish(folders: Folders, job: Job, started: datetime, effort: Effort) -> RunRecord:
    """Write the tables and the record of a folder whose rows are there."""
    request = job.request

    def describe(rows: Mapping[str, Row]) -> RunRecord:
        return build_record(
            rows=rows,
            run_id=request.run_id,
            suite="score",
            method=folders.name,
            detector=DETECTOR,
            dataset=folders.dataset,
            protocol=PROTOCOLS[folders.protocol],
            seed=SEED,
            partial=job.partial,
            untrained=False,
            metrics=request.metrics,
            digests=job.digests | {"config": config_digest(request.folder)},
            parameters={},
            device=device_name(),
            precision="32",
            processes=folders.devices,
            started=started,
            seconds=effort.seconds,
            computed=effort.pictures,
            peak_memory_mb=effort.peak_memory_mb,
            sets=score_set(request.folder, rows, request.metrics),
        )

    return write_results(request.folder, request.run_id, request.metrics, describe)


def _planned(folders: Folders, request: FolderRequest) -> PlannedRun:
    return PlannedRun(
        folder=folders.folder,
        dataset=folders.dataset,
        method=folders.name,
        detector=DETECTOR,
        seed=SEED,
        total=request.total,
        run_id=request.run_id,
    )


def _tell(record: RunRecord) -> None:
    """Say what a reader of the scores should know of the pictures."""
    counts = record.counts
    notes = {
        "predictions are grey": counts.gray_prediction,
        "are their truth to the last bit": counts.identical,
        "have a grey truth and enter no mean": counts.gray_truth,
    }
    told = [f"{number} {what}" for what, number in notes.items() if number]
    if told:
        say(f"of {counts.images} pictures {', '.join(told)}")
