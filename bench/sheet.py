"""Tables for people, in Markdown and on a terminal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench.terminal import PLAIN_WIDTH, visible, widen

MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
TEXT_COLUMNS = frozenset({"method", "detector", "note", "category"})
"""Headings of columns that hold words, not numbers."""


@dataclass(frozen=True, slots=True)
class SheetLine:
    """Hold the cells of one line, each with whether it is the best of its kind; `dim` for what has no rank."""

    cells: Sequence[tuple[str, bool]]
    dim: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Hold one table with its title and the sentences below it.

    Attributes:
        best_of: what a marked cell is the best of: `column` or `line`.
    """

    title: str
    headings: Sequence[str]
    lines: Sequence[SheetLine]
    captions: Sequence[str]
    best_of: str


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escape_markdown("a|<b>")
    'a\\|\\<b\\>'
    """
    return MARKDOWN.sub(r"\\\1", visible(text).replace("&", "&amp;"))


def to_markdown(sheet: Sheet) -> str:
    """Return a section with the table, the best in bold."""
    rules = [":--" if name in TEXT_COLUMNS else "--:" for name in sheet.headings]
    lines = [[escape_markdown(name) for name in sheet.headings], rules]
    for line in sheet.lines:
        cells = [(escape_markdown(text), best) for text, best in line.cells]
        lines.append([f"**{text}**" if best else text for text, best in cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"\n## {escape_markdown(sheet.title)}\n\n{table}\n\n{' '.join(sheet.captions)}\n"


def print_sheet(console: Console, wide: Sheet, narrow: Sheet) -> None:
    """Print a table; where it is too wide for the terminal, the narrow version of it, packed."""
    widen(console)
    table = _terminal_table(wide, terminal=console.is_terminal)
    unbounded = console.options.update(max_width=PLAIN_WIDTH)
    fits = Measurement.get(console, unbounded, table).maximum <= console.width
    shown = wide if fits else narrow
    notes = [*shown.captions, *([] if console.is_terminal else [f"*: best of its {shown.best_of}."])]
    console.print(Text(visible(shown.title), style="bold"))
    console.print(table if fits else _terminal_table(narrow, terminal=console.is_terminal, packed=True))
    console.print(Text(" ".join(notes), style="dim"))
    console.print()


def _terminal_table(sheet: Sheet, *, terminal: bool, packed: bool = False) -> Table:
    """Return a table as rich shows it; where there is no bold, a `*` marks the best."""
    form = box.SIMPLE_HEAD if terminal else box.ASCII2
    table = Table(box=form, pad_edge=not terminal, padding=(0, 0) if packed else (0, 1))
    for name in sheet.headings:
        title = name.replace(" ", "\n", 1).replace("-", "-\n") if packed else name
        table.add_column(Text(title), justify="left" if name in TEXT_COLUMNS else "right", overflow="fold")
    for line in sheet.lines:
        cells = [
            Text(("*" if best and not terminal else "") + visible(text), style="bold" if best else "")
            for text, best in line.cells
        ]
        table.add_row(*cells, style="dim" if line.dim else "")
    return table
