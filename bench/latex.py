r"""Tables for papers: LaTeX with booktabs, in which no name of a run is ever a command.

Characters that pdfLaTeX with T1 fonts cannot set are written as their code points, `U+4E2D`: a table that compiles is
worth more than a letter.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from bench.board_text import MISSING
from bench.sheet import TEXT_COLUMNS, Sheet, SheetCell, SheetLine, tell_places
from bench.terminal import visible

PREAMBLE = r"% Needs \usepackage[T1]{fontenc}, \usepackage{booktabs} and \usepackage{graphicx}."
COMMANDS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # which the end of a line would take for its own
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "—": "---",
    "⁹": "$^9$",
    "Δ": r"$\Delta$",
    "†": r"\textdagger{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "\N{NO-BREAK SPACE}": "~",
}
UNSETTABLE = frozenset("\N{SOFT HYPHEN}ĦħĸĿŀŉŦŧ")
"""Among the letters up to Ž those that T1 fonts lack, and a hyphen that nobody sees."""
LAST_LETTER = "\N{LATIN SMALL LETTER Z WITH CARON}"
COLUMN_WIDTH, TEXT_WIDTH = 237.0, 496.0
"""Of the narrower two-column styles, in points. Source: the author kit of CVPR."""
TYPE, SMALL_TYPE, GAP = 8.0, 7.0, 6.0
"""Of `\\footnotesize`, in which tables are set, of `\\scriptsize`, and of what lies between columns, in points."""
NARROW = frozenset(" .,:;'!|/()[]-fijlrt")
DROPPED = ("seeds", "n", "detector")
"""Columns that say nothing where all lines say the same."""
LIGATURE = re.compile(r"(?<=([-',]))(?=\1)")
"""Between two signs that a font would draw as one."""


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX sets as it is, on one line.

    >>> escape_latex("50 % of a_b--c")
    '50 \\% of a\\_b-{}-c'
    >>> escape_latex("Zoë \N{CJK UNIFIED IDEOGRAPH-4E2D}")
    'Zoë U+4E2D'
    """
    return "".join(_set(sign) for sign in LIGATURE.sub("\0", visible(text)))


def _set(sign: str) -> str:
    """Return one character as LaTeX writes it; the gap between two that would be drawn as one is an empty group."""
    if sign == "\0":
        return "{}"
    if sign in COMMANDS:
        return COMMANDS[sign]
    settable = " " <= sign <= "~" or "¡" <= sign <= LAST_LETTER
    return sign if settable and sign not in UNSETTABLE else f"U+{ord(sign):04X}"


def to_latex(title: str, versions: Sequence[Sequence[Sheet]]) -> str:
    """Return one floating table each, to be pasted into a paper; `title` is that of all.

    Of the versions of a table, the narrowest last, the first is taken that a page of two columns is wide enough for.
    """
    sheets = [_fitting([_without_sameness(sheet) for sheet in each]) for each in versions]
    labels: list[str] = []
    for sheet in sheets:
        slug = re.sub(r"[^a-z0-9]+", "-", sheet.title.lower()).strip("-")
        twins = sum(label == slug for label in labels)
        labels.append(slug)
        labels[-1] = f"{slug}-{twins + 1}" if twins else slug
    tables = [_table(sheet, f"tab:{label}") for sheet, label in zip(sheets, labels, strict=True)]
    return f"% {escape_latex(title)}\n{PREAMBLE}\n" + "".join(tables or ["% No run is finished yet.\n"])


def _fitting(sheets: Sequence[Sheet]) -> Sheet:
    return next((sheet for sheet in sheets if _width(sheet) <= TEXT_WIDTH), sheets[-1])


def _width(sheet: Sheet) -> float:
    """Return about how wide a table is, in points."""
    columns = zip(*([SheetCell(name) for name in sheet.headings], *(line.cells for line in sheet.lines)), strict=True)
    widths = [max(max(TYPE * _ems(cell.text), SMALL_TYPE * _ems(cell.spread)) for cell in column) for column in columns]
    return sum(widths) + GAP * (len(widths) - 1)


def _ems(text: str) -> float:
    """Return about how wide a text is, in heights of its type."""
    return sum(0.32 if sign in NARROW else 0.72 if sign.isupper() or sign in "mw%—" else 0.5 for sign in text)


def _without_sameness(sheet: Sheet) -> Sheet:
    """Return a table without the columns in which all lines say the same; a sentence says it instead."""
    if sheet.best_of == "line":
        return sheet
    said = {name: {line.cells[place].text for line in sheet.lines} for place, name in enumerate(sheet.headings)}
    same = {name: words.pop() for name in DROPPED if len(words := said.get(name, set()) - {MISSING}) == 1}
    if same.get("detector", "none") != "none":
        del same["detector"]
    kept = [place for place, name in enumerate(sheet.headings) if name not in same]
    told = [f"{name} = {words}" for name, words in same.items() if name != "detector"]
    return replace(
        sheet,
        headings=[sheet.headings[place] for place in kept],
        lines=[replace(line, cells=[line.cells[place] for place in kept]) for line in sheet.lines],
        captions=[*sheet.captions, *([f"Throughout: {', '.join(told)}."] if told else [])],
    )


def _table(sheet: Sheet, label: str) -> str:
    """Return a table, over both columns of a page where one is too narrow, and never wider than it may be.

    The interval stands below each score, lines without rank below a rule, and notes in the type of the table.
    """
    place = "table" if _width(sheet) <= COLUMN_WIDTH else "table*"
    columns = "".join("l" if name in TEXT_COLUMNS else "r" for name in sheet.headings)
    blocks = [list(lines) for _, lines in groupby(sheet.lines, lambda line: line.dim)]
    lines = [
        rf"\begin{{{place}}}[tp]",
        rf"\centering\footnotesize\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
        rf"\caption{{{escape_latex(sheet.title)}}}",
        rf"\label{{{label}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        rf"{' & '.join(map(escape_latex, sheet.headings))} \\",
        *(row for block in blocks for row in (r"\midrule", *_block(block))),
        r"\bottomrule",
        r"\end{tabular}}",
        *_notes(sheet),
        rf"\end{{{place}}}",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _block(lines: Sequence[SheetLine]) -> list[str]:
    """Return the rows of lines that stand together, a gap between those whose intervals stand below."""
    rows = _rows(lines[0])
    for before, line in pairwise(lines):
        rows += [r"\addlinespace[2pt]"] if any(cell.spread for cell in before.cells) else []
        rows += _rows(line)
    return rows


def _rows(line: SheetLine) -> list[str]:
    """Return a line's scores, and where it has intervals a row of them in small type."""
    rows = [" & ".join(map(_cell, line.cells))]
    if any(cell.spread for cell in line.cells):
        spreads = [rf"{{\scriptsize {escape_latex(cell.spread)}}}" if cell.spread else "" for cell in line.cells]
        rows.append(" & ".join(spreads))
    return [rf"{row} \\" for row in rows]


def _cell(cell: SheetCell) -> str:
    marks = {1: r"\textbf{%s}", 2: r"\underline{%s}"}
    return marks.get(cell.place or 0, "%s") % escape_latex(cell.text)


def _notes(sheet: Sheet) -> list[str]:
    """Return the sentences below a table, and each footnote, as paragraphs as wide as the line."""
    sentences = " ".join([*tell_places(sheet, "Bold", "underlined"), *sheet.captions])
    box = r"\par\smallskip\parbox{\linewidth}{\raggedright %s}"
    return [box % escape_latex(text) for text in (sentences, *sheet.footnotes) if text]
