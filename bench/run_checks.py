"""What must hold in the folder of one run, as findings where it does not. Knows no torch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bench.box_errors import Perturbation
from bench.breakdown import breakdown_csv
from bench.errors import UsageError
from bench.files import path_below
from bench.findings import NOTHING, File, Finding, column_of
from bench.outputs import config_digest
from bench.record import SCHEMA, RunRecord, Score, count_rows, rows_digest, score_images, score_instances
from bench.rows import Row, RowError, images_csv, instances_csv, scan_rows
from bench.scoring.metrics import METRICS, Level, metrics_at, row_columns
from bench.status import PlannedRun
from bench.submission import DETECTOR, SEED
from bench.suite import DetectorChoice, Suite, parse_suite
from datamodules.protocol import PROTOCOLS

TOLERANCE = 1e-9
"""Relative; sums over other numbers of lanes differ in the last bits. That of a set hangs on LAPACK's, too."""
SET_TOLERANCE = 1e-6
INPUTS = ("dataset", "boxes", "weights", "predictions", "plugins")
SCORE_NAMES = {"method": "name", "dataset": "dataset", "protocol": "protocol"}
"""Fields of a record, and what the configuration of a folder that was scored calls them."""


@dataclass(frozen=True)
class Run:
    """Hold one run's folder, and what was planned for it."""

    out: Path
    folder: str
    planned: PlannedRun | None
    record: RunRecord | None
    config: Mapping[str, Any]
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Return the run's folder."""
        return path_below(self.out, self.folder)

    def file(self, name: str) -> File:
        """Return one of its files."""
        return File(self.folder, name)

    @cached_property
    def expected(self) -> Mapping[str, Any]:
        """Return what the configuration expects."""
        expected = self.config.get("expected")
        return expected if isinstance(expected, Mapping) else {}

    @cached_property
    def suite(self) -> Suite | None:
        """Return the suite that repeats the run; None for a folder that was scored.

        Raises:
            UsageError: The configuration is none of a single run.
        """
        if "command" in self.config:
            return None
        return parse_suite(yaml.safe_dump(dict(self.config)), f"{self.folder}/config.yaml")

    @cached_property
    def listed(self) -> set[str]:
        """Return the pictures of `images.csv`, none where it cannot be read."""
        try:
            return column_of((self.path / "images.csv").read_bytes().decode(), "image")
        except (OSError, UnicodeDecodeError):
            return set()

    @cached_property
    def digest(self) -> str:
        """Return the digest of the rows, once they are read."""
        return rows_digest(self.rows.values())

    @property
    def rows_changed(self) -> bool:
        """Whether the rows are not those of the record."""
        return self.record is not None and self.record.digests.rows != self.digest

    @cached_property
    def missing(self) -> set[str]:
        """Return the pictures whose rows are gone since the tables were written."""
        return self.listed - self.rows.keys() if self.rows_changed else set()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics of the record."""
        return () if self.record is None else tuple(metric for metric in self.record.image if metric in METRICS)


def check_rows(run: Run) -> Iterator[Finding]:
    """Find lines that are no rows, foreign and doubled ones; keep the others in `run.rows`."""
    wanted = run.record.run_id if run.record else run.planned.run_id if run.planned else None
    places: dict[str, str] = {}
    for place, row in scan_rows(run.path):
        file = run.file(place)
        if isinstance(row, RowError):
            reason = str(row).partition(": ")[2].rpartition("; ")[0]
            yield file.finding("line", f"what is {reason}", "a row; put it back, or delete this line and run again")
        elif wanted is not None and row.run_id != wanted:
            yield file.finding(f"run_id of image {row.image!r}, a foreign row", row.run_id, wanted)
        elif row.image in places:
            yield file.finding(f"image {row.image!r}", "a second row", f"only that of {places[row.image]}")
        else:
            places[row.image] = place
            run.rows[row.image] = row
            yield from _check_row(file, row, run)
    for image in sorted(run.missing):
        yield run.file("rows").finding(f"image {image!r}", NOTHING, "a row")
    if run.planned is not None and len(run.rows) + len(run.missing) != run.planned.total:
        yield run.file("rows").finding("images", str(len(run.rows)), f"{run.planned.total}, as planned")


def _check_row(file: File, row: Row, run: Run) -> Iterator[Finding]:
    """Find what a row of this run's protocol and metrics cannot be."""
    protocol = PROTOCOLS.get(run.record.protocol) if run.record else None
    if protocol is not None and protocol.size is not None and not row.failed:
        size = (protocol.size, protocol.size)
        yield from file.compare(f"size of image {row.image!r} under {protocol.id}", (row.width, row.height), size)
    numbers = [each.instance for each in row.instances]
    for number in sorted({number for number in numbers if numbers.count(number) > 1}):
        yield file.finding(f"instance {number} of image {row.image!r}", f"{numbers.count(number)} times", "once")
    if run.record is not None and not row.failed:
        levels: tuple[tuple[Level, Mapping[str, object]], ...] = (
            ("image", row.scores),
            *(("instance", each.scores) for each in row.instances),
        )
        wrong = {level for level, scores in levels if {*scores} != {*row_columns(level, run.metrics)}}
        for level in sorted(wrong):
            columns = ", ".join(row_columns("image" if level == "image" else "instance", run.metrics))
            yield file.finding(f"{level} scores of image {row.image!r}", "other metrics", columns)


