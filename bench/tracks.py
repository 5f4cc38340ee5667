"""Tracks: what methods see besides light and boxes. Only runs of one track are ranked among each other."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

TrackKind = Literal["automatic", "hints", "reference"]
KINDS: tuple[TrackKind, ...] = get_args(TrackKind)
AUTOMATIC: TrackKind = "automatic"

TITLES: Mapping[TrackKind, str] = MappingProxyType(
    {
        "hints": "guided by hints: these methods see more",
        "reference": "guided by a reference picture: these methods see more",
    }
)
"""What follows the title of a table of guided runs."""

SEEN: Mapping[TrackKind, str] = MappingProxyType(
    {
        "hints": "Each method saw the true colour of as many squares of each picture as its note says; it is ranked "
        "among those that saw as many.",
        "reference": "Each method saw another photo in colour, chosen by a rule that it states.",
    }
)


def track_of(kind: TrackKind, hints: int) -> str:
    """Return the track of a run: that of its method, unless it was given hints, whose number is part of the track.

    >>> track_of("automatic", 0), track_of("automatic", 10)
    ('automatic', 'hints-10')
    """
    return f"hints-{hints}" if hints else kind


def kind_of(track: str) -> TrackKind:
    """Return the kind of a track.

    >>> kind_of("hints-10")
    'hints'
    """
    return next((kind for kind in KINDS if track.partition("-")[0] == kind), AUTOMATIC)


def track_order(track: str) -> tuple[int, int]:
    """Return what sorts tracks: automatic first, then hints by their number.

    >>> sorted(["reference", "hints-10", "hints-2", "automatic"], key=track_order)
    ['automatic', 'hints-2', 'hints-10', 'reference']
    """
    number = track.partition("-")[2]
    return KINDS.index(kind_of(track)), int(number) if number.isdecimal() else 0
