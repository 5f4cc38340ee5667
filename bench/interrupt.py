"""Stopping on Ctrl-C and on SIGTERM, with the exit status that a shell expects."""

import signal
from types import FrameType
from typing import NoReturn


class Interrupted(BaseException):
    """Stop everything. It is no KeyboardInterrupt, which Lightning would swallow and turn into exit status 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def raise_on_signals() -> None:
    """Turn SIGINT and SIGTERM into `Interrupted` in the main thread."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
