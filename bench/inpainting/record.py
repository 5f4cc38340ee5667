"""The record of a finished run of inpainting. Knows no torch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from bench.errors import CommandError
from bench.record import Score, rows_digest
from bench.rows import Row
from bench.statistics import bootstrap_interval

RECORD = "record.json"
FOLDER = "inpainting"
"""Where the runs stand in an output folder; those of colorization are in `runs`, and take other commands."""


class InpaintDigests(BaseModel):
    """Hold the sha256 of what went in and of the rows; None where there were no weights, or holes were painted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    masks: str | None
    weights: str | None
    rows: str


class InpaintRecord(BaseModel):
    """Hold everything about one run: one method in one bucket of holes.

    Attributes:
        task: always `inpainting`.
        method: its name in the suite; `method_id` is that of its card.
        protocol: geometry of the pictures, with `@size` where they are smaller.
        holes: bucket; `hole_share` is the mean share of the pictures that was missing.
        painted: whether irregular holes were painted by a seed, not taken from a folder of masks.
        edges: `drawn` by the method; `true`, given away; `none` for a method that sees none.
        sigma: of Canny's edges in pixels.
        images: pictures of the run; `failed` of them have no scores.
        steps: that the method was trained; None for one that was not trained by this suite.
        train_sigma: of the edges that it learnt from.
        settings: of the model that are an ablation.
        seconds: from the first picture to the last row, of the start that finished the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    task: Literal["inpainting"] = "inpainting"
    run_id: str
    suite: str
    method: str
    method_id: str
    dataset: str
    protocol: str
    protocol_sha256: str
    holes: str
    hole_share: float | None
    painted: bool
    edges: Literal["drawn", "true", "none"]
    sigma: float
    seed: int
    partial: bool
    untrained: bool
    recipe: str | None
    steps: NonNegativeInt | None
    train_sigma: float | None
    settings: dict[str, bool | int | float | str]
    scores: dict[str, Score]
    images: NonNegativeInt
    failed: NonNegativeInt
    digests: InpaintDigests
    parameters: dict[str, int]
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    device: str
    started_utc: str
    seconds: float

    @property
    def ranked(self) -> bool:
        """Whether it may have a rank: whole, trained, and without the truth's lines."""
        return not self.partial and not self.untrained and self.edges != "true"

    def to_json(self) -> str:
        """Return the content of `record.json`."""
        return self.model_dump_json(indent=1) + "\n"


def summarise(rows: Mapping[str, Row], metrics: Sequence[str]) -> dict[str, Any]:
    """Return those fields of a record that follow from rows alone; metrics of a set are left to the caller."""
    ordered = [rows[key] for key in sorted(rows)]
    scored = [row for row in ordered if not row.failed]
    shares = [share for row in scored if (share := row.scores.get("hole_share")) is not None]
    return {
        "hole_share": math.fsum(shares) / len(shares) if shares else None,
        "scores": {metric: score_of([row.scores.get(metric) for row in scored]) for metric in metrics},
        "images": len(ordered),
        "failed": len(ordered) - len(scored),
        "rows": rows_digest(ordered),
    }


def score_of(found: Sequence[float | None]) -> Score:
    """Return the mean of the scores of pictures, in their order, with its bootstrap interval; None are left out."""
    values = [value for value in found if value is not None]
    if not values:
        return Score(mean=None, std=None, n=0, low=None, high=None)
    n, mean = len(values), math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    low, high = bootstrap_interval(values)
    return Score(mean=mean, std=spread, n=n, low=low, high=high)


def read_inpaint_records(out: Path) -> list[tuple[Path, InpaintRecord]]:
    """Read the records of the finished runs in an output folder, each with its folder.

    Raises:
        CommandError: One is broken; the message names it.
    """
    found = []
    for path in sorted(out.glob(f"{FOLDER}/*/*/{RECORD}")):
        try:
            found.append((path.parent, InpaintRecord.model_validate_json(path.read_bytes())))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise CommandError(
                f"{path} is no record of inpainting ({place}: {first['msg']}): give another --out, or delete its "
                "folder and run the same command again"
            ) from error
    return found