def check_identity(run: Run, record: RunRecord) -> Iterator[Finding]:
    """Find what is said in two places and differs: names, digests and identity of the run."""
    file, planned = run.file("record.json"), run.planned
    yield from file.compare("schema", record.schema_, SCHEMA)
    if planned is not None:
        for name in ("dataset", "method", "detector", "seed", "run_id"):
            yield from file.compare(f"{name}, by plan.json", getattr(record, name), getattr(planned, name))
    name = f"runs/{record.dataset}/{record.method}--{record.detector}--s{record.seed}"
    yield from file.compare("names, by the folder", name, run.folder)
    protocol = PROTOCOLS.get(record.protocol)
    if protocol is None:
        yield file.finding("protocol", repr(record.protocol), f"one of {', '.join(PROTOCOLS)}")
    else:
        yield from file.compare("protocol_sha256", record.protocol_sha256, protocol.digest)
    if not run.config:
        return
    yield from file.compare("digests config", record.digests.config, config_digest(run.path))
    yield from file.compare("run_id, by config.yaml", record.run_id, run.expected.get("run"))
    old = "settings" not in run.expected and "command" not in run.config
    for name in INPUTS if old else (*INPUTS, "settings"):
        yield from file.compare(
            f"digests {name}, by config.yaml", getattr(record.digests, name), run.expected.get(name)
        )
    metrics = " ".join(record.image)
    yield from file.compare("metrics, by config.yaml", metrics, run.expected.get("metrics"))
    yield from _check_claims(run, record)


def _check_claims(run: Run, record: RunRecord) -> Iterator[Finding]:
    """Find where a record says otherwise than the configuration what was run, and whether it may be ranked."""
    try:
        said = _said_by_score(run) if run.suite is None else _said_by_suite(run, run.suite, record)
    except UsageError as error:
        yield run.file("config.yaml").finding("content", f"what is no configuration ({error})", "that of the run")
        return
    for name, value in said.items():
        yield from run.file("record.json").compare(f"{name}, by config.yaml", getattr(record, name), value)


def _said_by_suite(run: Run, suite: Suite, record: RunRecord) -> dict[str, object]:
    total = record.counts.images if run.planned is None else run.planned.total
    method, detector, dataset = suite.methods[0], suite.detectors[0], suite.datasets[0]
    return {
        "suite": suite.name,
        "protocol": suite.protocol,
        "method": method.name,
        "detector": detector.name,
        "dataset": dataset.name,
        "seed": suite.seeds[0],
        "precision": suite.precision,
        "untrained": method.untrained,
        "partial": suite.limit is not None or record.counts.images < total,
        "perturbation": _said_errors(detector, record),
        "hints": method.hints or None,
        "track": method.track if record.track is not None else None,
        "detector_id": detector.id if record.detector_id is not None else None,
    }


