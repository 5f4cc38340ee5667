"""CSV as this project writes it: equal content gives equal bytes, and no cell is a formula to a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.files import atomic_write

Cell = str | int | float | None

FORMULA = re.compile(r"'*[=+\-@\t\r]")
QUOTED = re.compile(r'[,"\r\n]')


def escape_text(text: str) -> str:
    """Put a `'` before text that a spreadsheet would run; `unescape_text` takes it away again."""
    return f"'{text}" if FORMULA.match(text) else text


def unescape_text(text: str) -> str:
    """Return what `escape_text` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def format_cell(value: Cell) -> str:
    """Return text escaped, a number in the fewest digits that read back as the same number, None as nothing."""
    if value is None:
        return ""
    return escape_text(value) if isinstance(value, str) else repr(value)


def quote(cell: str) -> str:
    """Put a cell into quotes where it needs them.

    Convention:
        As `csv.writer`, and round a lone return too, which that writer leaves bare although it ends a line to readers.

    >>> quote("a"), quote("a,b")
    ('a', '"a,b"')
    """
    return '"' + cell.replace('"', '""') + '"' if QUOTED.search(cell) else cell


def table_to_csv(columns: Sequence[str], lines: Iterable[Sequence[Cell]]) -> str:
    """Return a table as CSV text with a header."""
    cells = [columns, *([format_cell(value) for value in line] for line in lines)]
    return "".join(",".join(map(quote, line)) + "\n" for line in cells)


def write_table(path: Path, columns: Sequence[str], lines: Iterable[Sequence[Cell]]) -> None:
    """Replace `path` by a table."""
    atomic_write(path, table_to_csv(columns, lines))


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the lines of a table by column name, as text, escapes undone; an empty cell is the empty string."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: unescape_text(cell) for name, cell in line.items()} for line in csv.DictReader(file)]
