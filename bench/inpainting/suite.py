"""A suite of inpainting: which methods, on which photos, with which holes. Knows no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import catalog
from bench.catalog import Tree
from bench.errors import UsageError
from bench.recipe import Recipe, Stage, setting_names
from bench.reported import Reported
from bench.suite import Choice, DatasetChoice, Name
from datamodules.protocol import PROTOCOLS, Protocol

LEARNING = "edgeconnect-inpainting"
"""The method that learns."""

UNTRAINED = "untrained"

Buckets = Literal["10-20", "20-30", "30-40", "40-50", "fixed"]
Mixes = Literal["block", "half", "irregular", "irregular-block", "irregular-block-half"]


class InpaintCard(BaseModel):
    """Hold the facts of an inpainting method.

    Attributes:
        trainable: whether it learns.
        reported: figures that papers give, `dataset` naming the holes after the pictures; never mixed with ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    authors: str
    year: int | None
    paper: str | None
    venue: str | None
    url: str | None
    license: str
    trainable: bool
    reported: tuple[Reported, ...] = ()


class InpaintChoice(Choice):
    """Choose a method, and how it is trained and tried.

    Attributes:
        weights: folder of its weights, `untrained`, or None: it is trained by the suite's recipe.
        settings: of the model, by name, after those of the recipe; an ablation.
        edges: `drawn` by the method, or the truth's, given away `true`: such a run sees more and is never ranked.
        sigma: of Canny's edges that the method sees, in pixels; None for the suite's.
        train_sigma: of those that it learns from; None for the suite's. Choices that agree in id, settings, weights
            and this share one training.
    """

    weights: str | None = None
    settings: dict[str, bool | int | float | str] = Field(default_factory=dict)
    edges: Literal["drawn", "true"] = "drawn"
    sigma: float | None = Field(default=None, gt=0)
    train_sigma: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _read_edges(cls, value: Any) -> Any:
        """Take `edges: true`, which YAML reads as a truth value, for the word."""
        if isinstance(value, Mapping) and value.get("edges") is True:
            return {**value, "edges": "true"}
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        catalog.known("inpainting method", self.id, cards())
        names = set(setting_names(model_tree(self.id)))
        for setting in self.settings:
            catalog.known(f"setting of {self.id}", setting, names)
        if not self.learns and (self.edges == "true" or self.train_sigma or self.weights):
            raise UsageError(f"{self.id} learns nothing and sees no lines: leave edges, train_sigma and weights out")
        return self

    @property
    def learns(self) -> bool:
        """Whether it has weights."""
        return cards()[self.id].trainable

    @property
    def untrained(self) -> bool:
        """Whether it is tried with random weights."""
        return self.weights == UNTRAINED


class PhotoChoice(DatasetChoice):
    """Choose the photos that are tested, and with `train` those that are trained on, where these are another set."""

    train: str | None = None

    @model_validator(mode="after")
    def _train_known(self) -> Self:
        if self.train is not None:
            catalog.known("dataset", self.train, catalog.datasets())
        return self


