"""What plots are drawn from: a board ranked by one metric, with the scores of single pictures behind its means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.board import LEVEL_WORDS, Board, Cell, Entry, RunKey, run_key
from bench.board_text import ORACLE
from bench.errors import MissingError
from bench.figures.names import DETECTOR
from bench.figures.style import Look, looks
from bench.observations import Observations, mean_over_seeds, read_observations
from bench.picture_set import find_pictures
from bench.ranking import LEVELS, rank_records
from bench.record import RunRecord
from bench.scoring.metrics import METRICS, Metric, find_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Run = tuple[Path, RunRecord]
DAGGER = "†"


@dataclass(frozen=True, slots=True)
class Plot:
    """Hold a plot with what a reader must be told of it.

    Attributes:
        kind: what it shows; the last parts of its file's name.
        methods: that are drawn.
        n: pictures or instances behind it, as text.
        caption: sentences ready for a paper.
    """

    figure: "Figure"
    kind: tuple[str, ...]
    dataset: str
    protocol: str
    level: str
    metric: str
    methods: int
    n: str
    caption: str


@dataclass(frozen=True, slots=True)
class Method:
    """Hold one line of a board.

    Attributes:
        label: the method, with its detector if it has one.
        runs: of it, one a seed, each with its folder.
        scores: of single pictures or instances, means over the seeds; None where they are not known.
    """

    label: str
    entry: Entry
    look: Look
    runs: tuple[Run, ...]
    scores: Observations | None

    def cell(self, metric: Metric) -> Cell:
        """Return its score."""
        return self.entry.scores.get(metric.id, Cell(None))

    @property
    def marked(self) -> str:
        """Return its label, with a dagger where a reader must know more; the caption says what."""
        return f"{self.label} {DAGGER}" if self.entry.notes else self.label


@dataclass(frozen=True, slots=True)
class Subject:
    """Hold the methods of a board, best first, which have the metric that ranks it.

    Attributes:
        board: that they are of.
        methods: what plots show.
        worse: those with errors made to their boxes on purpose; plots of box errors show them, and named pairs.
        pictures: folder of the grey and the true pictures that they were scored on; None where they were not kept.
    """

    board: Board
    methods: tuple[Method, ...]
    worse: tuple[Method, ...] = ()
    pictures: Path | None = None

    @property
    def metric(self) -> Metric:
        """Return the metric that ranks."""
        return METRICS[self.board.sort]

    @property
    def unit(self) -> str:
        """Return what is counted."""
        return "images" if self.board.level == "image" else "instances"

    @property
    def place(self) -> str:
        """Return metric, data and protocol as a caption begins with them."""
        words = LEVEL_WORDS[self.board.level]
        return f"{self.metric.title} of {words} on {self.board.dataset} ({self.board.protocol})"

    @property
    def n(self) -> str:
        """Return how many pictures or instances the means are over, as text."""
        return span(method.cell(self.metric).n for method in self.methods)

    @property
    def scored(self) -> list[Method]:
        """Return the methods whose single scores are known."""
        return [method for method in self.methods if method.scores]

    def plot(
        self, figure: "Figure", kind: tuple[str, ...], methods: int, caption: Sequence[str], *, means: bool = True
    ) -> Plot:
        """Return a plot of this subject; empty sentences of its caption are left out.

        Args:
            figure: what is drawn.
            kind: what it shows.
            methods: that are drawn.
            caption: its sentences.
            means: whether it draws means over seeds, where there are several.
        """
        board = self.board
        notes = (self._daggers, self._seeds if means else "", self._oracle, self._left_out)
        words = " ".join(filter(None, (f"{caption[0]} n = {self.n} {self.unit}.", *caption[1:], *notes)))
        return Plot(figure, kind, board.dataset, board.protocol, board.level, board.sort, methods, self.n, words)

    @property
    def _seeds(self) -> str:
        """Return over how many seeds the means are; empty where each is of one."""
        seeds = sorted({method.entry.seeds for method in self.methods})
        several = f"Means over {span(seeds)} seeds, the interval from their lowest to their highest end."
        return several if seeds[-1:] > [1] else ""

    @property
    def _oracle(self) -> str:
        names = sorted({method.entry.detector for method in self.methods if method.entry.detector_id == ORACLE})
        return f"Boxes of {' and '.join(names)} are the annotators' own: an oracle that no user has." if names else ""

    @property
    def _left_out(self) -> str:
        """Return how many lines of the board are not drawn."""
        if not self.worse:
            return ""
        lines = "1 line" if len(self.worse) == 1 else f"{len(self.worse)} lines"
        return f"Left out: {lines} of the leaderboard with errors made to the boxes on purpose."

    @property
    def _daggers(self) -> str:
        """Return what daggers mean, method by method where they don't mean the same."""
        meant: dict[str, list[str]] = {}
        for method in self.methods:
            if method.entry.notes:
                meant.setdefault(", ".join(method.entry.notes), []).append(method.label)
        told = [notes if len(meant) == 1 else f"{', '.join(names)} {notes}" for notes, names in meant.items()]
        return f"{DAGGER}: {'; '.join(told)}." if told else ""


