"""Stopping on Ctrl-C and on SIGTERM, with the exit status that a shell expects."""

import signal
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import NoReturn

_kept_in: ContextVar[Path | None] = ContextVar("kept_in", default=None)


class Interrupted(BaseException):
    """Stop everything. It is no KeyboardInterrupt, which Lightning would swallow and turn into exit status 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


def keep_in(folder: Path) -> None:
    """Say where the command that runs keeps what it finishes, and goes on from when it is started again."""
    _kept_in.set(folder)


def has_kept() -> bool:
    """Whether the command that runs has left anything to go on from."""
    folder = _kept_in.get()
    return folder is not None and any(path.is_file() and path.suffix != ".lock" for path in folder.rglob("*"))


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def raise_on_signals() -> None:
    """Turn SIGINT and SIGTERM into `Interrupted` in the main thread."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
