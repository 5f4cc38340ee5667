"""How a probe is done: which test, on which input, for how long. Knows no torch."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import catalog
from bench.errors import UsageError


class Task(StrEnum):
    """What the features are tested by."""

    linear = "linear"
    classification = "classification"
    detection = "detection"
    segmentation = "segmentation"


class Input(StrEnum):
    """What the network sees: light, or light beside a* and b* whose weights begin at zero."""

    gray = "gray"
    color = "color"


def check_input(task: Task, variant: Input) -> None:
    """Refuse colour where it could not be seen.

    Raises:
        UsageError: The network is frozen, and with it the weights of a* and b*, which begin at zero.
    """
    if task is Task.linear and variant is Input.color:
        raise UsageError(
            "--input color adds weights for a* and b* that begin at zero, and --task linear learns none of a network: "
            "all numbers would be those of gray. Give --input gray, or --task classification, detection or segmentation"
        )


class Settings(BaseModel):
    """Say how one test is done.

    Attributes:
        size: side in pixels that pictures are stretched to.
        steps: of L-BFGS at most for linear classifiers; of gradient descent for fine-tuning.
        batch_size: pictures that pass the network together.
        learning_rate: of stochastic gradient descent with momentum 0.9; of no meaning for linear classifiers.
        weight_decay: of all parameters.
        drop_every: steps after which the learning rate is multiplied by `drop`, again and again.
        drop: what it is multiplied by.
        clip: norm that a gradient is cut to; None leaves it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=32)
    steps: int = Field(ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    drop_every: int | None = Field(default=None, ge=1)
    drop: float = Field(default=0.1, gt=0, le=1)
    clip: float | None = Field(default=None, gt=0)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        dropped = 0 if self.drop_every is None else step // self.drop_every
        return self.learning_rate * self.drop**dropped

    def changed(self, **given: int | None) -> Self:
        """Return the settings with those that are given in the place of their own."""
        return self.model_copy(update={name: value for name, value in given.items() if value is not None})


class ProbeRecipe(BaseModel):
    """Hold the settings of every test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    linear: Settings
    classification: Settings
    detection: Settings
    segmentation: Settings

    def settings(self, task: Task) -> Settings:
        """Return how a test is done."""
        chosen: Settings = getattr(self, task.value)
        return chosen


def probe_recipes() -> Mapping[str, Path]:
    """Return the recipes that ship with colorbench, by id."""
    return {path.stem: path for path in sorted((catalog.HERE / "configs" / "probe").glob("*.yaml"))}


def load_probe_recipe(name: str) -> ProbeRecipe:
    """Read a recipe by file or by id.

    Raises:
        UsageError: There is none, or its content is wrong.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = probe_recipes()[catalog.known("recipe of a probe", name, probe_recipes())]
    try:
        return ProbeRecipe.model_validate(catalog.read_yaml(path))
    except ValidationError as error:
        raise UsageError(f"{path}: {catalog.explain(error, ProbeRecipe, Settings)}") from error
