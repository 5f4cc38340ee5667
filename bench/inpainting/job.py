"""One run of inpainting, a method in a bucket of holes: what it is, and the record that it leaves."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.device import device_name
from bench.errors import UsageError
from bench.files import atomic_write
from bench.inpainting.metrics import INPAINT_METRICS
from bench.inpainting.photos import Photos
from bench.inpainting.record import FOLDER, RECORD, InpaintDigests, InpaintRecord, score_of, summarise
from bench.inpainting.suite import InpaintChoice, InpaintSuite
from bench.manifest import load_manifest, weights_digest
from bench.provenance import git_state, package_versions, run_id
from bench.record import Score
from bench.rows import Row, read_rows
from bench.scoring.features import read_features
from bench.scoring.frechet import frechet_distance
from bench.tables import write_table
from lightning_modules.inpainting.inpainter import Inpainter


@dataclass(frozen=True)
class Job:
    """Hold one run.

    Attributes:
        holes: bucket.
        method: ready to fill.
        weights: folder of its weights; None for a method without, or with random ones.
        out: output folder of all runs.
        fid: whether FID can be computed.
    """

    suite: InpaintSuite
    choice: InpaintChoice
    holes: str
    photos: Photos
    method: Inpainter
    weights: Path | None
    out: Path
    fid: bool

    @property
    def folder(self) -> Path:
        """Return where the run's files go."""
        return self.out / FOLDER / self.photos.name / f"{self.choice.name}--{self.holes}--s{self.suite.seed}"

    @cached_property
    def weights_digest(self) -> str | None:
        """Return the digest of the weights; None without."""
        return None if self.weights is None else weights_digest(self.weights)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what the numbers depend on besides our sources."""
        return {
            "task": "inpainting",
            "method": self.choice.id,
            "weights": self.weights_digest,
            "settings": self.choice.settings,
            "untrained": self.choice.untrained,
            "dataset": self.photos.digest,
            "pictures": list(self.photos.keys),
            "masks": self.photos.masks_digest,
            "protocol": self.suite.square.digest,
            "holes": self.holes,
            "edges": self.choice.edges,
            "sigma": self.sigma,
            "seed": self.suite.seed,
            "batch_size": self.suite.batch_size,
            "fid": self.fid,
        }

    @property
    def sigma(self) -> float:
        """Return the sigma of the edges that the method sees."""
        return self.choice.sigma or self.suite.sigma

    @cached_property
    def run_id(self) -> str:
        """Return the sha256 that stands for the run."""
        return run_id(self.facts)

    def claim(self) -> None:
        """Write down what the run is, or refuse to go on where another one stands in its folder.

        Raises:
            UsageError: It does; the message names what changed.
        """
        path = self.folder / "run.json"
        now = {"run_id": self.run_id, **self.facts}
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else now
        if before.get("run_id") != self.run_id:
            changed = [name for name in self.facts if before.get(name) != now[name]] or ["the code"]
            raise UsageError(
                f"{self.folder} holds another run: {', '.join(changed)} changed; give another --out, or delete that "
                "folder"
            )
        atomic_write(path, json.dumps(now, indent=1) + "\n")

    def finish(self, began: datetime) -> InpaintRecord:
        """Write the table and the record of the rows that are there; a record of these very rows is left as it is."""
        rows = read_rows(self.folder, self.run_id)
        metrics = [name for name in INPAINT_METRICS if any(name in row.scores for row in rows.values())] or ["psnr"]
        columns = ("image", "status", "hole_share", *metrics)
        lines = [(key, row.status, *map(row.scores.get, columns[2:])) for key, row in rows.items()]
        write_table(self.folder / "images.csv", columns, lines)
        path, record = self.folder / RECORD, self.record(rows, metrics, began)
        if path.is_file():
            stands = InpaintRecord.model_validate_json(path.read_bytes())
            if (stands.run_id, stands.digests) == (record.run_id, record.digests):
                return stands
        atomic_write(path, record.to_json())
        return record

    def record(self, rows: dict[str, Row], metrics: list[str], began: datetime) -> InpaintRecord:
        """Return the record of the run."""
        found = summarise(rows, metrics)
        if self.fid:
            found["scores"]["fid"] = self.score_set([key for key, row in rows.items() if not row.failed])
        digests = InpaintDigests(
            dataset=self.photos.digest,
            masks=self.photos.masks_digest,
            weights=self.weights_digest,
            rows=found.pop("rows"),
        )
        commit, dirty = git_state()
        return InpaintRecord(
            run_id=self.run_id,
            suite=self.suite.name,
            method=self.choice.name,
            method_id=self.choice.id,
            dataset=self.photos.name,
            protocol=self.suite.square.id,
            protocol_sha256=self.suite.square.digest,
            holes=self.holes,
            painted=self.photos.masks is None,
            edges=self.choice.edges if self.method.draws_edges else "none",
            sigma=self.sigma,
            seed=self.suite.seed,
            partial=self.suite.limit is not None,
            untrained=self.choice.untrained,
            settings=self.choice.settings,
            digests=digests,
            parameters=self.parameters(),
            git_commit=commit,
            git_dirty=dirty,
            versions=package_versions(),
            device=device_name(),
            started_utc=began.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=round((datetime.now(UTC) - began).total_seconds(), 3),
            **self.training(),
            **found,
        )

    def score_set(self, keys: list[str]) -> Score:
        """Return the FID of the pictures that were filled."""
        distance = frechet_distance(*read_features(self.folder, self.run_id, keys)) if keys else None
        return score_of([distance]).model_copy(update={"n": len(keys) if distance is not None else 0})

    def parameters(self) -> dict[str, int]:
        """Return how many parameters each network has."""
        networks = self.method.networks().items()
        return {name: sum(each.numel() for each in network.parameters()) for name, network in networks}

    def training(self) -> dict[str, Any]:
        """Return how the weights came to be, as far as their folder says."""
        facts = {} if self.weights is None else load_manifest(self.weights).training.get(self.choice.id, {})
        return {"recipe": facts.get("recipe"), "steps": facts.get("steps_done"), "train_sigma": facts.get("sigma")}
