"""Runs with perturbed boxes beside those of their method whose boxes nobody perturbed, and how far they lie apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.board import Board, Entry, RunKey
from bench.box_errors import DetectorError, ErrorKind
from bench.breakdown import Mean, column_means
from bench.observations import Observations, mean_over_seeds, pair, read_observations
from bench.record import RunRecord
from bench.scoring.metrics import Level
from bench.tracks import AUTOMATIC

Run = tuple[Path, RunRecord]


@dataclass(frozen=True, slots=True)
class BoxRuns:
    """Hold one entry of a board with the runs that it is the mean of, one a seed, each with its folder."""

    entry: Entry
    runs: tuple[Run, ...]

    @property
    def label(self) -> str:
        """Return method and detector."""
        return self.entry.method if self.entry.detector == "none" else f"{self.entry.method} · {self.entry.detector}"

    @property
    def first(self) -> RunRecord:
        """Return the record of its lowest seed."""
        return self.runs[0][1]

    @property
    def boxes(self) -> str | None:
        """Return the digest of the boxes; before they were perturbed, if they were."""
        return self.first.perturbation.boxes if self.first.perturbation else self.first.digests.boxes

    @property
    def kinds(self) -> tuple[ErrorKind, ...]:
        """Return which errors the boxes were given."""
        return self.first.perturbation.kinds if self.first.perturbation else ()

    @property
    def missed(self) -> float | None:
        """Return the measured share of objects without a box, mean over seeds."""
        shares = [error.missed for error in self._errors if error.missed is not None]
        return math.fsum(shares) / len(shares) if len(shares) == len(self.runs) else None

    @property
    def given(self) -> float | None:
        """Return how many boxes a picture has, mean over seeds."""
        found = [error.boxes for error in self._errors]
        return math.fsum(found) / len(found) if len(found) == len(self.runs) else None

    @property
    def _errors(self) -> list[DetectorError]:
        errors = [record.detector_error for _, record in self.runs]
        return [error for error in errors if error is not None]

    def declared(self, kind: ErrorKind) -> float:
        """Return the size of the error that the suite gives; 0 for boxes as they are."""
        return self.first.perturbation.size(kind) if self.first.perturbation else 0.0

    def observations(self, level: Level, metric: str) -> Observations:
        """Return the score of each picture or instance, mean over seeds; nothing where a run has none to believe."""
        found = [read_observations(folder, record, level, metric) for folder, record in self.runs]
        known = [scores for scores in found if scores is not None]
        return mean_over_seeds(known) if len(known) == len(found) else {}


def box_runs(board: Board, runs: Mapping[RunKey, Run]) -> list[BoxRuns]:
    """Return the whole, trained entries of a board that saw light and boxes alone, also perturbed ones."""
    measured = [
        entry
        for entry in board.entries
        if entry.reported is None and not entry.partial and not entry.untrained and entry.track == AUTOMATIC
    ]
    return [BoxRuns(entry, tuple(runs[key] for key in entry.runs)) for entry in measured]


@dataclass(frozen=True, slots=True)
class Changes:
    """Hold how far runs lie from those of the same method whose boxes nobody perturbed, by one metric."""

    found: Mapping[tuple[tuple[RunKey, ...], tuple[RunKey, ...]], Mean]

    def of(self, runs: BoxRuns, zero: BoxRuns | None) -> Mean | None:
        """Return the change of runs to those without an error, if it is known."""
        return None if zero is None else self.found.get((runs.entry.runs, zero.entry.runs))


def pairs_with_zero(entries: Sequence[BoxRuns]) -> list[tuple[BoxRuns, BoxRuns]]:
    """Return all runs that can be held against unperturbed ones of their method, each with these.

    Perturbed boxes are held against those that they were made from; boxes of real detectors, and the unperturbed ones
    themselves, against each unperturbed run of the method that has perturbed ones beside it.
    """
    made_from = {(runs.entry.method, runs.boxes) for runs in entries if runs.kinds}
    zeros = [runs for runs in entries if not runs.kinds and (runs.entry.method, runs.boxes) in made_from]
    return [
        (runs, zero)
        for zero in zeros
        for runs in entries
        if runs.entry.method == zero.entry.method
        and runs.entry.detector != "none"
        and (not runs.kinds or runs.boxes == zero.boxes)
    ]


def measure_changes(pairs: Sequence[tuple[BoxRuns, BoxRuns]], level: Level, metric: str) -> Changes:
    """Return how far the first of each pair lies above the second, as `colorbench compare` does.

    Scores of one set of pictures share the draws of the bootstrap; pairs that share no picture are left out.
    """
    runs = {each.entry.runs: each for both in pairs for each in both}
    scores = {key: each.observations(level, metric) for key, each in runs.items()}
    keys = [(one.entry.runs, zero.entry.runs) for one, zero in pairs]
    differences = [_differences(scores[one], scores[zero]) for one, zero in keys]
    paired = pair(differences)
    means = column_means(paired.scores, paired.pictures)
    return Changes({key: mean for key, mean in zip(keys, means, strict=True) if mean.mean is not None})


def _differences(one: Observations, other: Observations) -> Observations:
    return {unit: score - other[unit] for unit, score in one.items() if unit in other}
