"""A recipe: how long, at which size and how fast each stage of a method is trained. Knows no torch."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

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

    def with_settings(self, settings: Mapping[str, Any], stages: Iterable[str]) -> Self:
        """Return the recipe with settings of the model after its own; `learning_rate` becomes that of every stage.

        Args:
            settings: values by name.
            stages: of the method that is trained; one of them must have the setting.

        Raises:
            UsageError: No stage has a setting of that name, or the learning rate is no positive number.
        """
        stages = list(stages)
        names = {name for stage in stages for name in setting_names(self.tree(stage))}
        for name in settings:
            catalog.known(f"setting of {' or '.join(stages)}", name, names)
        content = self.model_dump()
        content["model"] |= {name: value for name, value in settings.items() if name != "learning_rate"}
        if "learning_rate" in settings:
            for stage in stages:
                content["stages"][stage]["learning_rate"] = settings["learning_rate"]
        try:
            return type(self).model_validate(content)
        except ValidationError as error:
            raise UsageError(f"--set: {catalog.explain(error, Recipe, Stage)}") from error


def setting_names(tree: Tree) -> Iterator[str]:
    """Give the names of the settings in a `class_path` tree, however deep, those of its parts themselves left out."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from setting_names(value)
        elif key != "class_path":
            yield key


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """Return the settings that texts `KEY=VALUE` name; a value is a YAML scalar or list.

    >>> parse_settings(["width=0.25", "optimizer=adam", "learning_rate=1e-3", "input_size=null"])
    {'width': 0.25, 'optimizer': 'adam', 'learning_rate': 0.001, 'input_size': None}

    Raises:
        UsageError: A text has no `=`, names a key for the second time, or its value is something else.
    """
    settings: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text!r} names no value: give KEY=VALUE, such as width=0.25")
        if key in settings:
            raise UsageError(f"--set {key} is given twice")
        settings[key] = _scalar(key, value)
    return settings


def _scalar(key: str, text: str) -> Any:
    value = catalog.parse_yaml(f"value: {text}", f"--set {key}")["value"]
    if isinstance(value, dict):
        raise UsageError(f"--set {key}={text} is a mapping: give a number, a word, true, false, null or a list")
    if isinstance(value, str):  # YAML takes 1e-3 for a word
        try:
            return float(value)
        except ValueError:
            return value
    return value


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
