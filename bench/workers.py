"""Several processes for one run: each takes every n-th picture, on a device of its own; none waits for another.

A process that a method brings down costs the picture that does it, and no other: a new process goes on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

import torch

from bench.errors import CommandError
from bench.execute import Effort, Request
from bench.interrupt import Interrupted
from bench.progress import progress, say
from bench.rows import Row, RowStore, read_rows
from bench.work import Work

Task = tuple[Work, frozenset[str]]
"""A run, and the pictures of it that have their row already."""

COMMAND = (sys.executable, "-P", "-m", "bench.worker")
MOST_CRASHES = 6
"""Crashes in a row, without a finished picture between them, after which a run is left."""
MOST_EMPTY_HANDED = 2
"""The same where the process had no picture in its hands: it loaded weights, or read the next pictures."""
PATIENCE = 5.0
"""Seconds that processes have to end by themselves, all together."""

STOPS = {status: number for number in (signal.SIGINT, signal.SIGTERM) for status in (-number, 128 + number)}
"""Exit statuses of a process that somebody stopped, which says nothing about the method."""


class GaveUpError(CommandError):
    """Report a run that brings its process down again and again."""


Event = tuple[int, dict[str, Any] | None]
"""A process by its rank, and what it says; None when it has ended."""


@dataclass(slots=True)
class Member:
    """Hold one of the processes, and follow what it does.

    Attributes:
        tasks: all runs.
        timeout: seconds that a batch may take from the method to its rows; None for any time.
        results: of the runs that are behind it.
        in_hand: pictures that the method was given last.
        missing: how many of these have no row yet.
        suspects: pictures that were in hand in a crash. Their batch comes again whole, as in any run that is gone on
            from, since the last bits of scores hang on it.
        singly: pictures that were in hand in two crashes; the next process gets them one by one.
        crashes: in a row, without a finished picture between them.
        heard: when it last said something, in seconds.
        silent: whether it was ended because it took too long.
    """

    rank: int
    world: int
    tasks: Sequence[Task]
    timeout: float | None
    events: Queue[Event]
    results: list[Effort | GaveUpError] = field(default_factory=list)
    in_hand: tuple[str, ...] = ()
    missing: int = 0
    suspects: frozenset[str] = frozenset()
    singly: tuple[str, ...] = ()
    crashes: int = 0
    heard: float = 0.0
    silent: bool = False
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start a process on what is left to do."""
        self.in_hand, self.missing, self.silent = (), 0, False
        self.process = subprocess.Popen(  # noqa: S603 - our own command, nothing of a user in it
            COMMAND,
            env=_threads() | dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended already, which the thread will tell
                self.process.stdin.write(json.dumps(self._orders()) + "\n")
                self.process.stdin.flush()

    def _orders(self) -> dict[str, Any]:
        first, *others = self.tasks[len(self.results) :]
        runs = [_order(first, sorted(first[1] | self._written().keys()), self.singly)]
        runs += [_order(other, sorted(other[1]), ()) for other in others]
        return {"rank": self.rank, "world": self.world, "runs": runs}

    def _written(self) -> dict[str, Row]:
        """Return the rows that processes of this rank have written for the current run."""
        request = self.request
        return read_rows(request.folder, request.run_id, self.rank)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        try:
            for line in process.stdout or ():
                self.events.put((self.rank, json.loads(line)))
        except ValueError:  # half an answer, the last thing that it does
            process.kill()
        finally:
            self.events.put((self.rank, None))

    @property
    def request(self) -> Work:
        """Return the run that it is at."""
        return self.tasks[len(self.results)][0]

    @property
    def finished(self) -> bool:
        """Whether all runs are behind it."""
        return len(self.results) == len(self.tasks)

    def hear(self, answer: dict[str, Any], advance: Callable[[int], None]) -> None:
        """Take one answer of the process.

        Raises:
            CommandError: It cannot go on, for a reason that is not the method.
        """
        self.heard = time.monotonic()
        if "begin" in answer:
            self.in_hand = tuple(answer["begin"])
            self.missing = len(self.in_hand)
        elif "rows" in answer:
            self.missing -= answer["rows"]
            self.crashes = 0
            advance(answer["rows"])
        elif "effort" in answer:
            self.results.append(Effort(**answer["effort"]))
            self.in_hand, self.missing = (), 0
            self._forget()
        else:
            raise CommandError(
                f"{answer['failed']} (process {self.rank}); what was finished is kept: run the same command again to "
                "go on"
            )

    def end_if_silent(self) -> None:
        """End a process that has had a batch for too long."""
        late = self.timeout is not None and self.missing > 0 and time.monotonic() - self.heard > self.timeout
        if late and not self.silent and self.process is not None:
            self.silent = True
            self.process.kill()

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process is not None:
            self.process.terminate()

    def end(self, until: float) -> None:
        """Wait for the process to end, and from a time on end it by force."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            self.process = None

    def recover(self, advance: Callable[[int], None]) -> None:
        """Go on after the process has ended, with a new one where something is left to do.

        Raises:
            Interrupted: Somebody stopped the process.
        """
        status = 0 if self.process is None else self.process.wait()
        self._close()
        if self.finished:
            return
        if status in STOPS and not self.silent:
            raise Interrupted(STOPS[status])
        written = self._written()
        self._judge([key for key in self.in_hand if key not in written], self._reason(status), advance)
        if not self.finished:
            self.start()

    def _reason(self, status: int) -> str:
        if self.silent:
            return f"gave no answer for {self.timeout:g} s"
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def _judge(self, left: Sequence[str], reason: str, advance: Callable[[int], None]) -> None:
        """Find out which picture a crash is to be laid to, or leave the run."""
        self.crashes += 1
        what = f"on {', '.join(left)}" if left else "with no picture in its hands"
        if self.crashes >= (MOST_CRASHES if left else MOST_EMPTY_HANDED):
            self._give_up(f"{reason}, {self.crashes} times in a row, last {what}")
        elif not left:
            self._tell(f"{reason} {what}; trying again")
        elif self.suspects.isdisjoint(left):
            self.suspects = frozenset(left)
            self._tell(f"{reason} {what}; {'its' if len(left) == 1 else 'their'} batch comes once more")
        elif len(left) == 1 and self._comes_alone(left[0]):
            self._blame(left[0], reason)
            advance(1)
        else:
            self.singly += tuple(left)
            self._tell(f"{reason} {what} once more; {'it comes alone' if len(left) == 1 else 'they come one by one'}")

    def _comes_alone(self, key: str) -> bool:
        """Return whether there is nothing else in a picture's batch, not even what has its row."""
        request = self.request
        alone = request.batch_size == 1 if isinstance(request, Request) else (key,) in request.batches
        return alone or key in self.singly

    def _tell(self, what: str) -> None:
        say(f"{self.request.title}: process {self.rank} {what}")

    def _blame(self, key: str, reason: str) -> None:
        request = self.request
        row = Row(run_id=request.run_id, image=key, status="error-crash", message=f"the method's process {reason}")
        with RowStore(request.folder, request.run_id, self.rank) as store:
            store.append(row)
        self._tell(f"{reason} on {key} once more; it becomes an error row")

    def _give_up(self, what: str) -> None:
        request = self.request
        self.results.append(
            GaveUpError(
                f"{request.title}: left unfinished: process {self.rank} {what}; what it printed stands above, and what "
                "was finished is kept: run the same command again to go on"
            )
        )
        self._forget()

    def _forget(self) -> None:
        """Leave what happened in a run behind."""
        self.suspects, self.singly, self.crashes = frozenset(), (), 0


def _threads() -> dict[str, str]:
    """Return the settings that give a process as many threads as this one has, also where all together have too many.

    The last bits of a convolution on a CPU hang on the number of threads, and scores must not on that of processes.
    """
    return {"OMP_NUM_THREADS": str(torch.get_num_threads()), "OMP_WAIT_POLICY": "PASSIVE"}


def _order(task: Task, done: Sequence[str], singly: Sequence[str]) -> dict[str, Any]:
    left = [key for key in singly if key not in done]
    return {"request": task[0].model_dump(mode="json"), "done": list(done), "singly": left}


def execute_in_processes(
    tasks: Sequence[Task], processes: int, timeout: float | None = None
) -> list[Effort | GaveUpError]:
    """Compute the rows of all runs in `processes` processes.

    Scoring needs nothing from other pictures, so there is no process group that could hang: pictures are dealt out by
    their position, rows meet in the run's folder.

    A process that dies by itself, or takes more than `timeout` seconds for a batch, is started again. The batch comes
    once more as it was; where the process dies on it again, its pictures come one by one, and one on which it dies even
    so becomes a row `error-crash`.

    Returns:
        What was spent on each run: pictures of all processes, the longest time, the largest memory; or why it was left
        unfinished.

    Raises:
        CommandError: A process cannot go on, such as on a full disk. The rows that were written stay.
        Interrupted: Somebody stopped one of the processes.
    """
    what = tasks[0][0].title if len(tasks) == 1 else f"{len(tasks)} runs"
    title = f"{what} on {processes} {'process' if processes == 1 else 'processes'}"
    events: Queue[Event] = Queue()
    team = [Member(rank, processes, tasks, timeout, events) for rank in range(processes)]
    with progress(title, sum(request.total - len(done) for request, done in tasks)) as advance:
        try:
            for member in team:
                member.start()
            while not all(member.finished and member.process is None for member in team):
                _follow(team, events, advance)
        finally:
            end_all(team)
    return [_together(results) for results in zip(*(member.results for member in team), strict=True)]


def end_all(team: Sequence[Member]) -> None:
    """End all processes, and by force those that do not listen."""
    for member in team:
        member.terminate()
    until = time.monotonic() + PATIENCE
    for member in team:
        member.end(until)


def _follow(team: Sequence[Member], events: Queue[Event], advance: Callable[[int], None]) -> None:
    """Take one event, or look after a while whether somebody is silent."""
    with suppress(Empty):
        rank, answer = events.get(timeout=0.2)
        if answer is None:
            team[rank].recover(advance)
        else:
            team[rank].hear(answer, advance)
    for member in team:
        member.end_if_silent()


def _together(results: Sequence[Effort | GaveUpError]) -> Effort | GaveUpError:
    """Return what all processes spent on one run, or why one of them left it."""
    efforts = [result for result in results if isinstance(result, Effort)]
    for result in results:
        if isinstance(result, GaveUpError):
            return result
    return Effort(
        sum(effort.pictures for effort in efforts),
        max(effort.seconds for effort in efforts),
        max(effort.peak_memory_mb for effort in efforts),
    )
