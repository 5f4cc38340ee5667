"""Finished runs for TensorBoard: one event file a run, which follows from the run to the last byte. Knows no torch.

An equal file is left alone, another one is replaced in one step: replayed twice is as once.
"""

import shlex
from pathlib import Path

from bench.dashboards.content import FinishedRun
from bench.files import atomic_write

EVENTS = "events.out.tfevents.0.colorbench"
HEAD = 256
"""Bytes that hold the first event."""


class TensorBoard:
    """Write finished runs below `logs/tensorboard`, where the HParams tab compares them.

    Args:
        logs: folder of an output folder's logs.
        project: not used; a folder is a project.
    """

    def __init__(self, logs: Path, project: str | None) -> None:
        self.folder = logs / "tensorboard"

    @property
    def hint(self) -> str:
        """Return how to look at the runs."""
        return f"tensorboard --logdir {shlex.quote(str(self.folder))}"

    def send(self, run: FinishedRun) -> bool:
        """Write the events of a run; return whether they are new."""
        path = self.folder / run.place / EVENTS
        new = not _shows(path, run)
        if new:
            from bench.dashboards.events import event_file

            atomic_write(path, event_file(run))
        for other in path.parent.glob("events.out.tfevents.*"):
            if other != path:
                other.unlink()
        return new

    def close(self) -> None:
        """Do nothing: every file is complete."""


def _shows(path: Path, run: FinishedRun) -> bool:
    """Whether a file shows a run as it is: the digest stands in its first event, and no file is half written."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return run.digest.encode() in file.read(HEAD)
