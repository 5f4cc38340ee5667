"""What a process may be asked to do: let a method colour pictures and score them, or score those of a folder."""

from collections.abc import Callable, Sequence

from pydantic import TypeAdapter

from bench.execute import Effort, Request, execute
from bench.scoring.folders import FolderRequest, score_share

Work = Request | FolderRequest


def read_work(content: object) -> Work:
    """Read what was sent as JSON."""
    return TypeAdapter[Work](Work).validate_python(content)


def do_work(
    work: Work,
    rank: int,
    world: int,
    done: frozenset[str],
    advance: Callable[[int], object],
    *,
    begin: Callable[[Sequence[str]], object] = len,
    singly: Sequence[str] = (),
) -> Effort:
    """Compute and append the rows of this process's share; for arguments and errors see `execute`."""
    if isinstance(work, FolderRequest):
        return score_share(work, rank, world, done, advance, begin=begin, singly=singly)
    return execute(work, rank, world, done, advance, begin=begin, singly=singly)
