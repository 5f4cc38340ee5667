"""A folder of plots: every kind of every board as files, and an index that says what each shows."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from bench.board import RunKey, run_key
from bench.breakdown import LEVEL_OF
from bench.breakdown_board import BreakdownBoard, break_down_board
from bench.compare import MethodComparison
from bench.errors import MissingError, UsageError
from bench.failure_modes import error_curves
from bench.figures.box_errors import draw_box_errors
from bench.figures.costs import draw_gmacs, draw_speed
from bench.figures.distributions import draw_cumulative, draw_distribution
from bench.figures.dots import draw_scores
from bench.figures.grids import draw_pictures, picture_keys, shown_methods
from bench.figures.hints import draw_hints
from bench.figures.named import check_known
from bench.figures.names import stem
from bench.figures.pairs import best_pair, check_names, draw_pair, named_pair
from bench.figures.parts import draw_parts
from bench.figures.style import DPI, FORMATS, styled, to_bytes
from bench.figures.subjects import Method, Plot, Run, Subject, read_subjects
from bench.files import atomic_write
from bench.hint_curves import hint_curves
from bench.leaderboard import finished_runs
from bench.ranking import rank_records
from bench.scoring.metrics import find_metric
from bench.tables import Cell, table_to_csv
from bench.terminal import visible

Grid = tuple[Subject, Sequence[Method], Sequence[str]]
"""Methods and pictures of a subject that stand side by side."""
PICTURES = 4
COLUMNS = ("file", "kind", "dataset", "protocol", "level", "metric", "methods", "n", "caption")
HEAD = """# Figures

Each is here as PNG ({dpi} dpi) and SVG, as wide as a column or as a page of two, with a caption ready for use.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say what is to be drawn.

    Attributes:
        metrics: none for all that rank a method.
        pairs: of methods, each as a leaderboard names it, with or without `--<detector>`; none for the best two.
        pictures: none for some that nobody chose.
        grid: methods beside those pictures, in this order; none for the best.
    """

    metrics: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    pictures: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """Hold the names of the plots in a folder, each there in all of `FORMATS`, and why others could not be drawn."""

    names: tuple[str, ...]
    missing: tuple[str, ...]


def parse_wanted(
    metrics: Iterable[str], pairs: Iterable[str], pictures: Iterable[str], grid: str | None = None
) -> Wanted:
    """Return what is to be drawn, pairs given as `A,B` and the methods of a grid as `A,B,C`.

    Raises:
        UsageError: A metric is unknown, or a pair is not two names.
    """
    named = [tuple(pair.split(",")) for pair in pairs]
    for names in named:
        if len(names) != 2 or not all(names):
            raise UsageError(f"--pair {','.join(names)} is not two methods: give their names as A,B")
    return Wanted(
        tuple(find_metric(name).id for name in metrics),
        tuple((names[0], names[1]) for names in named),
        tuple(pictures),
        () if grid is None else tuple(grid.split(",")),
    )


def write_pair(compared: MethodComparison, path: Path) -> None:
    """Draw one comparison into a file, whose suffix says in which of `FORMATS`.

    Raises:
        UsageError: It is none of them.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"{path} is no figure: give --figure a name that ends with .{' or .'.join(FORMATS)}")
    with styled():
        atomic_write(path, to_bytes(draw_pair(compared).figure, form))


def write_figures(out: Path, folder: Path, wanted: Wanted) -> Written:
    """Draw the runs of an output folder, and write `figures.md` and `figures.csv`, which say what each plot shows.

    Raises:
        UsageError: A method or picture that is named is not there, or a name stands for several methods.
        MissingError: There is no finished run, or none has a metric that is named.
    """
    runs = finished_runs([out])
    subjects = read_subjects(runs, wanted.metrics)
    check_names(subjects, wanted.pairs)
    grids = _choose_pictures(subjects, wanted)
    folders = {run_key(record): folder for folder, record in runs}
    missing: dict[str, None] = {}
    parts = [_read_parts(subject, folders, missing) for subject in subjects]
    lines: dict[str, Plot] = {}
    with styled():
        simple, curves = _plots(subjects, parts, wanted.pairs, grids), (_box_errors, _hints)
        for plot in itertools.chain(simple, *(draw(runs, subjects) for draw in curves)):
            name = stem(plot.dataset, plot.protocol, plot.level, plot.metric, *plot.kind)
            for form in FORMATS:
                atomic_write(folder / f"{name}.{form}", to_bytes(plot.figure, form))
            plot.figure.clear()
            lines[name] = plot
    atomic_write(folder / "figures.csv", index_csv(lines))
    atomic_write(folder / "figures.md", index_markdown(lines, missing))
    return Written(tuple(lines), tuple(missing))


