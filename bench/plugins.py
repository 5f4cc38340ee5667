"""Methods, detectors, datasets and metrics of other distributions, found by their entry points. Knows no torch.

Looking for them reads small files only. A plug-in is imported when it is asked for by name, so that one that is broken
breaks what needs it and nothing else.
"""

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.downloads import file_sha256
from bench.errors import UsageError
from bench.plugin_files import distribution_files
from bench.progress import say

T = TypeVar("T")
Kind = Literal["method", "detector", "dataset", "metric"]

GROUPS: Mapping[str, Kind] = {
    "colorbench.methods": "method",
    "colorbench.detectors": "detector",
    "colorbench.datasets": "dataset",
    "colorbench.metrics": "metric",
}
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 100


@dataclass(frozen=True, slots=True)
class Plugin:
    """Name one thing that another distribution brings.

    Attributes:
        id: the name of its entry point.
        value: the value of its entry point, `package.module:Name`; of a metric a module.
        packages: top-level packages and modules of its distribution.
    """

    kind: Kind
    id: str
    value: str
    distribution: str
    version: str
    packages: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Return the dotted name of its module."""
        return self.value.partition(":")[0].strip()

    @property
    def class_path(self) -> str:
        """Return what a `class_path` in YAML says of it."""
        return self.value.replace(":", ".").replace(" ", "")

    @property
    def origin(self) -> str:
        """Return its distribution with the version."""
        return f"{self.distribution} {self.version}"

    def fault(self, what: str) -> UsageError:
        """Return the error that says what is wrong with it, and what to do."""
        return UsageError(
            f"the {self.kind} {self.id!r} of the distribution {self.origin} ({self.value}) {what}; correct it there, "
            f"or remove it: pip uninstall {self.distribution}"
        )

    def load(self) -> Any:
        """Import what its entry point names.

        Raises:
            UsageError: That fails, whatever it raises.
        """
        try:
            found = importlib.import_module(self.module)
            for name in self.value.partition(":")[2].strip().split("."):
                found = getattr(found, name) if name else found
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())[:200]
            raise self.fault(f"cannot be imported: {type(error).__name__}: {said}") from error
        return found

    def sources(self) -> str:
        """Return the sha256 over names and bytes of all files of its distribution, in hexadecimal."""
        digest = hashlib.sha256()
        tops = {self.module.partition(".")[0], *self.packages}
        for name, path in sorted(distribution_files(self.distribution, tops).items()):
            digest.update(f"{name}\0{file_sha256(path)}\n".encode())
        return digest.hexdigest()


def plugins(kind: Kind) -> Mapping[str, tuple[Plugin, ...]]:
    """Return what is installed of a kind, by id; more than one of an id is refused when that id is asked for."""
    found: dict[str, tuple[Plugin, ...]] = {}
    for plugin in _scan(tuple(sys.path)):
        if plugin.kind == kind:
            found[plugin.id] = (*found.get(plugin.id, ()), plugin)
    return found


@lru_cache(maxsize=4)
def _scan(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """Return all plug-ins on a module search path; of two distributions of one name the first counts."""
    found: dict[str, tuple[Plugin, ...]] = {}
    for distribution in metadata.distributions(path=list(path)):
        if "colorbench." in (distribution.read_text("entry_points.txt") or ""):
            name, brought = _of_distribution(distribution)
            found.setdefault(name.lower(), brought)
    return tuple(plugin for brought in found.values() for plugin in brought)


def _of_distribution(distribution: metadata.Distribution) -> tuple[str, tuple[Plugin, ...]]:
    """Return the name of a distribution and its plug-ins; none, and a note, where its own files cannot be read."""
    try:
        name, version = str(distribution.metadata["Name"]), distribution.version
        points = [point for point in distribution.entry_points if point.group in GROUPS]
    except (ValueError, TypeError, KeyError) as error:
        where = getattr(distribution, "_path", "a distribution")
        say(f"note: {Path(str(where)).name} cannot be read, and its plug-ins are left out: {error}")
        return str(where), ()
    packages = tuple((distribution.read_text("top_level.txt") or "").split())
    return name, tuple(Plugin(GROUPS[p.group], p.name, p.value, name, version, packages) for p in points)


def brought(class_path: str) -> Plugin | None:
    """Return the plug-in whose module holds what a `class_path` names; None for colorbench's own."""
    module = class_path.rpartition(".")[0]
    return next((plugin for plugin in _scan(tuple(sys.path)) if plugin.module == module), None)


class Extended(Mapping[str, T]):
    """See what ships with colorbench and what plug-ins bring as one; the latter is loaded when it is asked for by name.

    Args:
        kind: of things.
        shipped: colorbench's own, by id.
        load: makes one of a plug-in; raises `UsageError` where it is broken.
    """

    def __init__(self, kind: Kind, shipped: Mapping[str, T], load: Callable[[Plugin], T]) -> None:
        self.kind = kind
        self.shipped = shipped
        self._load = load

    def __iter__(self) -> Iterator[str]:
        yield from self.shipped
        yield from (name for name in plugins(self.kind) if name not in self.shipped)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.shipped or name in plugins(self.kind)

    def __getitem__(self, name: str) -> T:
        """Return one of them.

        Raises:
            KeyError: There is none of that name.
            UsageError: It is a plug-in's, and broken, or has the name of another one.
        """
        plugin = self.plugin(name)
        return self.shipped[name] if plugin is None else self._load(plugin)

    def plugin(self, name: str) -> Plugin | None:
        """Return the plug-in of a name; None where there is none, or one of colorbench's own has that name.

        Raises:
            UsageError: Two have that name, or it can be no id.
        """
        found = plugins(self.kind).get(name, ())
        if not found:
            return None
        form, wanted = (SNAKE, "snake_case") if self.kind == "metric" else (KEBAB, "kebab-case")
        if form.fullmatch(name) is None or len(name) > LONGEST:
            raise found[0].fault(f"has a name that is no id: {wanted} is wanted")
        if name in self.shipped:
            raise found[0].fault(f"has the name of the {self.kind} {name!r} that colorbench brings: rename it")
        if len(found) > 1:
            raise found[1].fault(f"has the name of a {self.kind} of the distribution {found[0].origin}: rename it")
        return found[0]

    def items(self) -> ItemsView[str, T]:
        """Return all that can be loaded by name, and say why others can't."""
        return self._loaded().items()

    def values(self) -> ValuesView[T]:
        """Return all that can be loaded, and say why others can't."""
        return self._loaded().values()

    def _loaded(self) -> dict[str, T]:
        found = dict(self.shipped)
        for name in plugins(self.kind):
            try:
                found[name] = self[name]
            except UsageError as error:
                _say_once(f"left out: {error}")
        return found


@lru_cache(maxsize=100)
def _say_once(text: str) -> None:
    say(text)


def class_path_roots(narrowed: Iterable[str]) -> list[str]:
    """Return the modules of installed methods and datasets, which a `class_path` in YAML may name.

    Those of Python itself and of packages that are allowed in part already are left out, whatever an entry point says.

    Args:
        narrowed: import paths that are allowed.
    """
    closed = {path.partition(".")[0] for path in narrowed} | {"jsonargparse", *sys.stdlib_module_names}
    modules = {plugin.module for plugin in _scan(tuple(sys.path)) if plugin.kind in ("method", "dataset")}
    return sorted(
        module
        for module in modules
        if module.partition(".")[0] not in closed and all(part.isidentifier() for part in module.split("."))
    )
