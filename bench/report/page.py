"""Make the pages of an output folder: `report.html`, and the leaderboard as a page. Knows no torch.

Each is one file that opens without a network, and equal input gives equal bytes.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from bench.board import LEVEL_WORDS, Board, Cell
from bench.board_text import (
    COSTS,
    MISSING,
    captions,
    costs_of,
    footnotes,
    format_cost,
    format_interval,
    format_score,
    notes_of,
)
from bench.errors import MissingError
from bench.files import atomic_write
from bench.formats import Tables
from bench.html_pages import page_environment, script_digest
from bench.leaderboard import rank_runs, read_record, record_paths
from bench.record import RunRecord
from bench.report.columns import board_columns, run_columns, run_value
from bench.report.gallery import PICTURES, Gallery, galleries, gallery_data, metric_choices
from bench.report.plots import plot_data
from bench.rows import read_rows
from bench.scoring.metrics import Metric
from bench.sheet import TEXT_COLUMNS
from bench.terminal import visible

TEMPLATES = Path(__file__).parent / "templates"
STYLES = ("style.css", "plots.css", "gallery.css")
DRAWINGS = ("drawing.js", "distributions.js", "scatter.js", "groups.js", "plots.js")
SCRIPTS = ("tables.js", *DRAWINGS, "gallery.js", "lightbox.js")
MOST_FAILURES = 50


def write_report(out: Path, page: Path | None = None, most: int = PICTURES) -> Path:
    """Write the report of an output folder.

    Args:
        out: output folder of a run.
        page: file to write; `report.html` in `out` where None.
        most: pictures of a dataset that are shown.

    Returns:
        The file.

    Raises:
        MissingError: There is no finished run.
    """
    runs = [(path.parent, read_record(path)) for path in record_paths(out)]
    if not runs:
        raise MissingError(f"no finished run in {out}: give the --out folder of `colorbench run`; see its status")
    page = page or out / "report.html"
    atomic_write(page, report_page(runs, galleries(out, runs, most)))
    return page


def report_page(runs: Sequence[tuple[Path, RunRecord]], pictures: Sequence[Gallery]) -> str:
    """Return the report of runs, each with its folder, as HTML."""
    records = [record for _, record in runs]
    boards = rank_runs(runs)
    return _render(
        "report.html.j2",
        boards=_parts(boards),
        plots=plot_data(runs, boards),
        records=sorted(records, key=lambda record: (record.dataset, record.method, record.detector, record.seed)),
        facts=facts(records),
        started=sorted({record.started_utc for record in records}),
        versions=common_versions(records),
        galleries=pictures,
        gallery_data=gallery_data(pictures),
        gallery_metrics=metric_choices(pictures),
        failures=failures(runs),
        most_failures=MOST_FAILURES,
    )


def leaderboard_page(boards: Sequence[Board]) -> str:
    """Return the boards alone as HTML."""
    return _render("leaderboard.html.j2", boards=_parts(boards))


def _parts(boards: Sequence[Board]) -> list[Board]:
    """Return what is shown as one table each."""
    return [part for board in boards for part in board.parts]


def tables_page(tables: Tables) -> str:
    """Return tables that are no leaderboards as HTML."""
    return _render(
        "sheets.html.j2",
        title=tables.title,
        sheets=[full for full, *_ in tables.sheets],
        words=TEXT_COLUMNS,
        missing=MISSING,
    )


def facts(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return what holds for the page as a whole, by name."""
    devices = sorted({f"{record.device}, {record.precision} bit" for record in records})
    protocols = sorted({f"{record.protocol} ({record.protocol_sha256[:12]})" for record in records})
    commits = sorted({_commit(record) for record in records})
    return [
        ("Suite", ", ".join(sorted({record.suite for record in records}))),
        ("Protocol", ", ".join(protocols)),
        ("Datasets", ", ".join(sorted({record.dataset for record in records}))),
        ("Device", ", ".join(devices)),
        ("Code", ", ".join(commits)),
    ]


def _commit(record: RunRecord) -> str:
    if record.git_commit is None:
        return f"installed package {record.versions.get('colorbench', '')}".strip()
    return record.git_commit[:12] + (" with uncommitted changes" if record.git_dirty else "")


def common_versions(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return the versions of packages, by name; where runs differ, all of them."""
    found: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            found.setdefault(package, set()).add(version)
    return [(package, ", ".join(sorted(found[package]))) for package in sorted(found)]


def failures(runs: Sequence[tuple[Path, RunRecord]]) -> list[dict[str, str]]:
    """Return the pictures that ended with an error, with run, status and reason."""
    return [
        {"run": folder.name, "dataset": record.dataset, "image": row.image, "status": row.status, "why": row.message}
        for folder, record in runs
        if record.counts.failed
        for row in read_rows(folder, record.run_id).values()
        if row.failed
    ]


def _render(template: str, **values: Any) -> str:
    script = _texts(SCRIPTS)
    return (
        _environment()
        .get_template(template)
        .render(style=_texts(STYLES), script=script, script_digest=script_digest(script), **values)
    )


def _texts(names: Sequence[str]) -> Markup:
    """Return our own files one after the other; nothing in them comes from a run."""
    return Markup("\n").join(Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in names)  # noqa: S704 - our own files, nothing of a run


@cache
def _environment() -> Environment:
    """Return the environment of our templates, with what they call."""
    environment = page_environment(TEMPLATES)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.globals.update(captions=captions, shared_captions=shared_captions)
    environment.globals.update(mean_text=mean_text, format_interval=format_interval, notes_of=notes_of)
    environment.globals.update(footnotes=footnotes)
    environment.globals.update(costs=COSTS, costs_of=costs_of, format_cost=format_cost, board_columns=board_columns)
    environment.globals.update(run_columns=run_columns, run_value=run_value)
    environment.filters.update(visible=visible, short=short, moment=moment, level_words=LEVEL_WORDS.__getitem__)
    return environment


def shared_captions(boards: Sequence[Board]) -> list[str]:
    """Return what holds for all of several boards, to be said once; nothing for a single one."""
    if len(boards) < 2:
        return []
    return [text for text in captions(boards[0]) if all(text in captions(board) for board in boards)]


def mean_text(cell: Cell, metric: Metric) -> str:
    """Return a mean in the digits of its metric."""
    return format_score(cell, metric, interval=False)


def short(digest: str | None) -> str:
    """Return the first digits of a digest, a dash where there is none."""
    return digest[:12] if digest else "—"


def moment(started: str) -> str:
    """Return a time of a record as people read it.

    >>> moment("2026-01-02T03:04:05Z")
    '2026-01-02 03:04:05 UTC'
    """
    return started.replace("T", " ").replace("Z", " UTC")
