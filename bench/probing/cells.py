"""The result of one network under one test: a file that is written whole, found again and never computed twice."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, NonNegativeInt, ValidationError

from bench.errors import UsageError
from bench.files import atomic_write
from bench.probing.settings import Input, Settings, Task
from bench.progress import say
from bench.provenance import canonical_digest, sources_digest

FOLDER = "cells"

Initialisation = Literal["trained", "random", "supervised"]


class Identity(BaseModel):
    """Say what a cell is the result of.

    Attributes:
        method: id; for `supervised` the network of torchvision.
        initialisation: what the network begins from; `random` is the same network as `trained`.
        model: the `class_path` tree that builds it; empty for `supervised`.
        weights: digest of its weights; None for `random`.
        variant: what the network sees.
        layers: that were asked for; all, or the deepest for fine-tuning, where empty.
        recipe: id of the recipe that the settings come from.
        dataset: id, or the name of the file that says it.
        data: digests of the photos to learn from and of those tested.
        partial: whether not all photos of the dataset were used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    initialisation: Initialisation
    model: dict[str, JsonValue]
    weights: str | None
    task: Task
    variant: Input
    layers: tuple[str, ...]
    recipe: str
    settings: Settings
    seed: int
    dataset: str
    data: dict[str, str]
    partial: bool

    @property
    def digest(self) -> str:
        """Return the sha256 of all that, and of the sources that compute it."""
        return canonical_digest({**self.model_dump(mode="json"), "sources": sources_digest()})

    @property
    def file_name(self) -> str:
        """Return the name of the cell's file."""
        name = f"{self.dataset}--{self.task}--{self.variant}--{self.method}--{self.initialisation}--s{self.seed}"
        return re.sub(r"[^A-Za-z0-9._-]", "-", name) + ".json"


class LayerScore(BaseModel):
    """Hold what was measured at one layer.

    Attributes:
        metric: `accuracy` in percent for linear classifiers, `map` or `mean_iu` in percent for fine-tuning.
        low: lower end of the 95 % bootstrap interval over photos, `high` the upper one; None where there is none.
        n: photos tested.
        details: what else is known: of classes, of the fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    metric: str
    score: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    n: NonNegativeInt
    details: dict[str, FiniteFloat] = {}


class Cell(BaseModel):
    """Hold one result with all that it was made with.

    Attributes:
        schema_version: `schema` in the file; of this form.
        id: digest of the identity and the sources.
        network: name of the part that was tested.
        parameters: how many the tested network has.
        counts: photos learnt from, tested, left out for want of a class, and failed; classes.
        chance: in percent, what answering the commonest class gives; None where that means nothing.
        failed: photos that could not be read, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: str
    identity: Identity
    network: str
    parameters: NonNegativeInt
    counts: dict[str, NonNegativeInt]
    chance: FiniteFloat | None
    scores: tuple[LayerScore, ...]
    failed: dict[str, str] = {}
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    device: str
    started_utc: str
    seconds: FiniteFloat


def finished(out: Path, identity: Identity) -> Cell | None:
    """Return the cell of an identity if it is in the folder; one of the same name but of other inputs is told of."""
    path = out / FOLDER / identity.file_name
    if not path.is_file():
        return None
    cell = read_cell(path)
    if cell.id == identity.digest:
        return cell
    say(f"note: {path.name} is of other settings, data or code and is computed anew")
    return None


def write_cell(out: Path, cell: Cell) -> None:
    """Write a cell whole, or not at all."""
    atomic_write(out / FOLDER / cell.identity.file_name, cell.model_dump_json(indent=1, by_alias=True) + "\n")


def read_cell(path: Path) -> Cell:
    """Read a cell.

    Raises:
        UsageError: It is none.
    """
    try:
        return Cell.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path} is no result of a probe: delete it, or give another --out") from error


def read_cells(out: Path) -> Iterable[Cell]:
    """Return all cells in a folder, in order of their names."""
    return [read_cell(path) for path in sorted((out / FOLDER).glob("*.json"))]