def _said_errors(detector: DetectorChoice, record: RunRecord) -> Perturbation | None:
    """Return what a record should say of errors that were made to its boxes."""
    if not detector.kinds:
        return None
    boxes = record.perturbation.boxes if record.perturbation else ""
    return Perturbation(detector=detector.id, boxes=boxes, **detector.errors.model_dump())


def _said_by_score(run: Run) -> dict[str, object]:
    said = {name: run.config.get(key) for name, key in SCORE_NAMES.items()}
    fixed = {"suite": "score", "detector": DETECTOR, "seed": SEED, "precision": "32", "untrained": False}
    fixed |= dict.fromkeys(("perturbation", "hints", "detector_id", "track"))
    if "partial" in run.expected:
        return {**said, **fixed, "partial": run.expected["partial"] == "true"}
    whole = {} if run.config.get("partial") else {"partial": False}  # old, and --partial alone does not tell
    return {**said, **fixed, **whole}


def check_contents(run: Run, record: RunRecord) -> Iterator[Finding]:
    """Find where tables and record are not those of the rows.

    Where the tables tell what is changed in the rows, what the record says otherwise because of it is found once.
    """
    tables = [*check_tables(run)]
    yield from tables
    if run.rows_changed and (tables or run.missing):
        what = "scores, counts and digest of the rows"
        yield run.file("record.json").finding(what, "those of other rows", "those of the rows that are there")
    else:
        yield from run.file("record.json").compare("digests rows", record.digests.rows, run.digest)
        yield from check_scores(run, record)


def check_tables(run: Run) -> Iterator[Finding]:
    """Find where the tables are not those of the rows, byte for byte, each changed row in one of them."""
    tables: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
        "images.csv": (lambda: images_csv(run.rows.values(), row_columns("image", run.metrics)), ("image",)),
        "instances.csv": (
            lambda: instances_csv(run.rows.values(), row_columns("instance", run.metrics)),
            ("image", "instance"),
        ),
        "breakdown.csv": (lambda: breakdown_csv(run.rows.values(), run.metrics), ("by", "group")),
    }
    told = {"images.csv": run.missing, "instances.csv": run.listed ^ run.rows.keys()} if run.rows_changed else {}
    for name, (make, keys) in tables.items():
        try:
            text = (run.path / name).read_bytes().decode()
        except FileNotFoundError:
            yield run.file(name).finding("file", NOTHING, "a table")
        except (OSError, UnicodeDecodeError) as error:
            yield run.file(name).finding("file", f"what cannot be read ({type(error).__name__})", "a table")
        else:
            if not run.rows_changed or name in told:
                yield from run.file(name).compare_tables(text, make(), keys, told.get(name, ()))


def check_scores(run: Run, record: RunRecord) -> Iterator[Finding]:
    """Find where scores and counts of a record are not those of the rows."""
    file, rows = run.file("record.json"), list(run.rows.values())
    for metric in record.image.keys() - METRICS.keys():
        yield file.finding(f"image {metric}", "a score", "a metric that this version knows")
    sets = _set_scores(run)
    levels: tuple[tuple[Level, Mapping[str, Score], Callable[..., Score]], ...] = (
        ("image", record.image, score_images),
        ("instance", record.instance, score_instances),
    )
    for level, scores, score in levels:
        for metric in metrics_at(level, run.metrics):
            of_set = METRICS[metric].of_set
            if metric not in scores:
                yield file.finding(f"{level} {metric}", NOTHING, "a score")
            elif not of_set or metric in sets:
                wanted = sets[metric] if of_set else score(rows, metric)
                tolerance = SET_TOLERANCE if of_set else TOLERANCE
                given = scores[metric].model_dump()
                yield from file.compare_values(f"{level} {metric}", given, wanted.model_dump(), tolerance)
    counts = {name: count for name, count in record.counts.model_dump().items() if count is not None}
    wanted_counts = count_rows(rows).model_dump()
    yield from file.compare_values("counts", counts, {name: wanted_counts[name] for name in counts})


def _set_scores(run: Run) -> dict[str, Score]:
    """Return the scores of the set, where the features of its pictures are there."""
    if not any(METRICS[metric].of_set for metric in run.metrics) or not list(run.path.glob("features.rank*.bin")):
        return {}
    from bench.scoring.sets import score_set

    return score_set(run.path, run.rows, run.metrics)
