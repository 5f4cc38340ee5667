"""Which runs a table shows. Knows no torch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.catalog import known
from bench.errors import MissingError
from bench.record import RunRecord


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold the names of what is shown; all where empty. Runs are ranked among those that are shown."""

    datasets: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()

    def of(
        self, runs: Sequence[tuple[Path, RunRecord]], published: Collection[str] = ()
    ) -> list[tuple[Path, RunRecord]]:
        """Return those of some runs, each with its folder, that are shown.

        Args:
            runs: among which there must be one of each name.
            published: other datasets that may be named, of which there need be no run.

        Raises:
            UsageError: A name is none of theirs; the message holds the nearest.
            MissingError: No run has one of each, and no published dataset is named.
        """
        records = [record for _, record in runs]
        for name in self.datasets:
            known("dataset of these runs", name, {*(record.dataset for record in records), *published})
        for name in self.detectors:
            known("detector of these runs", name, {record.detector for record in records})
        for name in self.protocols:
            known("protocol of these runs", name, {record.protocol for record in records})
        kept = [(folder, record) for folder, record in runs if self._keeps(record)]
        if not kept and not {*self.datasets} & {*published}:
            raise MissingError(f"no run is of {self._words()} at once: leave one of them out")
        return kept

    def _keeps(self, record: RunRecord) -> bool:
        given = (
            (self.datasets, record.dataset),
            (self.detectors, record.detector),
            (self.protocols, record.protocol),
        )
        return all(not names or name in names for names, name in given)

    def _words(self) -> str:
        kinds = {"dataset": self.datasets, "detector": self.detectors, "protocol": self.protocols}
        return " and ".join(f"{kind} {' or '.join(names)}" for kind, names in kinds.items() if names)


EVERYTHING = Shown()
