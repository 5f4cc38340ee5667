"""Several processes for one run: each takes every n-th picture, on a device of its own; none waits for another."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from bench.errors import CommandError
from bench.execute import Effort, Request, execute
from bench.interrupt import Interrupted, raise_on_signals
from bench.progress import progress

Task = tuple[Request, frozenset[str]]
"""A run, and the pictures of it that have their row already."""


def execute_in_processes(tasks: Sequence[Task], processes: int) -> list[Effort]:
    """Compute the rows of all runs in `processes` processes.

    Scoring needs nothing from other pictures, so there is no process group that could hang: pictures are dealt out by
    their position, rows meet in the run's folder.

    Returns:
        What was spent on each run: pictures of all processes, the longest time, the largest memory.

    Raises:
        CommandError: A process ended early. The rows that were written stay, and the run can be started again.
    """
    title = f"{len(tasks)} runs on {processes} processes"
    spent: list[list[Effort]] = [[] for _ in range(processes)]
    with progress(title, sum(request.total - len(done) for request, done in tasks)) as advance:
        workers = [_start(tasks, rank, processes) for rank in range(processes)]
        try:
            readers = [
                threading.Thread(target=_relay, args=(worker, advance, efforts), daemon=True)
                for worker, efforts in zip(workers, spent, strict=True)
            ]
            for reader in readers:
                reader.start()
            for worker in workers:
                worker.wait()
            for reader in readers:
                reader.join()
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()
                if worker.stdout is not None:
                    worker.stdout.close()
    failed = [(rank, worker.returncode) for rank, worker in enumerate(workers) if worker.returncode != 0]
    if failed:
        named = ", ".join(f"process {rank} with status {status}" for rank, status in failed)
        raise CommandError(f"{named} ended early; what was finished is kept: run the same command again to go on")
    return [_together(efforts) for efforts in zip(*spent, strict=True)]


def _together(efforts: Sequence[Effort]) -> Effort:
    return Effort(
        sum(effort.pictures for effort in efforts),
        max(effort.seconds for effort in efforts),
        max(effort.peak_memory_mb for effort in efforts),
    )


def _start(tasks: Sequence[Task], rank: int, world: int) -> "subprocess.Popen[str]":
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // world))}
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.workers"],
        env=threads | dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    runs = [{"request": request.model_dump(mode="json"), "done": sorted(done)} for request, done in tasks]
    if worker.stdin is not None:
        with worker.stdin:
            json.dump({"rank": rank, "world": world, "runs": runs}, worker.stdin)
    return worker


def _relay(worker: "subprocess.Popen[str]", advance: Callable[[int], None], efforts: list[Effort]) -> None:
    """Take what a worker prints: numbers of finished pictures, and at the end of each run what was spent on it."""
    for line in worker.stdout or ():
        report = json.loads(line)
        if isinstance(report, int):
            advance(report)
        else:
            efforts.append(Effort(**report))


def _report(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Execute the runs that stand on standard input, and report on standard output."""
    raise_on_signals()
    task = json.load(sys.stdin)
    try:
        for run in task["runs"]:
            request = Request.model_validate(run["request"])
            _report(asdict(execute(request, task["rank"], task["world"], frozenset(run["done"]), _report)))
    except CommandError as error:
        sys.exit(str(error))
    except Interrupted as stop:
        sys.exit(stop.exit_status)


if __name__ == "__main__":
    main()