def _plots(
    subjects: Sequence[Subject],
    parts: Sequence[Sequence[BreakdownBoard]],
    pairs: Sequence[tuple[str, str]],
    grids: Iterable[Grid],
) -> Iterator[Plot]:
    """Draw one plot after the other; those that have nothing to show are left out."""
    for subject, tables in zip(subjects, parts, strict=True):
        yield draw_scores(subject)
        simple = (draw_distribution, draw_cumulative, draw_speed, draw_gmacs)
        yield from filter(None, (draw(subject) for draw in simple))
        yield from _pairs(subject, pairs)
        yield from filter(None, (draw_parts(subject, table) for table in tables))
    yield from filter(None, (draw_pictures(*grid) for grid in grids))


def _pairs(subject: Subject, pairs: Iterable[tuple[str, str]]) -> Iterator[Plot]:
    compared = [named_pair(subject, names) for names in pairs] if pairs else [best_pair(subject)]
    yield from (draw_pair(each) for each in compared if each is not None)


def _box_errors(runs: Sequence[Run], subjects: Sequence[Subject]) -> Iterator[Plot]:
    """Draw the curves over errors of the boxes by the metrics of the other plots."""
    metrics = {subject.metric.id for subject in subjects}
    yield from filter(None, (draw_box_errors(curves) for curves in error_curves(runs) if curves.metric in metrics))


def _hints(runs: Sequence[Run], subjects: Sequence[Subject]) -> Iterator[Plot]:
    """Draw the curves over numbers of hints by the metrics of the other plots."""
    metrics = {subject.metric.id for subject in subjects}
    found = hint_curves(rank_records(record for _, record in runs))
    yield from (draw_hints(curves) for curves in found if curves.metric in metrics)


def _read_parts(
    subject: Subject, folders: Mapping[RunKey, Path], missing: MutableMapping[str, None]
) -> list[BreakdownBoard]:
    """Read the breakdowns of a subject before anything is drawn; what cannot be read goes into `missing`, said once."""
    fitting = [by for by, level in LEVEL_OF.items() if level == subject.board.level and not subject.metric.of_set]
    found = []
    for by in fitting:
        try:
            found.append(break_down_board(subject.board, by, folders))
        except MissingError as error:
            missing[f"no plots of categories, sizes and numbers of instances: {error}"] = None
    return found


def _choose_pictures(subjects: Sequence[Subject], wanted: Wanted) -> list[Grid]:
    """Return the methods and pictures that are shown of each dataset, with the subject of the first metric.

    Raises:
        UsageError: A method that is wanted is not there, or a picture that is was not kept by all methods of a grid.
    """
    check_known(subjects, wanted.grid)
    first: dict[tuple[str, str], Subject] = {}
    for subject in subjects:
        if subject.board.level == "image" and subject.scored:
            first.setdefault((subject.board.dataset, subject.board.protocol), subject)
    shown = [(subject, shown_methods(subject, wanted.grid)) for subject in first.values()]
    kept = [(subject, methods, picture_keys(subject, methods)) for subject, methods in shown]
    _check_kept(wanted.pictures, sorted({key for *_, keys in kept for key in keys}))
    return [(subject, methods, _of(keys, wanted.pictures)) for subject, methods, keys in kept]


def _of(keys: Sequence[str], wanted: Sequence[str]) -> list[str]:
    return [key for key in wanted if key in keys] if wanted else _spread(keys)


def _check_kept(wanted: Sequence[str], kept: Sequence[str]) -> None:
    for key in wanted:
        if not kept:
            raise UsageError(
                "there are no pictures of the best methods that --show could show: give the same `colorbench run` "
                "command again with --save-images"
            )
        if key not in kept:
            near = get_close_matches(key, kept, n=1, cutoff=0.0)
            raise UsageError(
                f"--show {visible(key)!r}: no such picture was kept by all methods of a grid; {len(kept)} were, of "
                f"which {visible(near[0])!r} has the nearest name"
            )


def _spread(keys: Sequence[str]) -> list[str]:
    """Return a few pictures, evenly spread, so that nobody chose them."""
    step = (len(keys) - 1) / (PICTURES - 1)
    return [keys[round(place * step)] for place in range(PICTURES)] if len(keys) > PICTURES else [*keys]


def index_csv(plots: Mapping[str, Plot]) -> str:
    """Return a line a plot with the columns `COLUMNS`."""
    return table_to_csv(COLUMNS, [_line(name, plot) for name, plot in plots.items()])


def _line(name: str, plot: Plot) -> list[Cell]:
    place = (plot.dataset, plot.protocol, plot.level, plot.metric)
    return [name, plot.kind[0], *place, plot.methods, plot.n, plot.caption]


def index_markdown(plots: Mapping[str, Plot], missing: Iterable[str] = ()) -> str:
    """Return a page with all plots, each above its caption, and what could not be drawn."""
    shown = "".join(
        f"\n## {_plain(name)}\n\n![{_plain(name)}]({name}.png)\n\n{_plain(plot.caption)}\n"
        for name, plot in plots.items()
    )
    return HEAD.format(dpi=DPI) + "".join(f"\nMissing: {_plain(line)}.\n" for line in missing) + shown


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>&#|!$~])", r"\\\1", visible(text))
