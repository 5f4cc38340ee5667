"""What colorbench knows by name: read-only views of the cards and configurations that ship with it. Knows no torch."""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bench.errors import UsageError
from bench.plugins import Extended, Plugin
from bench.reported import Reported
from bench.tracks import AUTOMATIC, TrackKind

HERE = Path(__file__).parent
Tree = dict[str, Any]
"""A `class_path` / `init_args` tree, as LightningCLI reads it."""


class Published(BaseModel):
    """Say how a method's own release resizes a photo before it colours it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = 256
    filter: Literal["bilinear", "bicubic"] = "bilinear"


class Release(BaseModel):
    """Say how the published weights of a method are had: the format that imports them, and the file to be fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    file: str | None = None


class MethodCard(BaseModel):
    """Hold the facts of a method: who made it, under which licence, and what the suite must know to run it.

    Attributes:
        uses_hints: whether it takes colours that are given away, `hints: N` in a suite.
        track: what it cannot do without: `hints`, or a `reference` picture; any other method is `automatic`.
        stages: ids of the methods to be trained one after another, its own last; empty where nothing is trained.
        weights: its published weights; None where there are none.
        reported: figures of it that papers give; facts only, never mixed with measured ones.
        plugin: the distribution that brings it, with its version; None for a method of colorbench's own.
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
    uses_hints: bool = False
    track: TrackKind = AUTOMATIC
    trainable: bool
    stages: tuple[str, ...] = ()
    published: Published = Published()
    weights: Release | None = None
    reported: tuple[Reported, ...] = ()
    plugin: str | None = None

    @model_validator(mode="after")
    def _takes_what_it_needs(self) -> Self:
        if self.track == "hints" and not self.uses_hints:
            raise ValueError("a method of the track `hints` uses hints: say `uses_hints: true`")
        return self


DETECTORS: Mapping[str, str] = MappingProxyType(
    {
        "annotations": "the boxes that the dataset's annotators drew",
        "yolo": "YOLOv8-seg through ultralytics, on the light channel (extra `yolo`)",
        "mask-rcnn": "Mask R-CNN ResNet-50 FPN v2 through torchvision, on the light channel",
        "whole-image": "one box that covers the picture",
        "none": "no boxes at all",
    }
)


YAML_ERRORS = (yaml.YAMLError, RecursionError, ValueError)


class _UniqueKeys(yaml.SafeLoader):
    """Read plain YAML, and refuse what is ambiguous or made to blow up: double keys, aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not read here; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def read_yaml(path: Path) -> Tree:
    """Return the mapping in a YAML file of plain values; nothing in it is executed.

    Raises:
        UsageError: The file cannot be read, or holds something else.
    """
    return parse_yaml(read_text(path), str(path))


def load_plain(text: str) -> Any:
    """Return what a YAML text holds, plain values and nothing else; raises one of `YAML_ERRORS`."""
    return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader that refuses more


def parse_yaml(text: str, source: str, keys: Iterable[str] = ()) -> Tree:
    """Return the mapping in a YAML text; `source` names it in errors, `keys` are some that it should have.

    Raises:
        UsageError: It is no YAML, is ambiguous, or is no mapping.
    """
    try:
        content = load_plain(text)
    except YAML_ERRORS as error:
        raise UsageError(f"{source} is not YAML that can be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        wanted = f" with {', '.join(keys)}" if keys else ""
        raise UsageError(f"{source} holds {type(content).__name__}, not a mapping{wanted}")
    return content


def explain(error: ValidationError, *kinds: type[BaseModel]) -> str:
    """Return the first few problems, each with its place; an unknown key with the nearest of those of `kinds`."""
    fields = {field for kind in kinds for field in kind.model_fields}
    lines = []
    for problem in error.errors()[:5]:
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            lines.append(f"{place}: this key is missing")
        elif problem["type"] != "extra_forbidden":
            lines.append(f"{place}: {problem['msg']}, given {str(problem['input'])[:80]!r}")
        elif problem["loc"][-1] in fields:
            lines.append(f"{place}: this key does not belong here")
        else:
            near = difflib.get_close_matches(str(problem["loc"][-1]), sorted(fields), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(fields))}"
            lines.append(f"{place}: this key is unknown; {hint}")
    return "; ".join(lines)


def _configs(kind: str) -> Mapping[str, Path]:
    return MappingProxyType({path.stem: path for path in sorted((HERE / "configs" / kind).glob("*.yaml"))})


@cache
def shipped_methods() -> Mapping[str, MethodCard]:
    """Return the cards of colorbench's own methods, by id."""
    cards = (MethodCard.model_validate(read_yaml(path)) for path in sorted((HERE / "cards").glob("*.yaml")))
    return MappingProxyType({card.id: card for card in cards})


@cache
def methods() -> Extended[MethodCard]:
    """Return the cards of all methods, by id; that of a plug-in, when asked for by name, imports it and torch."""

    def card(plugin: Plugin) -> MethodCard:
        from bench.extensions import method_card

        return method_card(plugin)

    return Extended("method", shipped_methods(), card)


@cache
def detectors() -> Extended[str]:
    """Return what each detector is, by id."""
    return Extended("detector", DETECTORS, lambda plugin: f"brought by {plugin.origin}")


@cache
def datasets() -> Extended[Path | Plugin]:
    """Return the YAML file of each dataset, or the plug-in that brings it, by id."""
    return Extended("dataset", _configs("data"), lambda plugin: plugin)


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


def training_stages(method: str) -> tuple[str, ...]:
    """Return the ids of the methods that are trained one after another for a method, its own last.

    Raises:
        UsageError: There is no such method, or it learns nothing.
    """
    stages = methods()[known("method", method, methods())].stages
    if not stages:
        learners = ", ".join(name for name, card in shipped_methods().items() if card.stages)
        raise UsageError(f"{method} learns nothing, so there is nothing to train or to set; learners: {learners}")
    return stages


def model_tree(method: str) -> Tree:
    """Return a fresh `class_path` tree of a method at its published size."""
    plugin = methods().plugin(known("method", method, methods()))
    if plugin is None:
        return read_yaml(HERE / "configs" / "model" / f"{method}.yaml")
    from bench.extensions import method_tree

    return method_tree(plugin)


def data_tree(dataset: str) -> Tree:
    """Return a fresh `class_path` tree of a dataset."""
    found = datasets()[known("dataset", dataset, datasets())]
    if isinstance(found, Path):
        return read_yaml(found)
    from bench.extensions import data_tree

    return data_tree(found)


def with_settings(tree: Tree, settings: Mapping[str, Any]) -> Tree:
    """Return a tree whose settings of these names are replaced, wherever in it they stand.

    This is how `width: 0.125` reaches every network of a method. A setting that the tree does not have is not added. A
    part, such as the loss, is replaced by another tree as a whole.
    """
    changed: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict) and not isinstance(settings.get(key), dict):
            changed[key] = with_settings(value, settings)
        else:
            changed[key] = settings.get(key, value)
    return changed
