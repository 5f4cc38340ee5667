"""Take the records of an output folder into `results/`, if they hold, and write its leaderboards anew. Knows no torch.

What is published stands for good: a record is never replaced by another one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CommandError, UsageError
from bench.files import atomic_write, path_below
from bench.findings import Finding, shown
from bench.leaderboard import format_boards, published_paths, read_record, record_paths
from bench.provenance import ROOT
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.verify import verify

FORMATS = ("md", "csv")
MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Published:
    """Hold what became of the runs of an output folder.

    Attributes:
        added: places of new records below the results.
        there: places of those that stood there already.
        refused: folders of runs that cannot be published, each with every reason.
        leaderboards: places of those that were written.
    """

    added: tuple[str, ...]
    there: tuple[str, ...]
    refused: Mapping[str, tuple[str, ...]]
    leaderboards: tuple[str, ...]


def publish(out: Path, results: Path | None = None) -> Published:
    """Copy the records that may be published, and write the leaderboards of all that are.

    Args:
        out: output folder of `colorbench run` or `colorbench score`.
        results: the folder; that of the checkout where None.

    Raises:
        UsageError: There is no results folder.
        MissingError: There is no run.
        CommandError: A record that is published already, or the plan of the output folder, cannot be read.
    """
    folder = results_folder(results)
    published = read_published(folder)
    _, findings = verify(out)
    runs = _read_runs(out)
    _check_plan(findings)
    refused = {name: tuple(reasons) for name, reasons in _reasons(runs, findings, published).items() if reasons}
    fit = {record.path: record for name, record in runs.items() if name not in refused}
    added = {place: record for place, record in fit.items() if place not in published}
    for place, record in added.items():
        atomic_write(path_below(folder, place), record.to_json())
    written = leaderboards({**published, **added}.values())
    for place, text in written.items():
        atomic_write(path_below(folder, place), text)
    return Published(tuple(added), tuple(place for place in fit if place in published), refused, tuple(written))


def results_folder(given: Path | None) -> Path:
    """Return the folder of published results.

    Raises:
        UsageError: It is not there.
    """
    folder = ROOT / "results" if given is None else given
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not there, as in an installed package: give --results the results folder of a checkout"
            if given is None
            else f"--results {folder} is not there: make it, or give that of a checkout"
        )
    return folder


def read_published(results: Path) -> dict[str, RunRecord]:
    """Read all records that are published, by their place below `results`.

    Raises:
        CommandError: One cannot be read.
    """
    return {path.relative_to(results).as_posix(): read_record(path) for path in published_paths(results)}


def _read_runs(out: Path) -> dict[str, RunRecord]:
    """Return the records of an output folder by the folders of their runs; `verify` names those that are broken."""
    found = {}
    for path in record_paths(out):
        with suppress(CommandError):
            found[path.parent.relative_to(out).as_posix()] = read_record(path)
    return found


def _check_plan(findings: Iterable[Finding]) -> None:
    """Refuse a folder whose plan is broken: nobody knows whether its runs are whole.

    Its own leaderboards may be those of an older version: they are not what is published.

    Raises:
        CommandError: The plan cannot be read.
    """
    for finding in findings:
        if not finding.run and finding.file == "plan.json":
            raise CommandError(f"nothing is published: {finding}; give the command that made the folder again")


def _reasons(
    runs: Mapping[str, RunRecord], findings: Iterable[Finding], published: Mapping[str, RunRecord]
) -> dict[str, list[str]]:
    """Return for each run all that forbids to publish it."""
    reasons: dict[str, list[str]] = {name: [*objections(record)] for name, record in runs.items()}
    for finding in (finding for finding in findings if finding.run):
        reasons.setdefault(finding.run, []).append(f"does not hold: {finding.file}: {finding.what}")
    for name, record in runs.items():
        before = published.get(record.path)
        if before is not None and before != record:
            reasons[name].append(
                f"{record.path} is there with other content, {differences(before, record)}: if this one is to take its "
                "place, remove that first"
            )
    return reasons


def objections(record: RunRecord) -> Iterator[str]:
    """Yield what in a record forbids to publish it."""
    if record.partial:
        yield "partial: not all pictures were scored; run without --limit or --partial"
    if record.untrained:
        yield "untrained: its weights were random"
    if record.git_commit is None:
        yield "made by an installed package, whose commit nobody knows; run it from a checkout"
    elif record.git_dirty:
        yield f"made by code that differs from commit {record.git_commit[:12]}; commit, and run it again"


def differences(before: RunRecord, after: RunRecord) -> str:
    """Say in which fields two records differ, the first of them with both values."""
    one, other = _flat(before.model_dump()), _flat(after.model_dump())
    fields = [field for field in dict.fromkeys([*one, *other]) if one.get(field) != other.get(field)]
    first = fields[0]
    told = f"{first} {shown(one.get(first))} there and {shown(other.get(first))} here"
    return told if len(fields) == 1 else f"{told}, and other {', '.join(fields[1:])}"


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their names joined by points."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat


def leaderboards(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return the leaderboards of published records, by their place below `results`."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(f"{record.dataset}--{record.protocol}", []).append(record)
    boards = {name: rank_records(sorted(groups[name], key=lambda record: record.path)) for name in sorted(groups)}
    return {
        f"leaderboard/{name}.{form}": format_boards(board, form) for name, board in boards.items() for form in FORMATS
    }


def tell(published: Published) -> list[str]:
    """Return what was done, a line each."""
    lines = [f"published: {place}" for place in published.added]
    lines += [f"there already: {place}" for place in published.there]
    return lines + [f"written: {place}" for place in published.leaderboards]


def tell_refused(published: Published) -> list[str]:
    """Return which runs were refused and why, a line each."""
    return [f"refused: {name}: {'; '.join(_first(reasons))}" for name, reasons in published.refused.items()]


def _first(reasons: Sequence[str]) -> list[str]:
    rest = len(reasons) - MOST_REASONS
    return [*reasons[:MOST_REASONS], *([f"and {rest} more, see `colorbench verify`"] if rest > 0 else [])]
