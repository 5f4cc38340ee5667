"""How long work shows that it goes on: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.terminal import visible_lines

SECONDS_BETWEEN_LINES = 20.0

console = Console(stderr=True, highlight=False)


class Advance:
    """Count finished pieces of work; call it with how many more are done."""

    def __init__(self, title: str, total: int, bar: Progress | None) -> None:
        self.title, self.total, self.bar = title, total, bar
        self.done = 0
        self.last_line = time.monotonic()
        self.task = bar.add_task(title, total=total) if bar is not None else None

    def __call__(self, count: int = 1) -> None:
        """Report `count` more pieces as finished."""
        self.done += count
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task, count)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            console.print(f"{self.title}: {self.done} of {self.total}", markup=False)


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show the progress of `total` pieces of work while the block runs, on standard error."""
    if not sys.stderr.isatty():
        yield Advance(title, total, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Advance(title, total, bar)


def say(text: str) -> None:
    """Say on standard error what goes on; names in it may be hostile."""
    console.print(visible_lines(text), markup=False, soft_wrap=True)
