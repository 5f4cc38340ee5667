"""A recipe: how long, at which size and how fast each stage of a method is trained. Knows no torch."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import catalog
from bench.catalog import Tree
from bench.errors import UsageError


class Stage(BaseModel):
    """Say how one stage is trained. What is left out is the recipe's own.

    Attributes:
        steps: optimiser steps.
        learning_rate: of the optimiser.
        schedule: of the learning rate over the steps: as it is, or risen in the first twentieth and then lowered to
            nothing along a cosine.
        batch_size: pictures a step, over all devices.
        data: settings of the datamodule for this stage, such as one random box a photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    batch_size: int | None = Field(default=None, ge=1)
    data: dict[str, Any] = Field(default_factory=dict)


class Recipe(BaseModel):
    """Say how methods are trained, by stage.

    Attributes:
        train_size: side in pixels of the training pictures; None for the protocol's.
        model: settings that replace those of the same name in a method's configuration, such as `width: 0.25`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    train_size: int | None = Field(default=None, ge=16)
    batch_size: int = Field(default=16, ge=1)
    model: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, Stage]

    def stage(self, method: str) -> Stage:
        """Return how a method's own stage is trained.

        Raises:
            UsageError: The recipe has no such stage.
        """
        if method not in self.stages:
            raise UsageError(f"the recipe {self.id!r} does not train {method!r}; it has {', '.join(self.stages)}")
        return self.stages[method]

    def tree(self, method: str) -> Tree:
        """Return the `class_path` tree of a method as this recipe builds it."""
        settings = {**self.model, "learning_rate": self.stage(method).learning_rate}
        return catalog.with_settings(catalog.model_tree(method), settings)


def load_recipe(name: str) -> Recipe:
    """Read a recipe by file or by id.

    Raises:
        UsageError: There is none, or its file is no YAML, lacks a key, or has one that a recipe does not know.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = catalog.recipes()[catalog.known("recipe", name, catalog.recipes())]
    if not path.is_file():
        raise UsageError(f"no recipe at {name}: give a YAML file, or one of {', '.join(catalog.recipes())}")
    content = catalog.read_yaml(path)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {catalog.explain(error, Recipe, Stage)}") from error
