"""What plug-ins bring, as the catalog holds it: cards and trees that follow from classes. Torch comes in when used."""

import inspect
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.catalog import MethodCard, Tree, explain
from bench.plugins import Plugin

if TYPE_CHECKING:
    from datamodules.photo_data import PhotoDataModule
    from lightning_modules.base import Colorizer

DECIDED = ("id", "uses_boxes", "uses_hints", "trainable", "stages", "weights", "plugin")
"""Fields of a card that the class itself decides."""

PLAIN = (bool, int, float, str, type(None))


def method_class(plugin: Plugin) -> "type[Colorizer]":
    """Return the class of a method.

    Raises:
        UsageError: It cannot be imported, is no `Colorizer`, or learns what it would not save.
    """
    from lightning_modules.base import Colorizer

    found = plugin.load()
    if not (isinstance(found, type) and issubclass(found, Colorizer)):
        raise plugin.fault(f"is {_described(found)}, not a class derived from lightning_modules.base.Colorizer")
    if found.colorize is Colorizer.colorize and found.forward is Colorizer.forward:
        raise plugin.fault("does not implement colorize(), which gives the chroma of a batch")
    if found.loss is not Colorizer.loss and found.networks is Colorizer.networks:
        raise plugin.fault("has a loss(), but no networks(): nothing that it learns would be saved")
    return found


def data_class(plugin: Plugin) -> "type[PhotoDataModule]":
    """Return the class of a dataset.

    Raises:
        UsageError: It cannot be imported, or is no `PhotoDataModule`.
    """
    from datamodules.photo_data import PhotoDataModule

    found = plugin.load()
    if not (isinstance(found, type) and issubclass(found, PhotoDataModule)):
        raise plugin.fault(f"is {_described(found)}, not a class derived from datamodules.photo_data.PhotoDataModule")
    return found


def _described(found: object) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else f"of the type {type(found).__qualname__}"


def method_card(plugin: Plugin) -> MethodCard:
    """Return the facts of a method: from its class, its attribute `card`, and the metadata of its distribution.

    Raises:
        UsageError: The class is no method, or its `card` has keys or values that a card does not know.
    """
    from lightning_modules.base import Colorizer

    method = method_class(plugin)
    stated = getattr(method, "card", {})
    if not isinstance(stated, Mapping):
        raise plugin.fault(f"has a `card` {_described(stated)}, not a mapping of facts")
    decided = [key for key in DECIDED if key in stated]
    if decided:
        raise plugin.fault(f"states {' and '.join(decided)} in its `card`: that follows from the class itself")
    facts = {
        **_stated_by(metadata.metadata(plugin.distribution), method.__name__),
        **stated,
        "id": plugin.id,
        "uses_boxes": method.uses_boxes,
        "uses_hints": _takes_hints(method),
        "trainable": method.networks is not Colorizer.networks,
        "stages": () if method.loss is Colorizer.loss else (plugin.id,),
        "plugin": plugin.origin,
        **({"track": "hints"} if method.needs_hints else {}),
    }
    try:
        return MethodCard.model_validate(facts)
    except ValidationError as error:
        raise plugin.fault(f"has a `card` that cannot be read: {explain(error, MethodCard)}") from error


def _takes_hints(method: "type[Colorizer]") -> bool:
    learned = method.hint_stop is not None or settings_of(method).get("hint_stop") is not None
    return method.needs_hints or learned


def _stated_by(about: "metadata.PackageMetadata", name: str) -> dict[str, Any]:
    """Return what a distribution says of itself; addresses of people are left out."""
    said = {key: value for key in about if (value := about[key]) and value != "UNKNOWN"}
    links = [value.partition(",")[2].strip() for value in about.get_all("Project-URL") or []]
    mailed = [part.partition("<")[0].strip(' "') for part in said.get("Author-email", "").split(",")]
    return {
        "name": name,
        "authors": said.get("Author") or ", ".join(person for person in mailed if person and "@" not in person),
        "year": None,
        "paper": None,
        "venue": None,
        "url": said.get("Home-page") or next(iter(links), None),
        "license": said.get("License-Expression") or said.get("License", "").partition("\n")[0],
    }


def settings_of(kind: type) -> dict[str, Any]:
    """Return the settings that a class takes and their defaults, those that are plain values and lists of them.

    A constructor that hands `**settings` on takes those of its base class too.
    """
    found: dict[str, Any] = {}
    for each in kind.__mro__:
        if "__init__" not in each.__dict__:
            continue
        parameters = inspect.signature(each.__dict__["__init__"]).parameters.values()
        plain = {each.name: each.default for each in parameters if _is_plain(each.default)}
        found = {**plain, **found}
        if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
            break
    return found


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, list) and all(isinstance(each, PLAIN) for each in value))


def method_tree(plugin: Plugin) -> Tree:
    """Return the `class_path` tree of a method with its settings, which recipes and `--set` change by name."""
    return {"class_path": plugin.class_path, "init_args": settings_of(method_class(plugin))}


def data_tree(plugin: Plugin) -> Tree:
    """Return the `class_path` tree of a dataset; a `root` that has no default is the folder of the dataset's id."""
    kind = data_class(plugin)
    taken = inspect.signature(kind).parameters
    roots = {"root": plugin.id} if "root" in taken and taken["root"].default is inspect.Parameter.empty else {}
    own = {name: value for name, value in settings_of(kind).items() if name in taken}
    return {"class_path": plugin.class_path, "init_args": {**roots, **own}}
