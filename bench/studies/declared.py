"""What a study declares: which trainings with which seeds, and the suite that scores them. Knows no torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import catalog
from bench.errors import MissingError, UsageError
from bench.provenance import canonical_digest
from bench.recipe import load_recipe
from bench.suite import MethodChoice, Name, Suite, parse_suite

DECLARATION = "study.yaml"
TRAINED = "trained/"


class Training(BaseModel):
    """Declare one training, which is repeated with every seed of the study.

    Attributes:
        name: of its folder; a suite finds its weights as `trained/<name>--s{seed}`.
        recipe: other than that of the study; an id, or a file beside the study's own.
        settings: of the model, as `--set` gives them; `set` in the file.
        init: name of an earlier training whose stages this one goes on from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=True)

    name: Name
    method: str
    recipe: str | None = None
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict, alias="set")
    init: str | None = None

    def run(self, seed: int) -> str:
        """Return the name of the training with one seed."""
        return f"{self.name}--s{seed}"


class Study(BaseModel):
    """Declare a study; `study.yaml` in its folder.

    Attributes:
        machine: what it was computed on, in general words.
        data: of all trainings; an id, or a file beside this one. So are `recipe` and `suite`.
        against: name of the run that all others are compared with, such as `gray--none`.
        precision: of the trainings; scores are always computed in that of the suite.
        pictures: keys of the test pictures that the page shows, whose licences allow it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    title: str
    machine: str
    data: str
    recipe: str
    suite: str
    against: str
    precision: Literal["32", "bf16"] = "32"
    seeds: tuple[int, ...] = Field(min_length=1)
    trainings: tuple[Training, ...] = Field(min_length=1)
    pictures: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names: list[str] = []
        for training in self.trainings:
            catalog.known("method", training.method, catalog.methods())
            if training.name in names:
                raise UsageError(f"two trainings are called {training.name!r}: give one of them another `name:`")
            if training.init is not None:
                catalog.known("earlier training", training.init, names)
            names.append(training.name)
        return self

    def chain(self, name: str) -> list[Training]:
        """Return a training with all that it goes on from, the first one first."""
        by_name = {training.name: training for training in self.trainings}
        found = by_name[catalog.known("training", name, by_name)]
        return [*(self.chain(found.init) if found.init else ()), found]

    def needed(self, methods: Iterable[MethodChoice]) -> list[Training]:
        """Return the trainings that methods of the suite need, in the order in which they stand."""
        wanted = {name for method in methods if (name := trained_as(method)) is not None}
        names = {training.name for name in wanted for training in self.chain(name)}
        return [training for training in self.trainings if training.name in names]


@dataclass(frozen=True, slots=True)
class Declared:
    """Hold a study that was read, with its suite and the folder that both lie in."""

    folder: Path
    study: Study
    suite: Suite

    def beside(self, name: str) -> str:
        """Return the path of a YAML file in the study's folder; an id is returned as it is."""
        return str(self.folder / name) if name.endswith((".yaml", ".yml")) else name

    def digest(self, training: Training, seed: int) -> str:
        """Return the sha256 over all that is declared about a training and those that it goes on from."""
        study = self.study
        data = catalog.read_yaml(Path(self.beside(study.data))) if study.data not in catalog.datasets() else study.data
        parts: list[Any] = [seed, study.precision, data]
        for each in study.chain(training.name):
            recipe = load_recipe(self.beside(each.recipe or study.recipe))
            own = recipe.model_copy(update={"stages": {each.method: recipe.stage(each.method)}})
            parts += [each.model_dump(mode="json"), own.model_dump(mode="json")]
        return canonical_digest(parts)


def trained_as(method: MethodChoice) -> str | None:
    """Return the training that the weights of a suite's method come from; None where they come from elsewhere.

    >>> trained_as(MethodChoice(id="zhang-eccv16", weights="trained/zhang-eccv16--s{seed}"))
    'zhang-eccv16'
    """
    if method.weights is None or not method.weights.startswith(TRAINED):
        return None
    return method.weights.removeprefix(TRAINED).removesuffix("--s{seed}")


def load_study(folder: Path) -> Declared:
    """Read the study in a folder.

    Raises:
        MissingError: There is none.
        UsageError: It or its suite has keys or values that are not known, or they do not fit each other.
    """
    path = folder / DECLARATION
    if not path.is_file():
        raise MissingError(f"{folder} holds no {DECLARATION}: give the folder of a study, as those in results/studies")
    content: dict[str, Any] = catalog.read_yaml(path)
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {catalog.explain(error, Study, Training)}") from error
    suite = parse_suite(catalog.read_text(folder / study.suite), str(folder / study.suite))
    if suite.seeds != study.seeds:
        raise UsageError(f"{path} has the seeds {list(study.seeds)}, {study.suite} has {list(suite.seeds)}: make equal")
    study.needed(suite.methods)
    return Declared(folder, study, suite)
