"""What a leaderboard is made of: boards of entries of cells. Plain values, without torch or files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.box_errors import BoxErrors
from bench.record import RunRecord
from bench.reported import Reported
from bench.scoring.metrics import Level, Metric
from bench.tracks import AUTOMATIC, KINDS, TITLES, TrackKind, kind_of

LEVEL_WORDS: Mapping[Level, str] = {"image": "whole images", "instance": "instances"}


class RunKey(NamedTuple):
    """Tell runs apart: a run id holds no name, so that two names of one thing share it."""

    dataset: str
    protocol: str
    method: str
    detector: str
    seed: int
    run_id: str


def run_key(record: RunRecord) -> RunKey:
    """Return what tells a run from all others."""
    return RunKey(record.dataset, record.protocol, record.method, record.detector, record.seed, record.run_id)


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold one score of one method.

    Attributes:
        mean: over pictures or instances, and over seeds; None where the method has no such score.
        low: lower end of the 95 % interval, `high` the upper; of several seeds the outermost ends.
        rank: by this metric among the entries of its track that compete, with the most pictures or instances in the
            mean, equal means share one; None for the others.
        difference: of the mean to the truth's, signed, for a metric that has a companion.
        n: pictures or instances in the mean; of several seeds the fewest.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    difference: float | None = None
    n: int = 0

    def demerit(self, metric: Metric) -> float | None:
        """Return what ranks by a metric: the lower, the better; None without a score."""
        if self.mean is None:
            return None
        if metric.direction == "truth":
            return None if self.difference is None else abs(self.difference)
        return -self.mean if metric.direction == "higher" else self.mean


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what the answers of a method cost; None for what is not known.

    Attributes:
        images_per_second: coloured and scored; of several seeds the mean.
        parameters: of all its networks together.
        gmacs: 10^9 multiply-adds of its networks for one picture.
        machines: where the images per second were measured, in words.
    """

    images_per_second: float | None = None
    parameters: int | None = None
    gmacs: float | None = None
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one line of a board: a method with a detector, over its seeds.

    Attributes:
        n: pictures or instances that entered the mean; of several seeds the fewest.
        failed: pictures without scores because of an error, over all seeds.
        runs: what it is made of, one a seed.
        cost: what its answers cost.
        reported: the published figures that it shows; None for what was measured.
        hints: squares of each picture whose true colour the method was given.
        errors: made to its boxes on purpose; None without.
        detector_id: the detector, whatever its name; the name where a record does not say.
        track: among whose entries it is ranked: `automatic`, `hints-<N>` or `reference`.
        rank: by the board's sorting metric, that of its cell.
        tie_group: entries of one number cannot be told apart from the best of them by the sorting metric; None without
            rank, where the scores of single pictures are not known, and by a metric that is best where the truth is,
            because it is the set's mean that is near the truth's, not a picture that beats another.
    """

    method: str
    detector: str
    seeds: int
    n: int
    failed: int
    partial: bool
    untrained: bool
    scores: Mapping[str, Cell]
    runs: tuple[RunKey, ...]
    cost: Cost = Cost()
    reported: Reported | None = None
    hints: int = 0
    errors: BoxErrors | None = None
    detector_id: str = "none"
    track: str = AUTOMATIC
    rank: int | None = None
    tie_group: int | None = None

    @property
    def competes(self) -> bool:
        """Whether it may have a rank in its track: measured, neither partial nor untrained, with boxes as they are."""
        return self.reported is None and not self.partial and not self.untrained and not self.errors

    @property
    def unaided_rank(self) -> int | None:
        """Return its rank among methods that see nothing but light and boxes; None for those that see more."""
        return self.rank if self.track == AUTOMATIC else None

    @property
    def conditions(self) -> list[str]:
        """Return under which conditions of its own it was run: with colours given away, or with boxes made worse."""
        hints = [f"{self.hints} hint{'s' if self.hints > 1 else ''}"] if self.hints else []
        reference = ["reference"] if kind_of(self.track) == "reference" else []
        errors = [f"boxes: {self.errors.words}"] if self.errors else []
        return [*hints, *reference, *errors]

    @property
    def source(self) -> str:
        """Return where published figures come from, how they were made and what confirms them; empty for others."""
        if self.reported is None:
            return ""
        return f"{self.reported.source} ({self.reported.protocol}; {self.reported.doubt})"

    @property
    def notes(self) -> list[str]:
        """Return what a reader must know beside the numbers."""
        if self.reported is not None:
            return ["published", self.reported.verification]
        marks = {"partial": self.partial, "untrained": self.untrained, f"{self.failed} failed": self.failed > 0}
        return [*self.conditions, *(text for text, holds in marks.items() if holds)]


def full_count(entries: Sequence[Entry], metric: Metric) -> int:
    """Return how many pictures or instances are in the mean of competing entries of a track that lack none."""
    return max(
        (entry.scores[metric.id].n for entry in entries if entry.competes and metric.id in entry.scores), default=0
    )


@dataclass(frozen=True, slots=True)
class Board:
    """Hold all methods that may be compared with each other, track after track, best first.

    Attributes:
        metrics: those that any of its entries has, in the order of the table of metrics.
        detectors: those that are shown, where others were left out.
        published: whether published figures were asked for; they stand last.
        track: the kind of track that it is a part for, see `parts`.
    """

    dataset: str
    protocol: str
    level: Level
    sort: str
    metrics: tuple[Metric, ...]
    entries: tuple[Entry, ...]
    detectors: tuple[str, ...] = ()
    published: bool = False
    track: TrackKind = AUTOMATIC

    @property
    def title(self) -> str:
        """Return dataset, protocol and level in words, with what guided methods are guided by."""
        name = f"{self.dataset}, {self.protocol}, {LEVEL_WORDS[self.level]}"
        return name if self.track == AUTOMATIC else f"{name}, {TITLES[self.track]}"

    @property
    def parts(self) -> "list[Board]":
        """Return what is shown as one table each: the automatic methods, and below them those of each guided track."""
        kinds = [kind for kind in KINDS if any(kind_of(entry.track) == kind for entry in self.entries)]
        return [self] if kinds in ([], [AUTOMATIC]) else [self._part(kind) for kind in kinds]

    def _part(self, kind: TrackKind) -> "Board":
        entries = tuple(entry for entry in self.entries if kind_of(entry.track) == kind)
        present = {name for entry in entries for name, cell in entry.scores.items() if cell.mean is not None}
        metrics = tuple(metric for metric in self.metrics if metric.id in present)
        return replace(self, entries=entries, metrics=metrics, track=kind)

    @property
    def grouped(self) -> bool:
        """Whether there are tie groups to speak of: several entries of one track that have one."""
        known = [entry.track for entry in self.entries if entry.tie_group is not None]
        return len(known) > len(set(known))

    @property
    def sources(self) -> list[str]:
        """Return the sources of its published figures, in the order in which they are numbered from 1."""
        return list(dict.fromkeys(entry.source for entry in self.entries if entry.source))
