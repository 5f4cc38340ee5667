"""Tables for people, in Markdown and on a terminal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench.terminal import PLAIN_WIDTH, visible, widen

MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
TEXT_COLUMNS = frozenset({"method", "detector", "note", "category"})
"""Headings of columns that hold words, not numbers."""
STARS = {1: "*", 2: "_"}
"""What marks the best and the second best where there is neither bold nor underlined."""


class SheetCell(NamedTuple):
    """Hold what one cell says.

    Attributes:
        text: a word or a number.
        spread: its interval, empty without one.
        place: 1 for the best of its kind, 2 for the second best; others are not marked.
    """

    text: str
    spread: str = ""
    place: int | None = None

    @property
    def full(self) -> str:
        """Return the text with its interval."""
        return f"{self.text} {self.spread}" if self.spread else self.text


@dataclass(frozen=True, slots=True)
class SheetLine:
    """Hold the cells of one line; `dim` for what has no rank."""

    cells: Sequence[SheetCell]
    dim: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Hold one table with its title and the sentences below it.

    Attributes:
        best_of: what a marked cell is the best of: `column` or `line`.
        footnotes: below the sentences, one a line.
    """

    title: str
    headings: Sequence[str]
    lines: Sequence[SheetLine]
    captions: Sequence[str]
    best_of: str
    footnotes: Sequence[str] = ()

    @property
    def places(self) -> set[int]:
        """Return which of the marked places there are."""
        return {cell.place for line in self.lines for cell in line.cells if cell.place in STARS}


def tell_places(sheet: Sheet, best: str, second: str) -> list[str]:
    """Return the sentence that says how the best and the second best are marked; none where nothing is marked.

    >>> tell_places(Sheet("", [], [SheetLine([SheetCell("1", place=1)])], [], "column"), "Bold", "underlined")
    ['Bold: best of its column.']
    """
    told = {1: f"{best}: best of its {sheet.best_of}", 2: f"{second}: second best"}
    found = [words for place, words in told.items() if place in sheet.places]
    return [f"{'; '.join(found)}."] if found else []


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escape_markdown("a|<b>")
    'a\\|\\<b\\>'
    """
    return MARKDOWN.sub(r"\\\1", visible(text).replace("&", "&amp;"))


def to_markdown(sheet: Sheet) -> str:
    """Return a section with the table, the best in bold, the second best underlined."""
    rules = [":--" if name in TEXT_COLUMNS else "--:" for name in sheet.headings]
    lines = [[escape_markdown(name) for name in sheet.headings], rules]
    lines += [[_markdown_cell(cell) for cell in line.cells] for line in sheet.lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = [*tell_places(sheet, "Bold", "underlined"), *map(_markdown_note, sheet.captions)]
    parts = [f"## {escape_markdown(sheet.title)}", table, " ".join(notes)]
    parts += ["\n".join(f"- {_markdown_note(note)}" for note in sheet.footnotes)] if sheet.footnotes else []
    return "".join(f"\n{part}\n" for part in parts)


def _markdown_cell(cell: SheetCell) -> str:
    """Return a cell; `ins`, because the pages of code hosts leave out `u`."""
    marks = {1: "**{}**", 2: "<ins>{}</ins>"}
    return marks.get(cell.place or 0, "{}").format(escape_markdown(cell.full))


def _markdown_note(text: str) -> str:
    """Return a sentence below a table; of its own signs those are escaped that could begin a tag or an entity."""
    return visible(text).replace("&", "&amp;").replace("<", "\\<")


def print_sheet(console: Console, versions: Sequence[Sheet]) -> None:
    """Print the first version of a table that the terminal is wide enough for, else the last one, packed."""
    widen(console)
    unbounded = console.options.update(max_width=PLAIN_WIDTH)
    for sheet in versions:
        table = _terminal_table(sheet, terminal=console.is_terminal)
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            break
    else:
        table = _terminal_table(sheet, terminal=console.is_terminal, packed=True)
    marks = tell_places(sheet, *(("Bold", "underlined") if console.is_terminal else STARS.values()))
    console.print(Text(visible(sheet.title), style="bold"))
    console.print(table)
    for note in (" ".join([*marks, *sheet.captions]), *sheet.footnotes):
        console.print(Text(visible(note), style="dim"))
    console.print()


def _terminal_table(sheet: Sheet, *, terminal: bool, packed: bool = False) -> Table:
    """Return a table as rich shows it; where there is no bold, signs mark the best and the second best."""
    form = box.SIMPLE_HEAD if terminal else box.ASCII2
    table = Table(box=form, pad_edge=not terminal, padding=(0, 0) if packed else (0, 1))
    for name in sheet.headings:
        title = name.replace(" ", "\n", 1).replace("-", "-\n") if packed else name
        table.add_column(Text(title), justify="left" if name in TEXT_COLUMNS else "right", overflow="fold")
    for line in sheet.lines:
        table.add_row(*(_terminal_cell(cell, terminal) for cell in line.cells), style="dim" if line.dim else "")
    return table


def _terminal_cell(cell: SheetCell, terminal: bool) -> Text:
    place = cell.place or 0
    sign = "" if terminal else STARS.get(place, "")
    return Text(sign + visible(cell.full), style={1: "bold", 2: "underline"}.get(place, ""))
