"""Metrics that records have and nothing here knows, because their plug-in is not installed. Knows no torch."""

from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata

from bench.errors import MissingError
from bench.progress import say
from bench.provenance import DISTRIBUTIONS
from bench.record import RunRecord
from bench.scoring.metrics import METRICS


def missing_metrics(records: Iterable[RunRecord]) -> list[str]:
    """Return a sentence for each metric that came from a plug-in which is not installed, and how to install it."""
    told: dict[str, None] = {}
    for record in records:
        unknown = sorted((record.image.keys() | record.instance.keys()) - METRICS.keys())
        gone = _gone(record) if unknown else {}
        if gone:
            came = " or ".join(f"{name} {version}" for name, version in gone.items())
            verb = "is" if len(gone) == 1 else "are"
            how = " ".join(f"{name}=={version}" for name, version in gone.items())
            told |= {
                f"metric {one} comes from {came}, which {verb} not installed: pip install {how}": None
                for one in unknown
            }
    return [*told]


def _gone(record: RunRecord) -> dict[str, str]:
    """Return the distributions with their versions that brought plug-ins to a run and are not installed now."""
    brought = record.versions.items() if record.digests.plugins is not None else ()
    return {name: version for name, version in brought if name not in {"python", *DISTRIBUTIONS} and not _is_here(name)}


def _is_here(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def require_metrics(records: Iterable[RunRecord]) -> None:
    """Refuse to work with records whose metrics cannot be computed here.

    Raises:
        MissingError: Names the plug-ins that are not installed.
    """
    missing = missing_metrics(records)
    if missing:
        raise MissingError("\n".join(missing))


def note_missing_metrics(records: Iterable[RunRecord]) -> None:
    """Say once of each metric that cannot be shown what it needs."""
    for sentence in missing_metrics(records):
        _say_once(f"note: left out: {sentence}")


@lru_cache(maxsize=100)
def _say_once(text: str) -> None:
    say(text)
