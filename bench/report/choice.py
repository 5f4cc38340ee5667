"""What a report shows of a dataset, settled before any picture is read: columns, pictures, metrics. Knows no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.board import RunKey, run_key
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.report.selection import Order, choose, goodness, orders
from bench.report.thumbnails import Place
from bench.rows import Row, read_rows
from bench.scoring.metrics import METRICS, Metric, row_columns

GRAY_SUFFIX, TRUTH_SUFFIX = ".gray.png", ".truth.png"
TRUTH_COLOR = "colorfulness_truth"


@dataclass(frozen=True, slots=True)
class Version:
    """Name a column of a gallery: the grey input, a method with its detector, or the truth.

    Attributes:
        label: what it is called.
        folder: where its pictures lie; `suffix` follows their key.
        rows: of the method, by picture; None for input and truth.
    """

    label: str
    folder: Path
    suffix: str
    rows: Mapping[str, Row] | None = None

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
class Choice:
    """Hold what is shown of a dataset.

    Attributes:
        versions: the columns.
        keys: of the pictures, sorted.
        total: pictures that there were to choose from.
        metrics: columns of scores that the rows have, in the order of tables.
        metric: by which pictures were chosen, and whose scores stand below them at first.
    """

    dataset: str
    versions: tuple[Version, ...]
    keys: tuple[str, ...]
    total: int
    metrics: tuple[str, ...]
    metric: Metric

    @property
    def places(self) -> list[Place]:
        """Return the files of all its pictures."""
        return [version.place(key) for key in self.keys for version in self.versions]

    @property
    def measured(self) -> bool:
        """Whether rows have the truth's colorfulness, so that it is known of all pictures."""
        return TRUTH_COLOR in self.metrics


def find_versions(out: Path, dataset: str, runs: Sequence[tuple[Path, RunRecord]]) -> tuple[Version, ...]:
    """Return the columns of a dataset, methods in the order of the leaderboard; none where no pictures were kept.

    Of several seeds the lowest is shown.
    """
    lowest: dict[tuple[str, str], tuple[Path, RunRecord]] = {}
    for folder, record in sorted(runs, key=lambda run: run[1].seed):
        if record.dataset == dataset and (folder / "images").is_dir():
            lowest.setdefault((record.method, record.detector), (folder, record))
    places = table_places([record for _, record in runs if record.dataset == dataset])
    methods = [
        Version(label(record), folder / "images", ".png", read_rows(folder, record.run_id))
        for folder, record in sorted(lowest.values(), key=lambda run: places[run_key(run[1])])
    ]
    pictures = out / "pictures" / dataset
    if not methods or not pictures.is_dir():
        return tuple(methods)
    return Version("gray input", pictures, GRAY_SUFFIX), *methods, Version("truth", pictures, TRUTH_SUFFIX)


def label(record: RunRecord) -> str:
    """Return the method of a run, with its detector if it has one."""
    return record.method if record.detector == "none" else f"{record.method} · {record.detector}"


def table_places(records: Sequence[RunRecord]) -> dict[RunKey, int]:
    """Return the place of each run in the leaderboard, the best first."""
    entries = [entry for board in rank_records(records, levels=["image"]) for entry in board.entries]
    return {run: place for place, entry in enumerate(entries) for run in entry.runs}


def choose_pictures(dataset: str, versions: tuple[Version, ...], most: int) -> Choice:
    """Choose at most `most` of the pictures that any method could colour."""
    methods = [version.rows for version in versions if version.rows is not None]
    keys = sorted({key for rows in methods for key, row in rows.items() if not row.failed})
    found = {name for row in chain.from_iterable(rows.values() for rows in methods) for name in row.scores}
    metrics = tuple(name for name in row_columns("image", METRICS) if name in found)
    metric = METRICS[next((name for name in metrics if name in METRICS), "psnr")]
    chosen = choose(keys, _orders(keys, methods, metric), most)
    return Choice(dataset, versions, tuple(chosen), len(keys), metrics, metric)


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
