"""The page of a study: its template, filled from its records, scores, curves, costs and facts."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.board import Board, Entry, run_key
from bench.board_text import format_score
from bench.catalog import known
from bench.errors import MissingError
from bench.files import atomic_write
from bench.leaderboard import format_boards
from bench.ranking import DEFAULT_SORT, LEVELS, rank_records
from bench.record import RunRecord
from bench.scoring.metrics import METRICS
from bench.statistics import bootstrap_interval
from bench.studies.compare import TOLERANCE
from bench.studies.curves import learning_curves
from bench.studies.declared import Declared, trained_as
from bench.studies.files import BUDGET, CURVES, FACTS, Table, read_numbers, read_observations, read_records, read_scores
from bench.studies.grids import CREDITS, GRID
from bench.tables import read_table

TEMPLATE = "findings.md.j2"
PAGE = "README.md"
FIGURE = "curves.svg"


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold how far one run lies above another, over the same pictures.

    Attributes:
        mean: over pictures or instances, and over seeds.
        low: lower end of the 95 % interval, `high` the upper: bootstrap over pictures of the mean over seeds.
        by_seed: the mean of each seed.
    """

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out, and every seed has the sign of the mean."""
        return self.low * self.high > 0 and all(value * self.mean > 0 for value in self.by_seed)


@dataclass(frozen=True)
class Numbers:
    """Give the template its numbers; a run is named `<method>--<detector>`."""

    declared: Declared
    records: Sequence[RunRecord]

    @cached_property
    def boards(self) -> dict[str, Board]:
        """Return the ranked tables by level."""
        return {board.level: board for board in rank(self.declared.folder, self.records)}

    def entry(self, level: str, run: str) -> Entry:
        """Return the line of a run.

        Raises:
            UsageError: There is none of that name.
        """
        entries = {run_name(entry): entry for entry in self.boards[level].entries}
        return entries[known("run of this study", run, entries)]

    def mean(self, level: str, run: str, metric: str = "psnr") -> float:
        """Return the mean of a run over its seeds."""
        mean = self.entry(level, run).scores[metric].mean
        return math.nan if mean is None else mean

    def by_seed(self, level: str, run: str, metric: str = "psnr") -> list[float]:
        """Return the mean of each seed of a run."""
        self.entry(level, run)
        mine = sorted((each for each in self.records if record_name(each) == run), key=lambda each: each.seed)
        scores = [(each.image if level == "image" else each.instance)[metric].mean for each in mine]
        return [math.nan if score is None else score for score in scores]

    def spread(self, level: str, run: str, metric: str = "psnr") -> float:
        """Return how far the seeds of a run lie apart."""
        means = self.by_seed(level, run, metric)
        return max(means) - min(means)

    def difference(self, level: str, one: str, other: str, metric: str = "psnr") -> Difference:
        """Compare two runs picture by picture: `one` less `other`, each the mean over its seeds."""
        for run in (one, other):
            self.entry(level, run)
        table = read_scores(self.declared.folder, level, metric)
        seeds = self.declared.study.seeds
        by_seed = [_differences(table, f"{one}--s{seed}", f"{other}--s{seed}") for seed in seeds]
        pictures: dict[str, list[float]] = {}
        for key in sorted(set.intersection(*(set(found) for found in by_seed))):
            mean = math.fsum(found[key] for found in by_seed) / len(seeds)
            pictures.setdefault(key.partition("#")[0], []).append(mean)
        sums = [math.fsum(values) for values in pictures.values()]
        counts = [len(values) for values in pictures.values()]
        low, high = bootstrap_interval(sums, counts)
        means = tuple(math.fsum(found.values()) / len(found) for found in by_seed)
        nothing = math.nan
        mean = math.fsum(sums) / sum(counts)
        return Difference(mean, nothing if low is None else low, nothing if high is None else high, means)

    def told_apart(self, level: str, other: str) -> list[tuple[str, Difference]]:
        """Return the ranked runs whose difference to `other` is clear, best first."""
        runs = [run_name(entry) for entry in self.boards[level].entries if entry.unaided_rank is not None]
        found = [(run, self.difference(level, run, other)) for run in runs if run != other]
        return [(run, difference) for run, difference in found if difference.clear]

    def neighbours(self, level: str) -> list[tuple[Entry, Entry, Difference]]:
        """Return each ranked run with the next one below it, and how far it lies above that one."""
        ranked = [entry for entry in self.boards[level].entries if entry.unaided_rank is not None]
        sort = self.boards[level].sort
        return [(one, two, self.difference(level, run_name(one), run_name(two), sort)) for one, two in pairwise(ranked)]


def _differences(table: Table, one: str, other: str) -> dict[str, float]:
    found = {key: (line.get(one), line.get(other)) for key, line in table.items()}
    return {key: a - b for key, (a, b) in found.items() if a is not None and b is not None}


def run_name(entry: Entry) -> str:
    """Return `<method>--<detector>`."""
    return f"{entry.method}--{entry.detector}"


def record_name(record: RunRecord) -> str:
    """Return `<method>--<detector>`."""
    return f"{record.method}--{record.detector}"


def seed_name(record: RunRecord) -> str:
    """Return `<method>--<detector>--s<seed>`, the name of a run's column among the scores."""
    return f"{record_name(record)}--s{record.seed}"