class InpaintSuite(BaseModel):
    """Say what is compared.

    Attributes:
        dataset: the photos; found below `--data-root`, else beside the suite's file.
        offline: the photos where no `--data-root` is given; None for those of `dataset`.
        pictures: so many of the test photos, drawn by the sha256 of their keys; None for all.
        protocol: geometry of the pictures, which must be squares.
        size: their side in pixels, in place of the protocol's; None for that.
        holes: buckets that each method is scored in.
        masks: folder of irregular masks; None for painted ones, which no published figure was made with.
        mix: the holes of training.
        sigma: of Canny's edges in pixels.
        recipe: id, or YAML file, of the recipe of all trainings.
        shown: so many pictures of each bucket stand in the comparison.
        limit: score the first so many pictures only; such runs are partial and never ranked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    methods: tuple[InpaintChoice, ...] = Field(min_length=1)
    dataset: PhotoChoice
    offline: PhotoChoice | None = None
    pictures: int | None = Field(default=None, ge=1)
    protocol: str = "centercrop256-v1"
    size: int | None = Field(default=None, ge=24)
    holes: tuple[Buckets, ...] = Field(default=("10-20", "20-30", "30-40", "40-50", "fixed"), min_length=1)
    masks: str | None = None
    mix: Mixes = "irregular-block"
    sigma: float = Field(default=2.0, gt=0)
    recipe: str = "small"
    seed: int = Field(default=0, ge=0)
    batch_size: int = Field(default=4, ge=1)
    shown: int = Field(default=1, ge=0)
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        catalog.known("protocol", self.protocol, PROTOCOLS)
        if self.size is None and PROTOCOLS[self.protocol].size is None:
            raise UsageError(f"{self.protocol} keeps the sizes of photos, but holes are cut in squares: give a size")
        for kind, names in (("methods", [each.name for each in self.methods]), ("buckets", self.holes)):
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                raise UsageError(f"two {kind} are called {twice!r}: give one of them another name, or leave it out")
        return self

    @property
    def square(self) -> Protocol:
        """Return the protocol at the size of the pictures."""
        found = PROTOCOLS[self.protocol]
        return found if self.size in (None, found.size) else found.resized(self.size or 0)


def _files(kind: str) -> Mapping[str, Path]:
    folder = catalog.HERE / "configs" / f"inpaint-{kind}"
    return MappingProxyType({path.stem: path for path in sorted(folder.glob("*.yaml"))})


def suites() -> Mapping[str, Path]:
    """Return the suites that ship with colorbench, by id."""
    return _files("suite")


def recipes() -> Mapping[str, Path]:
    """Return the recipes that ship with colorbench, by id."""
    return _files("recipe")


def models() -> Mapping[str, Path]:
    """Return the files of the inpainting methods at their published size, by id."""
    return _files("model")


def cards() -> Mapping[str, InpaintCard]:
    """Return the cards of the inpainting methods, by id."""
    paths = sorted((catalog.HERE / "cards" / "inpainting").glob("*.yaml"))
    found = (InpaintCard.model_validate(catalog.read_yaml(path)) for path in paths)
    return MappingProxyType({card.id: card for card in found})


def model_tree(method: str) -> Tree:
    """Return a fresh `class_path` tree of a method at its published size."""
    return catalog.read_yaml(models()[catalog.known("inpainting method", method, models())])


def load_recipe(name: str, beside: Path) -> Recipe:
    """Read a recipe by id, or by file, beside the suite's.

    Raises:
        UsageError: There is none, or its file is not a recipe.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        path = next((place / name for place in (Path(), beside) if (place / name).is_file()), path)
    else:
        path = recipes()[catalog.known("recipe of inpainting", name, recipes())]
    try:
        return Recipe.model_validate(catalog.read_yaml(path))
    except ValidationError as error:
        raise UsageError(f"{path}: {catalog.explain(error, Recipe, Stage)}") from error


def load_suite(name: str) -> tuple[InpaintSuite, Path]:
    """Read a suite by file or by the id of one that ships with colorbench.

    Returns:
        The suite, and the folder that its relative paths may be meant from.

    Raises:
        UsageError: There is none, or it has keys or values that such a suite does not know.
    """
    path, beside = Path(name), Path(name).parent
    if path.suffix not in {".yaml", ".yml"}:
        path, beside = suites()[catalog.known("suite of inpainting", name, suites())], Path()
    if not path.is_file():
        raise UsageError(f"no suite at {name}: give a YAML file, or one of {', '.join(suites())}")
    content = catalog.parse_yaml(catalog.read_text(path), str(path), ("name", "methods", "dataset"))
    try:
        return InpaintSuite.model_validate(content), beside
    except ValidationError as error:
        kinds: Sequence[type[BaseModel]] = (InpaintSuite, InpaintChoice, PhotoChoice)
        raise UsageError(f"{path}: {catalog.explain(error, *kinds)}") from error
