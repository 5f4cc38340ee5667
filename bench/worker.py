"""A process that computes a share of runs for a parent: what it reads and writes, and how it ends.

One line of JSON on standard input says what is to be done. Answers are lines of JSON on what was standard output; what
a method prints goes to standard error instead, where it can break nothing.

`{"begin": [...]}`   pictures that the method is about to get
`{"rows": n}`        so many more rows are written
`{"effort": {...}}`  a run is done
`{"failed": "..."}`  nothing can go on, whatever the method: a full disk, missing files
"""

import faulthandler
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from bench.errors import CommandError
from bench.interrupt import Interrupted, raise_on_signals

ORPHANED = 1
"""Exit status of a worker whose parent has died."""


class Channel:
    """Speak to the parent on the standard streams, and take these away from everybody else in this process."""

    def __init__(self) -> None:
        self._orders = _moved(sys.stdin, os.open(os.devnull, os.O_RDONLY), "r")
        self._answers = _moved(sys.stdout, os.dup(sys.stderr.fileno()), "w")

    def read(self) -> Any:
        """Return what is to be done; from then on this process ends as soon as its parent does."""
        orders = json.loads(self._orders.readline())
        threading.Thread(target=self._end_with_parent, daemon=True).start()
        return orders

    def say(self, kind: str, value: object) -> None:
        """Send one answer."""
        try:
            self._answers.write(json.dumps({kind: value}) + "\n")
            self._answers.flush()
        except BrokenPipeError:
            os._exit(ORPHANED)

    def _end_with_parent(self) -> None:
        self._orders.read()
        os._exit(ORPHANED)


def _moved(stream: IO[str], replacement: int, mode: str) -> IO[Any]:
    """Return a private stream to where a standard one leads, which from now on leads to `replacement`."""
    number = stream.fileno()
    private = os.dup(number)
    os.dup2(replacement, number)
    os.close(replacement)
    return os.fdopen(private, mode, encoding="utf-8")


def main() -> None:
    """Execute the runs that the parent asks for."""
    raise_on_signals()
    faulthandler.enable()
    channel = Channel()
    orders = channel.read()
    try:
        for run in orders["runs"]:
            _execute(channel, orders["rank"], orders["world"], **run)
    except CommandError as error:
        channel.say("failed", str(error))
        sys.exit(error.exit_status)
    except Interrupted as stop:
        sys.exit(stop.exit_status)


def _execute(
    channel: Channel, rank: int, world: int, request: dict[str, Any], done: Sequence[str], singly: Sequence[str]
) -> None:
    from bench.portion import Portion
    from bench.work import do_work, read_work

    portion = Portion(
        rank,
        world,
        frozenset(done),
        advance=lambda count: channel.say("rows", count),
        begin=lambda keys: channel.say("begin", list(keys)),
        singly=singly,
    )
    effort = do_work(read_work(request), portion)
    channel.say("effort", asdict(effort))


if __name__ == "__main__":
    main()
