"""What `colorbench list` prints: all that has a name, of colorization and of inpainting. Knows no torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench import catalog
from bench.scoring.classifiers import CLASSIFICATION, CLASSIFIERS
from bench.scoring.metrics import METRICS, VARIANTS, is_variant
from bench.terminal import PLAIN_WIDTH, READABLE_WIDTH, widen
from bench.tracks import AUTOMATIC
from datamodules.protocol import PROTOCOLS

Entry = dict[str, Any]


def _first_comment(path: Path) -> str:
    """Return what a configuration file says of itself in the comment at its top."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def _methods() -> list[Entry]:
    return [card.model_dump(mode="json") for card in catalog.methods().values()]


def _detectors() -> list[Entry]:
    return [{"id": name, "about": about} for name, about in catalog.detectors().items()]


def _metrics() -> list[Entry]:
    return [{"id": name, **metric.model_dump(mode="json", exclude={"id"})} for name, metric in METRICS.items()]


def _protocols() -> list[Entry]:
    return [{**protocol.model_dump(), "digest": protocol.digest} for protocol in PROTOCOLS.values()]


def _datasets() -> list[Entry]:
    return [
        {"id": name, "about": _first_comment(found) if isinstance(found, Path) else f"brought by {found.origin}"}
        for name, found in catalog.datasets().items()
    ]


def _files(files: Callable[[], Any]) -> Callable[[], list[Entry]]:
    return lambda: [{"id": name, "about": _first_comment(path)} for name, path in files().items()]


def _inpainting() -> list[Entry]:
    """Return what the other task has, each with its kind: a method, suite, recipe or metric."""
    from bench.inpainting.metrics import INPAINT_METRICS
    from bench.inpainting.suite import cards, models, recipes, suites

    found = [{"id": name, "kind": "method", "about": _first_comment(models()[name])} for name in cards()]
    for kind, files in {"suite": suites(), "recipe": recipes()}.items():
        found += [{"id": name, "kind": kind, "about": _first_comment(path)} for name, path in files.items()]
    metrics = INPAINT_METRICS.values()
    return [*found, *({"id": each.id, "kind": "metric", "about": each.definition} for each in metrics)]


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "methods": _methods,
    "detectors": _detectors,
    "datasets": _datasets,
    "metrics": _metrics,
    "protocols": _protocols,
    "suites": _files(catalog.suites),
    "recipes": _files(catalog.recipes),
    "inpainting": _inpainting,
}

COLUMNS = {
    "methods": ("id", "name", "year", "uses_boxes", "track", "trainable", "license"),
    "metrics": ("id", "unit", "direction", "definition", "source"),
    "protocols": ("id", "geometry", "size", "luminance"),
    "inpainting": ("kind", "id", "about"),
}
HEADINGS = {"uses_boxes": "boxes", "track": "sees more"}
"""Of columns that are not called after what they hold."""
SENTENCES = frozenset({"about", "definition", "source"})


def entries(kind: str) -> list[Entry]:
    """Return all things of a kind, each with an `id`.

    Raises:
        UsageError: There is no such kind.
    """
    return KINDS[catalog.known("list", kind, KINDS)]()


def print_entries(kind: str, console: Console | None = None) -> None:
    """Print all things of a kind as a table; a terminal that is too narrow for their names shows the ids alone."""
    rows = [entry for entry in entries(kind) if kind != "metrics" or not is_variant(entry["id"])]
    columns = COLUMNS.get(kind, ("id", "about"))
    console = widen(console or Console())
    table = _table(rows, columns)
    if Measurement.get(console, console.options.update(max_width=PLAIN_WIDTH), table).maximum > console.width:
        table = _table(rows, [column for column in columns if column != "name"])
    console.print(table)
    if kind == "suites":
        console.print("Those of inpainting: colorbench list inpainting.", soft_wrap=True)
    if kind == "metrics":
        networks = ", ".join(file.network for metric, file in CLASSIFIERS.items() if is_variant(metric))
        _print_words(console, f"{CLASSIFICATION}_NETWORK asks another network of torchvision: {networks}.")
        _print_words(console, f"Of other definitions, each refused with the reason: {', '.join(VARIANTS)}.")


def _print_words(console: Console, text: str) -> None:
    """Print a long list of names in lines that can be read, in a file too, with every name whole."""
    width = min(console.width, READABLE_WIDTH)
    console.print(fill(text, width, break_long_words=False, break_on_hyphens=False), soft_wrap=True)


def _table(rows: Sequence[Entry], columns: Sequence[str]) -> Table:
    """Return a table in which only sentences are wrapped."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(HEADINGS.get(column, column), no_wrap=column not in SENTENCES, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value in {None, AUTOMATIC} else str(value)
