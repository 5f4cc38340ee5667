"""What each training of a study cost, and which code made it, written before it starts and again when it ends."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UsageError
from bench.files import atomic_write
from bench.provenance import is_ancestor, read_git_state

COST = "cost.json"


class Start(BaseModel):
    """Hold one process of a training; one that was killed is followed by another.

    Attributes:
        commit: of the checkout that it ran in; None where that was none.
        dirty: whether the packages differed from it.
        cpu_seconds: None while it runs, and for ever if nobody was there to see its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str | None
    dirty: bool | None
    cpu_seconds: float | None = None


class Cost(BaseModel):
    """Hold what is known of a training; `cost.json` in its folder.

    Attributes:
        declared: digest of what it is to be.
        done: whether it came to its end.
        starts: its processes, the first one first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    declared: str
    done: bool = False
    starts: tuple[Start, ...] = ()

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all starts whose end is known."""
        return round(sum(start.cpu_seconds or 0.0 for start in self.starts), 2)

    @property
    def complete(self) -> bool:
        """Whether the CPU seconds of every start are known."""
        return all(start.cpu_seconds is not None for start in self.starts)

    @property
    def commits(self) -> list[str]:
        """Return the commits that made it, in order, each once."""
        return list(dict.fromkeys(start.commit for start in self.starts if start.commit))

    @property
    def dirty(self) -> bool:
        """Whether any start was of a checkout with uncommitted changes."""
        return any(start.dirty for start in self.starts)

    def started(self) -> Self:
        """Return the cost with one more start, of the checkout as it is now."""
        commit, dirty = read_git_state()
        return self.model_copy(update={"starts": (*self.starts, Start(commit=commit, dirty=dirty))})

    def ended(self, cpu_seconds: float, done: bool) -> Self:
        """Return the cost with the end of the last start."""
        last = self.starts[-1].model_copy(update={"cpu_seconds": round(cpu_seconds, 2)})
        return self.model_copy(update={"done": done, "starts": (*self.starts[:-1], last)})

    def save(self, folder: Path) -> None:
        """Write it into the folder of the training."""
        atomic_write(folder / COST, self.model_dump_json(indent=1) + "\n")


def read_cost(folder: Path) -> Cost:
    """Return what is known of the training in a folder.

    Raises:
        UsageError: Its file is of another version of this program.
    """
    try:
        return Cost.model_validate_json((folder / COST).read_bytes())
    except ValidationError as error:
        raise UsageError(f"{folder / COST} does not say which code trained: delete {folder} to train again") from error


def check_made(folders: Iterable[Path], commits: Iterable[str | None]) -> None:
    """Refuse trainings for a page that were made by code which the history of its records does not hold.

    A training of an earlier commit is kept, so that a method can be mended or added without training all others anew;
    the page names the commit of each.

    Args:
        folders: of trainings; those that have not begun are passed over.
        commits: of the records.

    Raises:
        UsageError: One was made by a checkout with uncommitted changes, or by a commit outside that history.
    """
    allowed = {commit for commit in commits if commit}
    for folder in (folder for folder in folders if (folder / COST).is_file()):
        cost = read_cost(folder)
        wrong = [commit[:12] for commit in cost.commits if not _is_of(commit, allowed)]
        if cost.dirty or wrong:
            records = " and ".join(sorted(commit[:12] for commit in allowed)) or "no commit"
            by = "a checkout with uncommitted changes" if cost.dirty else f"commit {' and '.join(wrong)}"
            raise UsageError(
                f"{folder} was trained by {by}, the records are of {records}: delete that folder to train again, "
                "or use another --out"
            )


def _is_of(commit: str, allowed: Iterable[str]) -> bool:
    return any(commit == one or is_ancestor(commit, one) for one in allowed)
