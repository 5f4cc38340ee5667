"""Send finished runs to dashboards: each as it finishes, or all of them later. Knows no torch."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from bench.dashboards.content import FinishedRun
from bench.dashboards.mlflow import MLflow
from bench.dashboards.tensorboard import TensorBoard
from bench.dashboards.wandb import Wandb
from bench.errors import CommandError
from bench.leaderboard import finished_runs
from bench.locks import PATIENCE, Lock
from bench.progress import progress, say
from bench.record import RunRecord


class Sender(Protocol):
    """Send finished runs to one dashboard, of which they are known by an id of their own."""

    @property
    def hint(self) -> str:
        """Say how to look at what was sent."""

    def send(self, run: FinishedRun) -> bool:
        """Send a run; return whether there was something to send."""

    def close(self) -> None:
        """End the connection."""


SENDERS: Mapping[str, Callable[[Path, str | None], Sender]] = MappingProxyType(
    {"wandb": Wandb, "tensorboard": TensorBoard, "mlflow": MLflow}
)


class Sending:
    """Send the runs of an output folder to dashboards, none of which can fail the run.

    A dashboard that fails is reported once and gets nothing more.

    Args:
        names: of dashboards; others, such as `csv`, have nothing to show of a finished run.
        out: output folder; local files go to its `logs`.
    """

    def __init__(self, names: Sequence[str], out: Path) -> None:
        self.out = out
        self._senders = {name: SENDERS[name](out / "logs", None) for name in dict.fromkeys(names) if name in SENDERS}

    def __enter__(self) -> "Sending":
        return self

    def __exit__(self, *_: object) -> None:
        for name, sender in [*self._senders.items()]:
            self._attempt(name, sender.close)
        for name, sender in self._senders.items():
            say(f"{name}: {sender.hint}")

    def send(self, folder: Path, record: RunRecord) -> None:
        """Send a finished run."""
        for name, sender in [*self._senders.items()]:
            self._attempt(name, partial(sender.send, FinishedRun(folder, record)))

    def _attempt(self, name: str, action: Callable[[], object]) -> None:
        try:
            with sending_lock(self.out):
                action()
        except Exception as error:
            del self._senders[name]
            say(
                f"{name} takes nothing more ({reason(error)}); the run goes on, its own files are complete; "
                f"later: colorbench replay {shlex.quote(str(self.out))} --to {name}"
            )


def sending_lock(out: Path) -> Lock:
    """Keep other processes from sending the runs of an output folder at the same time."""
    return Lock(out / "logs" / ".sending.lock", f"the dashboards of {out}", PATIENCE)


def reason(error: Exception) -> str:
    """Return an error in one line, without the user and password of an address."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"//[^/@\s]*@", "//", lines[0])


def replay(folders: Sequence[Path], names: Sequence[str], project: str | None = None) -> list[str]:
    """Send the finished runs of output folders to dashboards; what stands there as it should is not sent again.

    Args:
        folders: output folders.
        names: of dashboards.
        project: name of wandb's project and MLflow's experiment; as their variables say, or `PROJECT`, where None.

    Returns:
        A line for each folder and dashboard: how many runs were sent, and how to look at them.

    Raises:
        MissingError: There is no finished run.
        CommandError: Dashboards failed; the message has the reason of each. What was sent to others is complete.
    """
    runs = [FinishedRun(folder, record) for folder, record in finished_runs(folders)]
    told: list[str] = []
    failed: dict[str, str] = {}
    for out in dict.fromkeys(run.out for run in runs):
        mine = [run for run in runs if run.out == out]
        for name in [name for name in dict.fromkeys(names) if name not in failed]:
            try:
                told.append(_replay(mine, name, SENDERS[name](out / "logs", project)))
            except Exception as error:
                failed[name] = f"{name}: {reason(error)}"
    if failed:
        again = "run the same command again to send what is missing"
        raise CommandError("\n".join([*told, *failed.values(), again]))
    return told


def _replay(runs: Sequence[FinishedRun], name: str, sender: Sender) -> str:
    """Send runs of one output folder to one dashboard; return what came of it."""
    new = 0
    with sending_lock(runs[0].out), progress(f"to {name}", len(runs)) as advance:
        try:
            for run in runs:
                new += sender.send(run)
                advance()
        finally:
            sender.close()
    sent = f"{new} of {len(runs)} {'run' if len(runs) == 1 else 'runs'} sent" if new else "nothing new to send"
    return f"{name}: {sent}; {sender.hint}"
