"""Methods as users name them: as a leaderboard does, with or without `--<detector>`."""

from collections.abc import Iterable, Sequence

from bench.catalog import known
from bench.errors import UsageError
from bench.figures.subjects import Method, Subject


def called(method: Method) -> tuple[str, str]:
    """Return both names of a method."""
    return method.entry.method, f"{method.entry.method}--{method.entry.detector}"


def check_known(subjects: Sequence[Subject], names: Iterable[str]) -> None:
    """Refuse names that mean nothing.

    Raises:
        UsageError: No subject has such a method.
    """
    known_names = {
        name for subject in subjects for method in (*subject.methods, *subject.worse) for name in called(method)
    }
    for name in names:
        known("method of these runs", name, known_names)


def find_method(subject: Subject, name: str) -> Method | None:
    """Return the method that is called so; one with boxes made worse only where no other is.

    Raises:
        UsageError: The name stands for several.
    """
    groups = (subject.methods, subject.worse)
    found = next(filter(None, ([method for method in group if name in called(method)] for group in groups)), [])
    if len(found) > 1:
        meant = " and ".join(called(method)[1] for method in found)
        raise UsageError(f"{name} stands for {meant} on {subject.board.dataset}: say which")
    return found[0] if found else None
