"""What colorbench knows by name: read-only views of the cards and configurations that ship with it. Knows no torch."""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from bench.errors import UsageError

HERE = Path(__file__).parent
Tree = dict[str, Any]
"""A `class_path` / `init_args` tree, as LightningCLI reads it."""


class Published(BaseModel):
    """Say how a method's own release resizes a photo before it colours it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = 256
    filter: Literal["bilinear", "bicubic"] = "bilinear"


class MethodCard(BaseModel):
    """Hold the facts of a method: who made it, under which licence, and what the suite must know to run it.

    Attributes:
        stages: ids of the methods to be trained one after another, its own last; empty where nothing is trained.
        reported: figures that its authors published; facts only, never mixed with measured ones.
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
    uses_boxes: bool
    trainable: bool
    stages: tuple[str, ...] = ()
    published: Published = Published()
    reported: tuple[dict[str, Any], ...] = ()


DETECTORS: Mapping[str, str] = MappingProxyType(
    {
        "annotations": "the boxes that the dataset's annotators drew",
        "yolo": "YOLOv8-seg through ultralytics, on the light channel (extra `yolo`)",
        "mask-rcnn": "Mask R-CNN ResNet-50 FPN v2 through torchvision, on the light channel",
        "whole-image": "one box that covers the picture",
        "none": "no boxes at all",
    }
)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file of plain values; nothing in it is executed."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _configs(kind: str) -> Mapping[str, Path]:
    return MappingProxyType({path.stem: path for path in sorted((HERE / "configs" / kind).glob("*.yaml"))})


@cache
def methods() -> Mapping[str, MethodCard]:
    """Return the cards of all methods, by id."""
    cards = (MethodCard.model_validate(read_yaml(path)) for path in sorted((HERE / "cards").glob("*.yaml")))
    return MappingProxyType({card.id: card for card in cards})


@cache
def datasets() -> Mapping[str, Path]:
    """Return the YAML files of all datasets, by id."""
    return _configs("data")


@cache
def suites() -> Mapping[str, Path]:
    """Return the YAML files of the suites that ship with colorbench, by id."""
    return _configs("suite")


@cache
def recipes() -> Mapping[str, Path]:
    """Return the YAML files of the training recipes, by id."""
    return _configs("recipe")


def known(kind: str, name: str, names: Iterable[str]) -> str:
    """Return `name` if it is among `names`.

    Raises:
        UsageError: It is not; the message holds the nearest names, or all of them.
    """
    choices = sorted(names)
    if name in choices:
        return name
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(choices)}"
    raise UsageError(f"no {kind} is called {name!r}; {hint}")


def model_tree(method: str) -> Tree:
    """Return a fresh `class_path` tree of a method at its published size."""
    known("method", method, methods())
    tree: Tree = read_yaml(HERE / "configs" / "model" / f"{method}.yaml")
    return tree


def data_tree(dataset: str) -> Tree:
    """Return a fresh `class_path` tree of a dataset."""
    tree: Tree = read_yaml(datasets()[known("dataset", dataset, datasets())])
    return tree


def with_settings(tree: Tree, settings: Mapping[str, Any]) -> Tree:
    """Return a tree whose settings of these names are replaced, wherever in it they stand.

    This is how `width: 0.125` reaches every network of a method. A setting that the tree does not have is not added.
    """
    changed: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            changed[key] = with_settings(value, settings)
        else:
            changed[key] = settings.get(key, value)
    return changed
