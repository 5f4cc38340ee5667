"""What papers say of methods, as lines below those that were measured: never ranked, never marked as best.

A figure that a paper computes otherwise than we do, or does not say how, stands in a column of its own, not in ours.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from bench.board import Board, Cell, Entry
from bench.board_text import MISSING
from bench.catalog import HERE, MethodCard, read_yaml, shipped_methods
from bench.reported import OutsideCard, Reported
from bench.scoring.metrics import METRICS, Level, Metric
from bench.tracks import AUTOMATIC, track_of

PROTOCOL = "as published"
"""Stands for the protocol of a board without a run."""


def _metric(id: str, name: str, definition: str, **fields: object) -> Metric:
    given = {"direction": "higher", "decimals": 2, "source": "see the line's own source"}
    return Metric.model_validate({"id": id, "name": name, "definition": definition, **given, **fields})


AS_PUBLISHED: Mapping[str, Metric] = MappingProxyType(
    {
        metric.id: metric
        for metric in (
            _metric(
                "lpips_published",
                "LPIPS†",
                "LPIPS of a backbone or version that is not known to be one of ours",
                direction="lower",
                decimals=4,
            ),
            _metric(
                "fid_published",
                "FID†",
                "FID of an implementation that is not known to be ours",
                direction="lower",
            ),
            _metric(
                "colorfulness_published",
                "CF†",
                "colourfulness of an implementation that is not known to be ours, most of |rg| and |yb|",
                direction="truth",
            ),
            _metric(
                "colorfulness_difference_published",
                "ΔCF†",
                "distance of colourfulness to the truth's, of means or the mean of distances",
                direction="lower",
            ),
            _metric("fooled_published", "fooled†", "answers that took a coloured picture for the true one", unit="%"),
            _metric("natural_published", "natural†", "coloured pictures that users call natural", unit="%"),
        )
    }
)
"""Scores that only papers give, in the order of tables."""


@cache
def outside() -> Mapping[str, OutsideCard]:
    """Return the cards of methods that are known by their figures alone, by id."""
    paths = sorted((HERE / "cards" / "outside").glob("*.yaml"))
    cards = (OutsideCard.model_validate(read_yaml(path)) for path in paths)
    return MappingProxyType({card.id: card for card in cards})


def figures() -> Iterator[tuple[str, Reported]]:
    """Name all published figures, each with the id of its method."""
    cards: tuple[MethodCard | OutsideCard, ...] = (*shipped_methods().values(), *outside().values())
    for card in cards:
        for reported in card.reported:
            yield card.id, reported


def published_datasets() -> set[str]:
    """Return the ids of all datasets that there are published figures of."""
    return {reported.dataset for _, reported in figures()}


def with_published(
    boards: Sequence[Board], levels: Collection[Level], sort: str, datasets: Collection[str] = ()
) -> list[Board]:
    """Return boards with published figures below their entries.

    Where papers say nothing of any dataset that was measured, boards of those follow that they do speak of.

    Args:
        boards: of what was measured.
        levels: that are shown.
        sort: the metric that ranks.
        datasets: that are shown, with or without a run; those with one where empty.
    """
    there = published_datasets()
    wanted = {*datasets} or {board.dataset for board in boards} & there or there
    found: dict[tuple[str, Level], list[Entry]] = {}
    for method, reported in figures():
        if reported.level in levels and reported.dataset in wanted:
            found.setdefault((reported.dataset, reported.level), []).append(_entry(method, reported))
    measured = {(board.dataset, board.level) for board in boards}
    alone = [Board(*key[:1], PROTOCOL, key[1], sort, (), ()) for key in sorted(found.keys() - measured)]
    return [_joined(board, found.get((board.dataset, board.level), [])) for board in (*boards, *alone)]


def _entry(method: str, reported: Reported) -> Entry:
    return Entry(
        method=f"{method}, {reported.variant}" if reported.variant else method,
        detector=MISSING,
        seeds=0,
        n=0,
        failed=0,
        partial=False,
        untrained=False,
        scores={name: Cell(mean) for name, mean in reported.scores.items()},
        runs=(),
        reported=reported,
        track=track_of(AUTOMATIC, reported.hints),
    )


def _natural(text: str) -> list[str | int]:
    """Return what sorts names as people count: `2 hints` before `10 hints`."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", text))]


def _joined(board: Board, published: Sequence[Entry]) -> Board:
    """Return a board with published entries below its own, those of one source together."""
    ordered = sorted(published, key=lambda entry: (entry.source, _natural(entry.method)))
    present = {metric.id for metric in board.metrics} | {name for entry in published for name in entry.scores}
    metrics = tuple(metric for name, metric in (*METRICS.items(), *AS_PUBLISHED.items()) if name in present)
    return replace(board, metrics=metrics, entries=(*board.entries, *ordered), published=True)
