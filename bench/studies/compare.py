"""Compare repeated runs with the records that a study holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MissingError
from bench.leaderboard import read_record, record_paths
from bench.record import RunRecord
from bench.studies.files import RECORDS

TOLERANCE = 0.01
"""Share of a mean score that it may differ by on another processor, where sums are added up in another order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold what became of one run: `text` to tell, and whether every mean is within `TOLERANCE`."""

    text: str
    near: bool


def differences(committed: Sequence[RunRecord], out: Path, methods: Sequence[str]) -> list[Comparison]:
    """Compare the means of new runs with those of the study's records, a line a run; none where it has no records.

    Raises:
        MissingError: It has records, but none of these methods.
    """
    if not committed:
        return []
    found = {_run(record): record for record in (read_record(path) for path in record_paths(out))}
    compared = [_compare(record, found.get(_run(record))) for record in committed if record.method in methods]
    if not compared:
        raise MissingError(f"the study holds no record of {', '.join(methods)} in {RECORDS}/")
    return compared


def _run(record: RunRecord) -> str:
    return f"{record.method}--{record.detector}--s{record.seed}"


def _compare(before: RunRecord, now: RunRecord | None) -> Comparison:
    if now is None:
        return Comparison(f"{_run(before)}: not repeated", near=False)
    changed: list[str] = []
    near = True
    for level, old, new in (("image", before.image, now.image), ("instance", before.instance, now.instance)):
        for metric, score in old.items():
            mean = new[metric].mean if metric in new else None
            if mean is None or score.mean is None:
                changed += [f"{level} {metric} missing"] if mean != score.mean else []
                near = near and mean == score.mean
            elif mean != score.mean:
                changed.append(f"{level} {metric} {mean - score.mean:+.2g}")
                near = near and abs(mean - score.mean) <= TOLERANCE * abs(score.mean)
    return Comparison(f"{_run(before)}: {'differs by ' + ', '.join(changed) if changed else 'equal to the bit'}", near)
