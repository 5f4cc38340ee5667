"""What a dashboard shows of a finished run: a pure function of its record, its tables and its kept pictures.

Nothing of it names the machine, its user or a folder. Knows no torch.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from bench.board import run_key
from bench.dashboards.pictures import PictureTable, picture_table
from bench.observations import read_observations
from bench.provenance import canonical_digest
from bench.ranking import LEVELS
from bench.record import RunRecord, Score
from bench.scoring.metrics import Level

PROJECT = "colorbench"
"""What wandb's project and MLflow's experiment are called where nothing else is said."""
FORM = 1
"""Raised when the same run is to be shown otherwise, so that what was sent before is replaced."""
PERCENTS = range(101)
FILES = ("record.json", "images.csv", "instances.csv", "breakdown.csv")
NAMES = ("suite", "method", "detector", "dataset", "protocol", "seed", "partial", "untrained", "device", "precision")
LONGEST_NAME = 100

Fact = str | int | float | bool


def slug(name: str) -> str:
    """Return a name that is safe as a folder's and as an artifact's.

    >>> slug("samples--gray--none--s0"), slug("../../x y")
    ('samples--gray--none--s0', 'x-y')
    """
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "run"
    if len(clean) <= LONGEST_NAME:
        return clean
    return f"{clean[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class FinishedRun:
    """Hold a finished run.

    Attributes:
        folder: of the run, `<out>/runs/<dataset>/<method>--<detector>--s<seed>`.
        record: of the run.
    """

    folder: Path
    record: RunRecord

    @property
    def out(self) -> Path:
        """Return the output folder that the run lies in."""
        return self.folder.parents[2]

    @property
    def place(self) -> str:
        """Return the folder of the run below `runs`, which no other run of the output folder has."""
        return self.folder.relative_to(self.out / "runs").as_posix()

    @property
    def name(self) -> str:
        """Return the name of the run, for people."""
        return slug(self.place.replace("/", "--"))

    @cached_property
    def identity(self) -> str:
        """Return the id of the run in all dashboards, 32 hexadecimal digits: of all that tells it from other runs."""
        return canonical_digest(list(run_key(self.record)))[:32]

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of everything that is shown; two of equal digest look the same."""
        contents = [self.record.to_json().encode(), *(path.read_bytes() for path in self.files.values())]
        contents += [path.read_bytes() for path in self.pictures.paths]
        return canonical_digest([FORM, self.name, *(hashlib.sha256(content).hexdigest() for content in contents)])

    @property
    def files(self) -> dict[str, Path]:
        """Return the record and the tables of the run, by name; those that are not there are left out."""
        return {name: path for name in FILES if (path := self.folder / name).is_file()}

    @property
    def facts(self) -> dict[str, Fact]:
        """Return what runs are grouped and filtered by."""
        return {name: getattr(self.record, name) for name in NAMES}

    @property
    def details(self) -> dict[str, Fact]:
        """Return what else the numbers depend on: run id, commit, parameters, digests; what is unknown is left out."""
        record = self.record
        known: dict[str, Fact | None] = {"run_id": record.run_id, "started_utc": record.started_utc}
        known |= {"git_commit": record.git_commit, "git_dirty": record.git_dirty}
        known |= {"parameters": sum(record.parameters.values())}
        known |= {f"digest_{name}": digest for name, digest in record.digests.model_dump().items()}
        return {name: value for name, value in known.items() if value is not None}

    @property
    def tags(self) -> list[str]:
        """Return words that runs are filtered by: method, detector, and why a run has no rank."""
        record = self.record
        marks = [word for word in ("partial", "untrained") if getattr(record, word)]
        return [record.method, *([record.detector] if record.detector != "none" else []), *marks]

    @property
    def scores(self) -> dict[str, float]:
        """Return the numbers of the record by dashboard name, `image/psnr`, `image/psnr_low` and so on.

        Those that it has not are left out.
        """
        record = self.record
        scores: dict[str, float | None] = {}
        for level in LEVELS:
            for metric, score in _scores(record, level).items():
                name = f"{level}/{metric}"
                scores |= {name: score.mean, f"{name}_low": score.low, f"{name}_high": score.high}
                scores |= {f"{name}_std": score.std, f"{name}_difference": score.difference}
        scores |= {f"totals/{name}": count for name, count in record.counts.model_dump().items()}
        for name in ("images_per_second", "seconds", "peak_memory_mb"):
            scores[f"speed/{name}"] = getattr(record, name)
        return {name: float(value) for name, value in scores.items() if value is not None}

    @property
    def means(self) -> list[str]:
        """Return the names of those scores that methods are compared by."""
        return [f"{level}/{metric}" for level in LEVELS for metric in _scores(self.record, level)]

    @cached_property
    def observations(self) -> dict[str, list[float]]:
        """Return the scores of single pictures and instances behind each mean, sorted; none for metrics of a set."""
        return {
            f"{level}/{metric}": sorted(found.values())
            for level in LEVELS
            for metric in _scores(self.record, level)
            if (found := read_observations(self.folder, self.record, level, metric))
        }

    @cached_property
    def curves(self) -> dict[str, list[float]]:
        """Return the cumulative curve of each metric: at step p the score that p per cent of its units are at most.

        They are called `image-quantiles/psnr` and so on, and have the steps `PERCENTS`.

        Convention:
            Linear between the scores, as NumPy's quantiles.
        """
        import numpy as np

        shares = np.asarray(PERCENTS) / 100
        return {
            name.replace("/", "-quantiles/"): np.quantile(values, shares).tolist()
            for name, values in self.observations.items()
        }

    @cached_property
    def pictures(self) -> PictureTable:
        """Return a table of some pictures with their scores."""
        return picture_table(self.folder, self.out / "pictures" / self.record.dataset)

    @property
    def started(self) -> float:
        """Return when the run was started, in seconds since 1970."""
        return datetime.fromisoformat(self.record.started_utc).timestamp()

    @property
    def ended(self) -> float:
        """Return when the run was over, in seconds since 1970."""
        return self.started + self.record.seconds


def _scores(record: RunRecord, level: Level) -> Mapping[str, Score]:
    return record.image if level == "image" else record.instance
