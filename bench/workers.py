"""Several processes for one run: each takes every n-th picture, on a device of its own; none waits for another."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from bench.errors import CommandError
from bench.execute import Request, execute
from bench.interrupt import Interrupted, raise_on_signals
from bench.progress import progress


def execute_in_processes(requests: Sequence[Request], processes: int) -> None:
    """Compute the rows of all requests in `processes` processes.

    Scoring needs nothing from other pictures, so there is no process group that could hang: pictures are dealt out by
    their position, rows meet in the run's folder.

    Raises:
        CommandError: A process ended early. The rows that were written stay, and the run can be started again.
    """
    title = f"{len(requests)} runs on {processes} processes"
    with progress(title, sum(request.total for request in requests)) as advance:
        workers = [_start(requests, rank, processes) for rank in range(processes)]
        try:
            readers = [threading.Thread(target=_relay, args=(worker, advance), daemon=True) for worker in workers]
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


def _start(requests: Sequence[Request], rank: int, world: int) -> "subprocess.Popen[str]":
    worker = subprocess.Popen(
        [sys.executable, "-m", "bench.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    task = {"rank": rank, "world": world, "requests": [request.model_dump(mode="json") for request in requests]}
    if worker.stdin is not None:
        json.dump(task, worker.stdin)
        worker.stdin.close()
    return worker


def _relay(worker: "subprocess.Popen[str]", advance: Callable[[int], None]) -> None:
    for line in worker.stdout or ():
        if line.strip().isdigit():
            advance(int(line))


def _report(count: int) -> None:
    sys.stdout.write(f"{count}\n")
    sys.stdout.flush()


def main() -> None:
    """Execute the requests that stand on standard input, and print a line for each finished picture."""
    raise_on_signals()
    task = json.load(sys.stdin)
    try:
        for request in task["requests"]:
            execute(Request.model_validate(request), task["rank"], task["world"], _report)
    except Interrupted as stop:
        sys.exit(stop.exit_status)


if __name__ == "__main__":
    main()
