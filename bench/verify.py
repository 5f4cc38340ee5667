"""Recompute everything in an output folder that follows from something else in it, and name what does not hold.

Rows are the ground: tables, scores, counts and digests of a record follow from them, leaderboards from records. Who
makes all of it anew from rows of his own is not found: then everything agrees. Pictures, `report.html`, and what a
record says of time, machine, versions, commit and numbers of parameters follow from nothing here. What is changed in
rows is named by the tables, and what a record says otherwise because of it is found once. To check the rows themselves,
run `config.yaml` again. Knows no torch, unless data are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from bench.errors import CommandError, MissingError, UsageError
from bench.files import path_below
from bench.findings import NOTHING, File, Finding
from bench.leaderboard import leaderboard_files, read_record, record_paths
from bench.missing_plugins import require_metrics
from bench.plan import Places
from bench.record import RunRecord
from bench.run_checks import Run, check_contents, check_identity, check_rows
from bench.status import PlannedRun, read_plan_file
from bench.terminal import visible

MOST_NAMED = 10


def verify(out: Path, data_root: Path | None = None) -> tuple[int, list[Finding]]:
    """Check an output folder.

    Args:
        out: the folder.
        data_root: read the data sets anew, whose relative paths start here; None leaves them alone.

    Returns:
        How many runs there are, and all that does not hold. Leaderboards, which hang on all runs, are looked at once
        these hold.

    Raises:
        MissingError: There is no run, data are not there, or a metric's plug-in is not installed.
    """
    findings: list[Finding] = []
    try:
        planned = {run.folder: run for run in read_plan_file(out)}
    except CommandError as error:
        planned = {}
        findings.append(File("", "plan.json").finding("content", f"what cannot be read ({error})", "a plan"))
    found = [path.parent.relative_to(out).as_posix() for path in record_paths(out)]
    folders = list(dict.fromkeys([*planned, *found]))
    if not folders:
        raise MissingError(f"no run in {out}: give the --out folder of `colorbench run`")
    require_metrics(_read_records(out, folders))
    for folder in folders:
        findings += _check_run(out, folder, planned.get(folder), data_root)
    return len(folders), findings or list(_check_leaderboards(out))


def _read_records(out: Path, folders: Sequence[str]) -> Iterator[RunRecord]:
    """Yield the records that can be read; the others are found later."""
    for folder in folders:
        with suppress(CommandError):
            yield read_record(path_below(out, folder) / "record.json")


def _check_run(out: Path, folder: str, planned: PlannedRun | None, data_root: Path | None) -> Iterator[Finding]:
    path = path_below(out, folder)
    record: RunRecord | None = None
    if not (path / "record.json").is_file():
        yield File(folder, "record.json").finding("file", NOTHING, "the record of a finished run")
    else:
        try:
            record = read_record(path / "record.json")
        except CommandError as error:
            yield File(folder, "record.json").finding("content", f"what cannot be read ({error})", "a record")
    config = _read_config(path)
    if config is None:
        yield File(folder, "config.yaml").finding("file", "nothing that can be read", "the run's configuration")
    run = Run(out, folder, planned, record, config or {})
    yield from check_rows(run)
    if record is not None:
        yield from check_identity(run, record)
        yield from check_contents(run, record)
        if data_root is not None:
            yield from _check_data(run, record, data_root)


def _read_config(path: Path) -> Mapping[str, Any] | None:
    try:
        content = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, Mapping) else None


def _check_leaderboards(out: Path) -> Iterator[Finding]:
    """Find where leaderboards are not those of the records."""
    try:
        wanted = leaderboard_files(out)
    except (CommandError, OSError, ValueError, KeyError) as error:
        yield File("", "leaderboard.*").finding(
            "content", f"what cannot be made anew ({error})", "what the records give"
        )
        return
    for name, text in wanted.items():
        path = out / name
        if not path.is_file():
            continue
        given, lines = path.read_bytes().decode(errors="replace").splitlines(), text.splitlines()
        pairs = zip([*given, *[""] * len(lines)], [*lines, *[""] * len(given)], strict=False)
        number, pair = next(((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1]), (0, None))
        if pair is not None:
            yield from File("", name).compare(f"line {number}, by the records", *pair)


def _check_data(run: Run, record: RunRecord, data_root: Path) -> Iterator[Finding]:
    """Find whether the pictures of the rows are those of the data set, and this is the one of the record."""
    from bench.plan import dataset_tree
    from bench.prepare import open_source

    try:
        suite = run.suite
    except UsageError:  # which is found already
        return
    if suite is None:
        return
    source = open_source(dataset_tree(suite.datasets[0], Places(run.path, data_root)), suite.protocol)
    keys = [] if source is None else [photo.key for photo in source.photos][: suite.limit]
    for key in sorted({*keys} - run.rows.keys() - run.missing):
        yield run.file("rows").finding(f"image {key!r}, which the data have", NOTHING, "a row")
    for key in sorted(run.rows.keys() - {*keys}):
        yield run.file("rows").finding(f"image {key!r}, which the data don't have", "a row", NOTHING)
    if source is not None:
        yield from run.file("record.json").compare("digests dataset", record.digests.dataset, source.digest())


def as_plain(runs: int, findings: list[Finding]) -> dict[str, Any]:
    """Return what was found as plain values."""
    names = ("run", "file", "what", "stands", "should")
    listed = [{name: getattr(finding, name) for name in names} for finding in findings]
    return {"runs": runs, "holds": not findings, "findings": listed}


def print_findings(runs: int, findings: list[Finding], console: Console | None = None) -> None:
    """Print what was found, of each file the first ones."""
    console = console or Console(highlight=False)
    named: dict[tuple[str, str], int] = {}
    for finding in findings:
        place = (finding.run, finding.file.partition(":")[0])
        named[place] = named.get(place, 0) + 1
        if named[place] <= MOST_NAMED:
            console.print(visible(str(finding)), markup=False, soft_wrap=True)
    for (folder, file), count in named.items():
        if count > MOST_NAMED:
            console.print(f"{folder}/{file}: and {count - MOST_NAMED} more, see --json", markup=False, soft_wrap=True)
    things = "1 thing does" if len(findings) == 1 else f"{len(findings)} things do"
    console.print(f"{runs} run{'' if runs == 1 else 's'}: {f'{things} not hold' if findings else 'everything holds'}")
