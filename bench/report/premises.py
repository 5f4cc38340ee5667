"""What a reader must know of the pictures of a gallery: what the methods saw, and which of several seeds is shown.

Knows no torch.
"""

from collections.abc import Iterator, Sequence

from bench.record import RunRecord
from bench.report.choice import Version
from bench.terminal import visible
from bench.tracks import kind_of


def premises(versions: Sequence[Version]) -> list[str]:
    """Return what holds for the methods of a gallery, in sentences."""
    methods = [(visible(version.label), version, version.record) for version in versions if version.record is not None]
    return [*_seen(methods), *_seeds(methods)]


def _seen(methods: Sequence[tuple[str, Version, RunRecord]]) -> Iterator[str]:
    """Say what methods got to see; nothing is known of pictures that were only scored here."""
    submitted = [label for label, _, record in methods if record.digests.predictions is not None]
    hints = [f"{label} the true colour of {_squares(version.hints)}" for label, version, _ in methods if version.hints]
    if len(submitted) < len(methods):
        which = "Each method that ran here" if submitted else "Each method"
        given = f", but for hints, which gave {', '.join(hints)}" if hints else ""
        yield f"{which} saw the light of the picture, and boxes if it has a detector, but never its colours{given}."
    shown = [label for label, _, record in methods if kind_of(record.ranked_in) == "reference"]
    if shown:
        yield f"{', '.join(shown)} saw another photo in colour beside it."
    if submitted:
        yield f"What {', '.join(submitted)} saw is not known: these pictures were made elsewhere and only scored here."


def _squares(hints: int) -> str:
    return "one square" if hints == 1 else f"{hints} squares"


def _seeds(methods: Sequence[tuple[str, Version, RunRecord]]) -> Iterator[str]:
    """Say which seed is shown of those methods that ran with several."""
    several = [(record.seed, label) for label, version, record in methods if version.seeds > 1]
    shown = [
        f"seed {seed} of {', '.join(label for each, label in several if each == seed)}"
        for seed in sorted({seed for seed, _ in several})
    ]
    if shown:
        yield f"Of several seeds one is shown, with its own scores and not their mean: {'; '.join(shown)}."