def page_files(declared: Declared) -> dict[str, str]:
    """Return the text files of the page by name, computed from what the study's folder holds.

    Raises:
        MissingError: It holds no record.
    """
    records = read_records(declared.folder)
    if not records:
        raise MissingError(f"{declared.folder} holds no records: run `colorbench reproduce {declared.folder}` first")
    points = read_numbers(declared.folder / CURVES)
    boards = rank(declared.folder, records)
    return {
        "leaderboard.md": format_boards(boards, "md"),
        "leaderboard.csv": format_boards(boards, "csv"),
        FIGURE: learning_curves(points),
        PAGE: render(declared, records),
    }


def rank(folder: Path, records: Sequence[RunRecord]) -> list[Board]:
    """Rank the records of a study, with tie groups from the scores beside them."""
    tables = {level: read_observations(folder, level, DEFAULT_SORT) for level in LEVELS}
    observations = {
        level: {run_key(record): table[name] for record in records if (name := seed_name(record)) in table}
        for level, table in tables.items()
    }
    return rank_records(records, observations=observations)


def render(declared: Declared, records: Sequence[RunRecord]) -> str:
    """Return the page of findings: the study's own template, filled with its numbers."""
    credits, budget = declared.folder / CREDITS, read_numbers(declared.folder / BUDGET)
    commits = [commit for line in read_table(declared.folder / BUDGET) for commit in line["commits"].split()]
    template = _environment(declared.folder).get_template(TEMPLATE)
    return template.render(
        study=declared.study,
        suite=declared.suite,
        numbers=Numbers(declared, records),
        records=records,
        facts=_facts(declared.folder),
        budget=budget,
        trained_by=sorted(set(commits)),
        dearest=dearest(declared, budget),
        credits=read_table(credits) if credits.is_file() else [],
        figure=FIGURE,
        grid=GRID,
        scored_by=sorted({record.git_commit for record in records if record.git_commit}),
        tolerance=TOLERANCE,
        place=f"results/studies/{declared.study.id}",
    )


def dearest(declared: Declared, budget: Sequence[Mapping[str, Any]]) -> float:
    """Return the CPU seconds of the method, with all its stages and one seed, that took the most."""
    seconds = {(line["training"], line["seed"]): line["cpu_seconds"] for line in budget}
    study = declared.study
    names = [name for method in declared.suite.methods if (name := trained_as(method)) is not None]
    return max(
        (sum(seconds[each.name, seed] for each in study.chain(name)) for name in names for seed in study.seeds),
        default=0.0,
    )


def _facts(folder: Path) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts


def _environment(folder: Path) -> Environment:
    environment = Environment(  # noqa: S701 - Markdown from a template and numbers of our own
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(metrics=METRICS, run_name=run_name, format_score=format_score)
    environment.filters.update(number=number, signed=signed)
    return environment


def number(value: float, digits: int = 2) -> str:
    """Return a number with so many digits behind the point, thousands parted by spaces.

    >>> number(12345.678, 1)
    '12 345.7'
    """
    return f"{value:,.{digits}f}".replace(",", " ")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign.

    >>> signed(0.5)
    '+0.50'
    """
    return f"{value:+.{digits}f}"


def write_page(declared: Declared) -> Path:
    """Write the page, its tables and its figure; return the page."""
    for name, text in page_files(declared).items():
        atomic_write(declared.folder / name, text)
    return declared.folder / PAGE
