"""What `verify` has found: one thing that stands in a file and does not follow from the others."""

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "nothing"
LONGEST_VALUE = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that does not hold.

    Attributes:
        run: folder of the run below the output folder; empty for a file of all runs.
        file: name of the file.
        what: that is wrong in it, such as a column and a picture.
        stands: what is there, as a noun, so that "found", it, "expected" and `should` make a sentence.
        should: what should be there, as a noun.
    """

    run: str
    file: str
    what: str
    stands: str
    should: str

    def __str__(self) -> str:
        place = f"{self.run}/{self.file}" if self.run else self.file
        return f"{place}: {self.what}: found {self.stands}; expected {self.should}"


@dataclass(frozen=True, slots=True)
class File:
    """Name a file of a run, and make findings about it."""

    run: str
    name: str

    def finding(self, what: str, stands: str, should: str) -> Finding:
        """Return a finding; values are given as `shown` names them."""
        return Finding(self.run, self.name, what, stands, should)

    def compare(self, what: str, stands: object, should: object) -> Iterator[Finding]:
        """Find whether a value is another than it should be."""
        if stands != should:
            yield self.finding(what, shown(stands), shown(should))

    def compare_values(
        self, what: str, stands: Mapping[str, Any], should: Mapping[str, Any], tolerance: float = 0.0
    ) -> Iterator[Finding]:
        """Find which values of two mappings differ, numbers by more than a relative tolerance."""
        for key in dict.fromkeys([*stands, *should]):
            one, other = stands.get(key), should.get(key)
            if not _alike(one, other, tolerance):
                yield self.finding(f"{what} {key}", shown(one), shown(other))

    def compare_tables(
        self, stands: str, should: str, keys: Sequence[str], without: Collection[str] = ()
    ) -> Iterator[Finding]:
        """Find which cells of two CSV texts differ; lines are known by the columns `keys`.

        Lines whose first key is one of `without` are left out.
        """
        if stands == should:
            return
        given, wanted = _table(stands, keys), _table(should, keys)
        if given == wanted:
            yield self.finding("bytes", "the same cells, in other bytes", "what `colorbench run` writes")
        for key in dict.fromkeys([*given, *wanted]):
            if key[0] in without:
                continue
            ours, theirs = given.get(key, []), wanted.get(key, [])
            if len(ours) != len(theirs):
                yield self.finding(_named(keys, key), _lines(len(ours)), _lines(len(theirs)))
            for one, other in zip(ours, theirs, strict=False):
                yield from self.compare_values(f"{_named(keys, key)}, column", one, other)


def shown(value: object) -> str:
    """Return a value as a finding names it.

    >>> shown(None), shown("a b"), shown(0.5)
    ('nothing', "'a b'", '0.5')
    """
    text = NOTHING if value is None else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _alike(one: object, other: object, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return one == other


def column_of(text: str, name: str) -> set[str]:
    """Return what stands in one column of a CSV text, nothing where it has no such column."""
    return {line[name] for line in csv.DictReader(io.StringIO(text, newline="")) if line.get(name)}


def _table(text: str, keys: Sequence[str]) -> dict[tuple[str, ...], list[dict[str, str]]]:
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for number, line in enumerate(csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")):
        cells = {str(name): str(cell) for name, cell in line.items()}
        key = tuple(cells.get(name, f"line {number + 2}") for name in keys)
        lines.setdefault(key, []).append(cells)
    return lines


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}" if count else NOTHING


def _named(keys: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{key} {value!r}" for key, value in zip(keys, values, strict=True))
