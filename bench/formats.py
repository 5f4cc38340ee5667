"""Tables of results in each format, which leaderboards and breakdowns share. Knows no torch."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from bench import latex, sheet
from bench.sheet import Sheet
from bench.tables import table_to_csv
from bench.terminal import PLAIN_WIDTH


@dataclass(frozen=True, slots=True)
class Tables:
    """Hold what people read and what programs read of the same results.

    Attributes:
        title: of all.
        sheets: each table in full, and as narrower terminals show it, the narrowest last.
        columns: of the one long table.
        lines: of it; what is missing is None.
    """

    title: str
    sheets: Sequence[Sequence[Sheet]]
    columns: Sequence[str]
    lines: Sequence[Mapping[str, Any]]


def to_markdown(tables: Tables) -> str:
    """Return one section a table, the best in bold, the second best underlined."""
    sections = "".join(sheet.to_markdown(full) for full, *_ in tables.sheets)
    return f"# {tables.title}\n" + (sections or "\nNo run is finished yet.\n")


def to_csv(tables: Tables) -> str:
    """Return the long table with all digits."""
    return table_to_csv(tables.columns, [[_as_cell(line[name]) for name in tables.columns] for line in tables.lines])


def _as_cell(value: str | int | float | None) -> str | int | float | None:
    """Return a value as tables hold it: `true` and `false` in small letters."""
    return str(value).lower() if isinstance(value, bool) else value


def to_json(tables: Tables) -> str:
    """Return a list of objects with the columns of the CSV format; what is missing is null."""
    return json.dumps(tables.lines, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_latex(tables: Tables) -> str:
    """Return one floating table each, to be pasted into a paper."""
    return latex.to_latex(tables.title, tables.sheets)


def to_text(tables: Tables) -> str:
    """Return what the terminal shows, without colours and as wide as it needs."""
    file = io.StringIO()
    print_tables(tables, Console(file=file, highlight=False, force_terminal=False, width=PLAIN_WIDTH))
    return file.getvalue()


def print_tables(tables: Tables, console: Console | None = None) -> None:
    """Print to the terminal, or as plain text where there is none."""
    console = console or Console(highlight=False)
    for versions in tables.sheets:
        sheet.print_sheet(console, versions)


FORMATS: Mapping[str, Callable[[Tables], str]] = {
    "terminal": to_text,
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
