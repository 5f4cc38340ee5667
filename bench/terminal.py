"""What goes to a terminal: no control characters, and tables as wide as they need where nobody reads columns."""

import re

from rich.console import Console

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PLAIN_WIDTH = 400
READABLE_WIDTH = 100
"""Of sentences, however wide the tables beside them are."""


def widen(console: Console) -> Console:
    """Let a console that is no terminal be as wide as any table, so that nothing in a file is wrapped; return it."""
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    return console


def visible(text: str) -> str:
    r"""Return text without control characters and marks that turn the writing direction.

    >>> visible("a\x1b[31mb")
    'a�[31mb'
    """
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def visible_lines(text: str) -> str:
    r"""Return text of several lines, each of them `visible`.

    >>> visible_lines("a\x1b[2Jb\nc")
    'a�[2Jb\nc'
    """
    return "\n".join(map(visible, text.split("\n")))
