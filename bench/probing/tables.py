"""The table of a probe: one line a network and layer in CSV and JSON, layers beside each other in Markdown."""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.files import atomic_write
from bench.probing.cells import Cell, read_cells
from bench.statistics import bootstrap_interval
from bench.tables import Cell as TableCell
from bench.tables import table_to_csv
from bench.terminal import visible, widen

COLUMNS = (
    *("dataset", "task", "input", "method", "initialisation", "layer", "metric", "score", "low", "high", "n", "chance"),
    *("classes", "learnt", "seed", "recipe", "size", "steps", "partial", "network", "parameters", "cell"),
)
TASKS = {
    "linear": "Linear classifiers on frozen layers: accuracy in percent",
    "classification": "Fine-tuned for classification: mean average precision in percent",
    "detection": "Fine-tuned for detection: mean average precision in percent",
    "segmentation": "Fine-tuned for segmentation: mean intersection over union in percent",
}
ORDER = ("random", "trained", "supervised")


def lines(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return one line a network and layer, with the columns of the CSV file."""
    return [
        {
            "dataset": cell.identity.dataset,
            "task": cell.identity.task.value,
            "input": cell.identity.variant.value,
            "method": cell.identity.method,
            "initialisation": cell.identity.initialisation,
            "layer": score.layer,
            "metric": score.metric,
            "score": score.score,
            "low": score.low,
            "high": score.high,
            "n": score.n,
            "chance": cell.chance,
            "classes": cell.counts.get("classes"),
            "learnt": cell.counts["learnt"],
            "seed": cell.identity.seed,
            "recipe": cell.identity.recipe,
            "size": cell.identity.settings.size,
            "steps": cell.identity.settings.steps,
            "partial": cell.identity.partial,
            "network": cell.network,
            "parameters": cell.parameters,
            "cell": cell.id,
        }
        for cell in in_order(cells)
        for score in cell.scores
    ]


def in_order(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells by dataset, test and input, and in these a network's random state before what it learnt."""

    def place(cell: Cell) -> tuple[Any, ...]:
        own = cell.identity
        task, last = list(TASKS).index(own.task), own.initialisation == "supervised"
        return *_table_of(cell), task, last, own.method, own.seed, ORDER.index(own.initialisation)

    return sorted(cells, key=place)


def _table_of(cell: Cell) -> tuple[str, ...]:
    """Return what the cells of one table share: numbers of other data, classes or settings are not comparable."""
    own = cell.identity
    settings = own.settings.model_dump_json()
    return own.dataset, own.task.value, own.variant.value, str(sorted(own.data.items())), own.recipe, settings


def write_tables(out: Path) -> list[Cell]:
    """Write `probe.md`, `probe.csv` and `probe.json` of all cells in a folder, and return these."""
    cells = list(read_cells(out))
    found = lines(cells)
    rows: list[list[TableCell]] = [[_plain(line[name]) for name in COLUMNS] for line in found]
    atomic_write(out / "probe.csv", table_to_csv(COLUMNS, rows))
    atomic_write(out / "probe.json", json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    atomic_write(out / "probe.md", to_markdown(cells))
    return cells


def _plain(value: Any) -> TableCell:
    cell: TableCell = str(value).lower() if isinstance(value, bool) else value
    return cell


def grids(cells: Sequence[Cell]) -> list[tuple[str, str, list[str], list[list[str]]]]:
    """Return title, remark, head and rows of one table for each dataset, test, input and settings."""
    return [_grid(list(group)) for _, group in groupby(in_order(cells), key=_table_of)]


def _grid(cells: Sequence[Cell]) -> tuple[str, str, list[str], list[list[str]]]:
    own, counts = cells[0].identity, cells[0].counts
    layers = list(dict.fromkeys(score.layer for cell in cells for score in cell.scores))
    rows = []
    for cell in cells:
        scores = {score.layer: f"{score.score:.1f}" for score in cell.scores}
        name = [cell.identity.method, cell.identity.initialisation, str(cell.identity.seed)]
        rows.append([*name, *(scores.get(layer, "") for layer in layers)])
    chance = "" if cells[0].chance is None else f" Always the commonest class: {cells[0].chance:.1f}."
    partial = " A part of the photos only." if own.partial else ""
    remark = (
        f"{counts['learnt']} photos to learn from, {counts['tested']} tested, {counts['classes']} classes; recipe "
        f"{own.recipe}, {own.settings.size} px, {own.settings.steps} steps.{chance}{partial}"
    )
    remark += by_luck(cells)
    return f"{TASKS[own.task]}; {own.dataset}, input {own.variant}", remark, ["method", "begun", "seed", *layers], rows


def by_luck(cells: Sequence[Cell]) -> str:
    """Return a sentence that names the rows of which no score is above what the commonest class could get; "" for none.

    Convention:
        Above is above the 95 % bootstrap interval over the photos of the share that answering the commonest class
        tells right.
    """
    named = [
        f"{cell.identity.method} {cell.identity.initialisation}, seed {cell.identity.seed}"
        for cell in cells
        if cell.scores and all(score.score <= _luck(cell.chance, score.n) for score in cell.scores)
    ]
    if not named:
        return ""
    most = _luck(cells[0].chance, cells[0].scores[0].n)
    return f" No layer is above what the commonest class alone may get, {most:.1f} (95 %): {'; '.join(named)}."


@lru_cache
def _luck(chance: float | None, n: int) -> float:
    """Return the upper end of the interval of a share in percent over so many photos; -inf where there is no share."""
    if chance is None:
        return -math.inf
    right = round(n * chance / 100)
    high = bootstrap_interval([100.0] * right + [0.0] * (n - right))[1]
    return 100.0 if high is None else high


def to_markdown(cells: Sequence[Cell]) -> str:
    """Return one table a dataset, test, input and settings, with a layer a column."""
    text = "# What networks have learnt beside colour\n"
    for title, remark, head, rows in grids(cells):
        table = [head, ["---"] * 3 + ["---:"] * (len(head) - 3), *rows]
        text += f"\n## {title}\n\n{remark}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table)
    return text


def print_tables(cells: Sequence[Cell]) -> None:
    """Print the same on standard output."""
    console = widen(Console(highlight=False))
    for title, remark, head, rows in grids(cells):
        table = Table(*head, title=visible(title), caption=visible(remark))
        for row in rows:
            table.add_row(*map(visible, row))
        console.print(table)
