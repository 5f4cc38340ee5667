"""What a report shows of a dataset, settled before any picture is read: columns, pictures, metrics. Knows no torch."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.board import Board, Entry, RunKey, run_key
from bench.picture_set import find_pictures
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.report.selection import Order, choose, goodness, orders
from bench.report.thumbnails import Place
from bench.rows import Row, read_rows
from bench.scoring.metrics import METRICS, Metric, row_columns
from bench.tracks import AUTOMATIC

Runs = Mapping[RunKey, tuple[Path, RunRecord]]

GRAY_SUFFIX, TRUTH_SUFFIX = ".gray.png", ".truth.png"
TRUTH_COLOR = "colorfulness_truth"


@dataclass(frozen=True, slots=True)
class Version:
    """Name a column of a gallery: the grey input, a method with its detector, or the truth.

    Attributes:
        label: what it is called.
        folder: where its pictures lie; `suffix` follows their key.
        rows: of the method, by picture; None for input and truth.
        record: of the run that is shown; None for input and truth.
        seeds: how many the method ran with.
    """

    label: str
    folder: Path
    suffix: str
    rows: Mapping[str, Row] | None = None
    record: RunRecord | None = None
    seeds: int = 1

    @property
    def hints(self) -> int:
        """Return how many squares of true colour the method was given."""
        return (self.record.hints or 0) if self.record is not None else 0

    @property
    def guided(self) -> bool:
        """Whether the method saw more than light and boxes."""
        return self.record is not None and self.record.ranked_in != AUTOMATIC

    @property
    def is_truth(self) -> bool:
        """Whether it is the truth, whatever a method may be called."""
        return self.rows is None and self.suffix == TRUTH_SUFFIX

    def place(self, key: str) -> Place:
        """Return the file of a picture."""
        return Place(self.folder, key, self.suffix)

    def row(self, key: str) -> Row | None:
        """Return the method's row of a picture; None where there is none."""
        return None if self.rows is None else self.rows.get(key)


@dataclass(frozen=True, slots=True)
class Subject:
    """Name pictures under one protocol, which share a leaderboard and therefore a gallery.

    Attributes:
        dataset: as the leaderboard calls it, which tells sets of one name apart; so it does with `protocol`.
        versions: the columns.
        pictures: folder of the grey and the true ones; None where they were not kept.
    """

    dataset: str
    protocol: str
    versions: tuple[Version, ...]
    pictures: Path | None

    @property
    def title(self) -> str:
        """Return what no other gallery of a page is called."""
        return f"{self.dataset}, {self.protocol}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold what is shown of a dataset.

    Attributes:
        keys: of the pictures, sorted.
        total: pictures that there were to choose from.
        metrics: columns of scores that the rows have, in the order of tables.
        metric: by which pictures were chosen, and whose scores stand below them at first.
    """

    subject: Subject
    keys: tuple[str, ...]
    total: int
    metrics: tuple[str, ...]
    metric: Metric

    @property
    def versions(self) -> tuple[Version, ...]:
        """Return the columns."""
        return self.subject.versions

    @property
    def places(self) -> list[Place]:
        """Return the files of all its pictures."""
        return [version.place(key) for key in self.keys for version in self.versions]

    @property
    def measured(self) -> bool:
        """Whether rows have the truth's colorfulness, so that it is known of all pictures."""
        return TRUTH_COLOR in self.metrics


def find_subjects(out: Path, runs: Sequence[tuple[Path, RunRecord]]) -> list[Subject]:
    """Return what galleries there are, one a leaderboard of whole images; none where no predictions were kept.

    Methods stand in the order of the leaderboard, of several seeds the lowest whose pictures are there.
    """
    known = {run_key(record): (folder, record) for folder, record in runs}
    boards = rank_records([record for _, record in runs], levels=["image"])
    return [subject for board in boards if (subject := _subject(out, board, known)).versions]


def _subject(out: Path, board: Board, runs: Runs) -> Subject:
    methods = tuple(_methods(board, runs))
    _, record = runs[board.entries[0].runs[0]]
    pictures = find_pictures(out, record, [record for _, record in runs.values()])
    if methods and pictures is not None:
        ends = Version("gray input", pictures, GRAY_SUFFIX), Version("truth", pictures, TRUTH_SUFFIX)
        methods = (ends[0], *methods, ends[1])
    return Subject(board.dataset, board.protocol, methods, pictures)


def _methods(board: Board, runs: Runs) -> Iterator[Version]:
    """Return the columns of the methods; two that would be called the same have their seed with them."""
    kept = [(entry, run) for entry in board.entries if (run := _lowest(entry, runs)) is not None]
    known = Counter(label(record) for _, (_, record) in kept)
    for entry, (folder, record) in kept:
        name = label(record) if known[label(record)] == 1 else f"{label(record)} (seed {record.seed})"
        yield Version(name, folder / "images", ".png", read_rows(folder, record.run_id), record, entry.seeds)


def _lowest(entry: Entry, runs: Runs) -> tuple[Path, RunRecord] | None:
    """Return the run of the lowest seed whose pictures were kept."""
    kept = (runs[key] for key in sorted(entry.runs, key=lambda key: key.seed))
    return next((run for run in kept if (run[0] / "images").is_dir()), None)


def label(record: RunRecord) -> str:
    """Return the method of a run, with its detector if it has one."""
    return record.method if record.detector == "none" else f"{record.method} · {record.detector}"


def choose_pictures(subject: Subject, most: int) -> Choice:
    """Choose at most `most` of the pictures that any method could colour."""
    methods = [version.rows for version in subject.versions if version.rows is not None]
    keys = sorted({key for rows in methods for key, row in rows.items() if not row.failed})
    found = {name for row in chain.from_iterable(rows.values() for rows in methods) for name in row.scores}
    metrics = tuple(name for name in row_columns("image", METRICS) if name in found)
    metric = METRICS[next((name for name in metrics if name in METRICS), "psnr")]
    chosen = choose(keys, _orders(keys, methods, metric), most)
    return Choice(subject, tuple(chosen), len(keys), metrics, metric)


def _orders(keys: Sequence[str], methods: Sequence[Mapping[str, Row]], metric: Metric) -> list[Order]:
    """Return the orders whose first pictures are shown: worst, best, most disagreeing, and most colourful if measured.

    Pictures with grey truth, which are in no mean, are in no order.
    """
    ranked = {key: [rows[key] for rows in methods if key in rows and rows[key].status == "ok"] for key in keys}
    goods = {key: [goodness(metric, row.scores) for row in rows] for key, rows in ranked.items()}
    colors = {key: rows[0].scores.get(TRUTH_COLOR) for key, rows in ranked.items() if rows}
    colorful = {key: value for key, value in colors.items() if value is not None}
    known = orders({key: [good for good in each if good is not None] for key, each in goods.items()})
    return [order for order in (*known, colorful) if order]
