"""A recipe: how long, at which size and how fast each stage of a method is trained. Knows no torch."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import catalog
from bench.catalog import Tree
from bench.errors import UsageError


class Stage(BaseModel):
    """Say how one stage is trained. What is left out is the recipe's own.

    Attributes:
        steps: optimiser steps; or
        epochs: times through all training photos, incomplete last batches left out.
        learning_rate: of the optimiser.
        schedule: of the learning rate. `constant`; `cosine`, risen over the first twentieth of the steps and then
            lowered to nothing along a cosine; `linear`, as it is up to `decay_from` and then lowered to nearly
            nothing, by equal amounts; `exponential`, lowered by the same factor each step.
        decay_from: the step, or epoch, that `linear` lowers from.
        tenth_after: steps in which `exponential` lowers it to a tenth.
        drops: learning rates from a step, or epoch, on; `schedule` is `constant` between them.
        batch_size: pictures a step, over all processes.
        data: settings of the datamodule for this stage, such as one random box a photo or a `train_size` of its own.
        model: settings of the model for this stage, after those of the recipe; a part, such as `loss`, as a whole tree.
        pretrained: whether the parts that a method has from ImageNet (`Colorizer.pretrained`) begin from torchvision's
            weights; without, from random ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "constant"
    decay_from: int | None = Field(default=None, ge=0)
    tenth_after: int | None = Field(default=None, ge=1)
    drops: dict[int, float] = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, ge=1)
    data: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if (self.schedule == "linear") != (self.decay_from is not None):
            raise ValueError("decay_from goes with schedule linear, and linear with it")
        if self.decay_from is not None and self.decay_from >= self.length:
            raise ValueError("decay_from lies behind the end of the stage")
        if (self.schedule == "exponential") != (self.tenth_after is not None):
            raise ValueError("tenth_after goes with schedule exponential, and exponential with it")
        if self.drops and self.schedule != "constant":
            raise ValueError("drops go with schedule constant only")
        return self

    @property
    def length(self) -> int:
        """Return the number of steps, or of epochs where the stage is measured in these."""
        return self.steps or self.epochs or 0

    def rate(self, step: int, steps: int, steps_an_epoch: int) -> float:
        """Return the learning rate of a step, by its number alone, so that a resumed training goes on exactly.

        Args:
            step: counted from 0.
            steps: of the whole training, over which a cosine goes.
            steps_an_epoch: of one epoch, for a stage that is measured in epochs.

        Convention:
            Linear decay is that of the instcolor training code: over n epochs the factor falls from 1 - 1 / (n + 1) in
            the first to 1 - n / (n + 1) in the last.
        """
        place = step if self.epochs is None else step // steps_an_epoch
        if self.schedule == "cosine":
            warm = min(1.0, (step + 1) / max(1, steps // 20))
            return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        if self.tenth_after is not None:
            return float(self.learning_rate * 0.1 ** (step / self.tenth_after))
        if self.decay_from is not None:
            lowered = max(0, place + 1 - self.decay_from) / (self.length - self.decay_from + 1)
            return self.learning_rate * (1 - lowered)
        passed = [start for start in self.drops if start <= place]
        return self.drops[max(passed)] if passed else self.learning_rate


class Recipe(BaseModel):
    """Say how methods are trained, by stage.

    Attributes:
        train_size: side in pixels of the training pictures; None for the protocol's.
        model: settings that replace those of the same name in a method's configuration, such as `width: 0.25`.
        plugins: how a plug-in's method that `stages` does not name is trained; None refuses it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    train_size: int | None = Field(default=None, ge=16)
    batch_size: int = Field(default=16, ge=1)
    model: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, Stage]
    plugins: Stage | None = None

    def stage(self, method: str) -> Stage:
        """Return how a method's own stage is trained.

        Raises:
            UsageError: The recipe has no such stage.
        """
        usual = None if method in catalog.shipped_methods() else self.plugins
        stage = self.stages.get(method, usual)
        if stage is None:
            raise UsageError(
                f"the recipe {self.id!r} does not train {method!r}; it has {', '.join(self.stages)}. Give a recipe of "
                f"your own as a YAML file, whose `stages` say how {method} is trained"
            )
        return stage

    def tree(self, method: str) -> Tree:
        """Return the `class_path` tree of a method as this recipe builds it."""
        stage = self.stage(method)
        settings = {**self.model, **stage.model, "learning_rate": stage.learning_rate}
        return catalog.with_settings(catalog.model_tree(method), settings)

    def with_defaults(self, settings: Mapping[str, Any], stages: Iterable[str]) -> Self:
        """Return the recipe with settings of the model before its own, in those stages that have them.

        Args:
            settings: values by name, those that a method does not have among them.
            stages: of the method that is trained.
        """
        content = dict(self.stages)
        for stage in stages:
            names = set(setting_names(self.tree(stage)))
            defaults = {name: value for name, value in settings.items() if name in names and name not in self.model}
            model = {**defaults, **self.stage(stage).model}
            content[stage] = self.stage(stage).model_copy(update={"model": model})
        return self.model_copy(update={"stages": content})

    def with_settings(self, settings: Mapping[str, Any], stages: Iterable[str]) -> Self:
        """Return the recipe with settings of the model after its own, in those stages that have them.

        Args:
            settings: values by name.
            stages: of the method that is trained; one of them must have the setting.

        Raises:
            UsageError: No stage has a setting of that name, the recipe decides it alone, or the learning rate is no
                positive number.

        Convention:
            Where the learning rate drops, its drops are changed in the same proportion.
        """
        stages = list(stages)
        names = {stage: set(setting_names(self.tree(stage))) for stage in stages}
        for name in settings:
            catalog.known(f"setting of {' or '.join(stages)}", name, set().union(*names.values()))
        if "decay_steps" in settings:
            raise UsageError("--set decay_steps changes nothing: `schedule` and `drops` of the recipe lower the rate")
        content = self.model_dump()
        for stage in stages:
            own = {name: value for name, value in settings.items() if name in names[stage]}
            before = self.stage(stage)
            changed = content["stages"].setdefault(stage, before.model_dump())
            rate = changed["learning_rate"] = own.pop("learning_rate", before.learning_rate)
            changed["drops"] = _scaled(before.drops, rate, before.learning_rate)
            changed["model"] |= own
        try:
            return type(self).model_validate(content)
        except ValidationError as error:
            raise UsageError(f"--set: {catalog.explain(error, Recipe, Stage)}") from error


def _scaled(drops: Mapping[int, float], rate: Any, before: float) -> dict[int, float]:
    """Return drops of a learning rate that was `before` for one that is `rate`; it may yet prove to be no number."""
    factor = rate / before if isinstance(rate, int | float) else 1.0
    return {start: lower * factor for start, lower in drops.items()}


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