def span(numbers: Iterable[int]) -> str:
    """Return the least and the greatest number, one of them where they are equal.

    >>> span([48, 46, 48]), span([5])
    ('46 to 48', '5')
    """
    found = sorted(set(numbers))
    return " to ".join(map(str, dict.fromkeys(found[:1] + found[-1:])))


def label_of(entry: Entry) -> str:
    """Return a method with its detector, if it has one."""
    return entry.method if entry.detector == "none" else f"{entry.method}{DETECTOR}{entry.detector}"


def read_subjects(runs: Sequence[Run], metrics: Sequence[str] = ()) -> list[Subject]:
    """Rank runs by each metric, board by board, and read the scores of single pictures.

    Args:
        runs: each with its folder.
        metrics: that are wanted; where there are none, all that rank a method.

    Raises:
        MissingError: None of the runs has a metric that is wanted.
    """
    records = [record for _, record in runs]
    boards = rank_records(records)
    chosen = _chosen(boards, metrics)
    entries = sorted((entry for board in boards for entry in board.entries), key=lambda entry: entry.errors is not None)
    look = looks(map(label_of, entries))
    ranked = [board for metric in chosen for board in rank_records(records, sort=metric)]
    ordered = sorted(ranked, key=lambda board: (board.dataset, board.protocol, LEVELS.index(board.level)))
    folders = {run_key(record): (folder, record) for folder, record in runs}
    found = [_subject(board, folders, look) for board in ordered]
    return [replace(subject, pictures=_find_pictures(subject, runs)) for subject in found if subject.methods]


def _find_pictures(subject: Subject, runs: Sequence[Run]) -> Path | None:
    folder, record = subject.methods[0].runs[0]
    out = folder.parents[2]
    return find_pictures(out, record, [other for place, other in runs if place.parents[2] == out])


def _chosen(boards: Sequence[Board], metrics: Sequence[str]) -> list[str]:
    cells = [(name, cell) for board in boards for entry in board.entries for name, cell in entry.scores.items()]
    measured = [name for name in METRICS if any(name == known and cell.mean is not None for known, cell in cells)]
    for name in metrics:
        if find_metric(name).id not in measured:
            raise MissingError(f"{name} was not measured in these runs; available: {', '.join(measured)}")
    if metrics:
        return list(dict.fromkeys(metrics))
    ranking = {name for name, cell in cells if cell.rank is not None}
    return [name for name in measured if name in ranking] or measured


def _subject(board: Board, folders: Mapping[RunKey, Run], look: Mapping[str, Look]) -> Subject:
    measured = [entry for entry in board.entries if entry.scores.get(board.sort, Cell(None)).mean is not None]
    board = replace(board, entries=tuple(entry for entry in measured if not entry.errors))
    methods, worse = (
        tuple(_method(entry, board, folders, look) for entry in entries)
        for entries in (board.entries, [entry for entry in measured if entry.errors])
    )
    return Subject(board, methods, worse)


def _method(entry: Entry, board: Board, folders: Mapping[RunKey, Run], look: Mapping[str, Look]) -> Method:
    label = label_of(entry)
    runs = tuple(folders[run] for run in entry.runs)
    found = [read_observations(folder, record, board.level, board.sort) for folder, record in runs]
    known = [scores for scores in found if scores is not None]
    scores = mean_over_seeds(known) if len(known) == len(runs) else None
    return Method(label, entry, look[label], runs, scores)
