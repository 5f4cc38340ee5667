"""The record of a finished run: its identity, its scores, its counts, and what it was made with.

A record is a pure function of rows and of what the runner knows; tables and reports are pure functions of records.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from bench.box_errors import DetectorError, Perturbation
from bench.plugins import Plugin
from bench.provenance import git_state, package_versions
from bench.rows import Row, Scores
from bench.scoring.metrics import METRICS, metrics_at
from bench.statistics import bootstrap_interval
from bench.tracks import AUTOMATIC, track_of
from datamodules.protocol import Protocol

SCHEMA = 1


class Score(BaseModel):
    """Hold the mean of one metric with its spread.

    Attributes:
        mean: over pictures, or over instances; None without any.
        std: with n - 1; None for fewer than two.
        n: how many pictures or instances have the score.
        low: lower end of the 95 % bootstrap interval over pictures, `high` the upper one; None for a single picture,
            and for a metric that only a set has.
        difference: signed difference of the mean to that of the truth, for a metric that has a companion; None for the
            others, which don't write it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: FiniteFloat | None
    std: FiniteFloat | None
    n: NonNegativeInt
    low: FiniteFloat | None
    high: FiniteFloat | None
    difference: FiniteFloat | None = None

    @model_serializer(mode="wrap")
    def _without_empty_difference(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = serialize(self)
        return {key: value for key, value in written.items() if key != "difference" or value is not None}


class Counts(BaseModel):
    """Count what a run met.

    Attributes:
        images: all pictures of the run, those with errors too.
        failed: those with errors; all other counts leave them out.
        gray_truth: pictures whose truth is grey; they count below, but not in any mean.
        without_instances: pictures none of whose annotations was scored.
        without_detections: pictures for which the method was given no box; None for a folder that was scored, of whose
            making nothing is known.
        instances: scored instances.
        left_out_small: annotations whose box is too small to be scored; those without area, with a number that is not
            finite, or outside of the protocol's crop are among them.
        left_out_crowd: annotations of crowds.
        identical: pictures whose prediction is the truth to the last bit.
        gray_prediction: pictures whose prediction is grey; None in old records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: NonNegativeInt
    failed: NonNegativeInt
    gray_truth: NonNegativeInt
    without_instances: NonNegativeInt
    without_detections: NonNegativeInt | None
    instances: NonNegativeInt
    left_out_small: NonNegativeInt
    left_out_crowd: NonNegativeInt
    identical: NonNegativeInt
    gray_prediction: NonNegativeInt | None = None


class Digests(BaseModel):
    """Hold the sha256 of what went in and of the rows; None where there were no boxes or weights.

    Attributes:
        settings: of method, hints, precision and all else that the seeds of one comparison share; None in old records.
        predictions: of the pictures of a folder that was scored.
        plugins: of the sources of the plug-ins that the numbers come of; None without any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    boxes: str | None = None
    weights: str | None = None
    settings: str | None = None
    predictions: str | None = None
    plugins: str | None = None
    config: str
    rows: str


class RunRecord(BaseModel):
    """Hold everything about one run; written as `record.json`.

    Attributes:
        schema_: version of this form; `schema` in JSON.
        image: score of each metric over pictures; pictures with grey truth are left out.
        instance: the same over instances.
        parameters: how many each network has.
        git_commit: of the checkout that the code ran from; None for an installed package, like `git_dirty`.
        seconds: from the loaded method to the last row, of the start that finished the run.
        peak_memory_mb: of the GPU where there is one, else of the process.
        gmacs: 10^9 multiply-adds of the networks for one picture of 256 x 256 with as many boxes as the method may
            see; 0 without networks, None where they cannot be counted, for a folder that was scored and in old records.
        perturbation: which errors the boxes were given on purpose; None without, and in old records.
        detector_error: how the boxes differ from the annotations; None without either, and in old records.
        hints: squares of each picture whose true colour the method was given; None without, and in old records.
        detector_id: the detector, whatever its name; None for a folder that was scored, and in old records.
        track: `automatic`, `hints-<N>` or `reference`: among which runs it is ranked; None for a folder that was scored
            and in old records, where `hints` tell.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    schema_: int = Field(default=SCHEMA, alias="schema")
    run_id: str
    suite: str
    method: str
    detector: str
    dataset: str
    protocol: str
    protocol_sha256: str
    seed: int
    partial: bool
    untrained: bool
    image: dict[str, Score]
    instance: dict[str, Score]
    counts: Counts
    digests: Digests
    parameters: dict[str, int]
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    device: str
    precision: str
    processes: int
    started_utc: str
    seconds: FiniteFloat
    images_per_second: FiniteFloat | None
    peak_memory_mb: FiniteFloat | None
    gmacs: FiniteFloat | None = None
    perturbation: Perturbation | None = None
    detector_error: DetectorError | None = None
    hints: PositiveInt | None = None
    detector_id: str | None = None
    track: str | None = None

    @property
    def ranked_in(self) -> str:
        """Return the track that it is ranked in."""
        return self.track or track_of(AUTOMATIC, self.hints or 0)

    @property
    def path(self) -> str:
        """Return the place of the record below `results/`."""
        device = re.sub(r"[^a-z0-9.]+", "-", self.device.lower()).strip("-")
        name = f"{self.method}--{self.detector}--s{self.seed}--{device}.json"
        return f"records/{self.dataset}/{self.protocol}/{name}"

    def to_json(self) -> str:
        """Return the content of `record.json`."""
        return self.model_dump_json(indent=1) + "\n"


def build_record(
    *,
    rows: Mapping[str, Row],
    run_id: str,
    suite: str,
    method: str,
    detector: str,
    dataset: str,
    protocol: Protocol,
    seed: int,
    partial: bool,
    untrained: bool,
    metrics: Sequence[str],
    digests: Mapping[str, str],
    parameters: Mapping[str, int],
    device: str,
    precision: str,
    processes: int,
    started: datetime,
    seconds: float,
    computed: int,
    peak_memory_mb: float | None,
    sets: Mapping[str, Score] = MappingProxyType({}),
    plugins: Sequence[Plugin] = (),
    gmacs: float | None = None,
    perturbation: Perturbation | None = None,
    detector_error: DetectorError | None = None,
    hints: int | None = None,
    detector_id: str | None = None,
    track: str | None = None,
) -> RunRecord:
    """Compute the record of a run; what is not named here goes into the field of the same name.

    `rows` are keyed by image, in any order. Each of `metrics` gets a score at its levels, an empty one where there are
    no data. `digests` holds all but that of the rows. `started` has a time zone; `seconds` were spent on `computed`
    pictures since then. `sets` holds the scores of those metrics that rows don't have.
    """
    ordered = [rows[image] for image in sorted(rows)]
    commit, dirty = git_state()
    return RunRecord(
        run_id=run_id,
        suite=suite,
        method=method,
        detector=detector,
        dataset=dataset,
        protocol=protocol.id,
        protocol_sha256=protocol.digest,
        seed=seed,
        partial=partial,
        untrained=untrained,
        image={metric: sets.get(metric) or score_images(ordered, metric) for metric in metrics_at("image", metrics)},
        instance={metric: score_instances(ordered, metric) for metric in metrics_at("instance", metrics)},
        counts=count_rows(ordered, made_here="predictions" not in digests),
        digests=Digests(**digests, rows=rows_digest(ordered)),
        parameters=dict(parameters),
        git_commit=commit,
        git_dirty=dirty,
        versions=package_versions(plugins),
        device=device,
        precision=precision,
        processes=processes,
        started_utc=started.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=round(seconds, 3),
        images_per_second=round(computed / seconds, 4) if seconds > 0 else None,
        peak_memory_mb=peak_memory_mb,
        gmacs=gmacs,
        perturbation=perturbation,
        detector_error=detector_error,
        hints=hints,
        detector_id=detector_id,
        track=track,
    )


def rows_digest(rows: Iterable[Row]) -> str:
    """Return the sha256 of the rows' JSON lines, sorted by image, in hexadecimal."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.image):
        digest.update(f"{row.to_json()}\n".encode())
    return digest.hexdigest()


def count_rows(rows: Iterable[Row], *, made_here: bool = True) -> Counts:
    """Count the rows of a run; `made_here` says whether a method made the pictures, whose boxes the rows count."""
    everything = list(rows)
    scored = [row for row in everything if not row.failed]
    return Counts(
        images=len(everything),
        failed=len(everything) - len(scored),
        gray_truth=sum(row.status == "gray-truth" for row in scored),
        without_instances=sum(row.n_instances == 0 for row in scored),
        without_detections=sum(row.n_boxes == 0 for row in scored) if made_here else None,
        instances=sum(row.n_instances for row in scored),
        left_out_small=sum(row.left_out_small for row in scored),
        left_out_crowd=sum(row.left_out_crowd for row in scored),
        identical=sum(row.identical for row in scored),
        gray_prediction=sum(row.gray_prediction for row in scored),
    )


def score_images(rows: Iterable[Row], metric: str) -> Score:
    """Return the score of a metric over pictures."""
    return _score_of([[row.scores] for row in _ranked(rows)], metric)


def score_instances(rows: Iterable[Row], metric: str) -> Score:
    """Return the score of a metric over the instances of all pictures."""
    return _score_of([[instance.scores for instance in row.instances] for row in _ranked(rows)], metric)


def _score_of(groups: Sequence[Sequence[Scores]], metric: str) -> Score:
    """Return the score of a metric over groups, one a picture; beside it the difference to the same of the truth."""
    score = _score(groups, metric)
    companion = METRICS[metric].companion
    truth = _score(groups, companion).mean if companion else None
    difference = None if truth is None or score.mean is None else score.mean - truth
    return score.model_copy(update={"difference": difference})


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that enter means, sorted by image."""
    return sorted((row for row in rows if row.status == "ok"), key=lambda row: row.image)


def _score(scores: Sequence[Sequence[Scores]], metric: str) -> Score:
    """Return the score of values that come in groups, one a picture; the same whatever process computed a group."""
    present = ([value for each in group if (value := each.get(metric)) is not None] for group in scores)
    groups = [group for group in present if group]
    values = [value for group in groups for value in group]
    n = len(values)
    if n == 0:
        return Score(mean=None, std=None, n=0, low=None, high=None)
    mean = math.fsum(values) / n
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    low, high = bootstrap_interval([math.fsum(group) for group in groups], [len(group) for group in groups])
    return Score(mean=mean, std=std, n=n, low=low, high=high)
