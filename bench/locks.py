"""Locks on what several processes could write: the system releases them when their holder dies, however it dies."""

import os
import time
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from bench.errors import CommandError
from bench.files import writing
from bench.progress import say

PATIENCE = 30.0
"""Seconds within which a process whose parent was killed has ended, also one that is in the middle of a batch."""


class Lock:
    """Keep other processes, and other locks of this one, from what a file stands for.

    The file stays behind, empty of meaning: only who holds it matters, and it says which process that is.

    Args:
        path: of the lock's own file; its folder is made.
        what: is being written, for people.
        patience: seconds to wait for the process that holds it.

    Raises:
        CommandError: Another process holds it for longer; the message names that process.
    """

    def __init__(self, path: Path, what: str, patience: float = 0.0) -> None:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path, thread_local=False)
            if not self._acquired(0.0):
                self._wait(path, what, patience)
            path.write_text(f"{os.getpid()}\n", encoding="ascii")

    def _wait(self, path: Path, what: str, patience: float) -> None:
        holder = _holder(path)
        if patience > 0:
            say(f"waiting for {holder}, which still writes {what}")
        if not self._acquired(patience):
            raise CommandError(
                f"{holder} writes {what}; wait until it has ended, or end it, and run the same command again"
            )

    def _acquired(self, patience: float) -> bool:
        until = time.monotonic() + patience
        while True:
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                if time.monotonic() >= until:
                    return False
                time.sleep(0.05)
            else:
                return True

    def release(self) -> None:
        """Let others have it; may be called twice."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _holder(path: Path) -> str:
    """Name the process that holds a lock, as far as it has said."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if text == str(os.getpid()):
        return "this very process"
    return f"process {text}" if text.isdecimal() else "another process"
