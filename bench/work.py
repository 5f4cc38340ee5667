"""What a process may be asked to do: let a method colour pictures and score them, or score those of a folder."""

from pydantic import TypeAdapter

from bench.execute import Effort, Request, execute
from bench.portion import Portion
from bench.scoring.folders import FolderRequest, score_share

Work = Request | FolderRequest


def read_work(content: object) -> Work:
    """Read what was sent as JSON."""
    return TypeAdapter[Work](Work).validate_python(content)


def do_work(work: Work, portion: Portion) -> Effort:
    """Compute and append the rows of a process's portion; for errors see `execute`."""
    return score_share(work, portion) if isinstance(work, FolderRequest) else execute(work, portion)
