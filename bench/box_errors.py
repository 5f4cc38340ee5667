"""Errors of detectors: those that a suite makes on purpose, and what is measured of any. Plain values without torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat

ErrorKind = Literal["drop", "jitter", "duplicate", "add"]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

ERROR_WORDS: Mapping[ErrorKind, str] = MappingProxyType(
    {
        "drop": "share of objects without a box",
        "jitter": "shift of edges, share of the side",
        "duplicate": "further boxes for each box",
        "add": "boxes added to each picture",
    }
)
"""What stands on the axis of a curve over an error of that kind."""

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Number = Annotated[int, Field(ge=0, strict=True)]


class BoxErrors(BaseModel):
    """Say what is done to the boxes that a detector gives, in this order.

    Attributes:
        drop: share of the boxes of each picture that is left out.
        jitter: each edge is moved by up to this share of its box's side.
        duplicate: how many further boxes each box gets, slightly moved.
        add: how many boxes of random place and size each picture gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: Share = 0.0
    jitter: Share = 0.0
    duplicate: Number = 0
    add: Number = 0

    @property
    def kinds(self) -> tuple[ErrorKind, ...]:
        """Return the kinds of error that are made; none where boxes stay as they are."""
        return tuple(kind for kind in ERROR_KINDS if self.size(kind) > 0)

    @property
    def label(self) -> str:
        """Return what follows a detector's name.

        >>> BoxErrors(drop=0.5, add=4).label
        '-drop0.5-add4'
        """
        return error_label(self.model_dump())

    @property
    def words(self) -> str:
        """Return what is done, in words.

        >>> BoxErrors(drop=0.5, add=4).words
        'drop 0.5 + add 4'
        """
        return " + ".join(f"{kind} {self.size(kind):g}" for kind in self.kinds)

    def size(self, kind: ErrorKind) -> float:
        """Return how large the error of one kind is."""
        size: float = getattr(self, kind)
        return size


def error_label(sizes: Mapping[str, object]) -> str:
    """Return what follows a detector's name, from sizes by kind of error that need not be valid yet."""
    given = [(kind, size) for kind in ERROR_KINDS if isinstance(size := sizes.get(kind), int | float) and size]
    return "".join(f"-{kind}{size:g}" for kind, size in given)


class Perturbation(BoxErrors):
    """Say which boxes of a run were perturbed, and how.

    Attributes:
        detector: id of the detector that gave them.
        boxes: digest of the box file before: that of the runs without an error.
    """

    detector: str
    boxes: str


class DetectorError(BaseModel):
    """Hold how a box file differs from the annotations of its pictures.

    Boxes and annotated objects are matched one to one, those that overlap most first, down to an intersection over
    union of 0.5; whatever their categories, since methods look at none. Crowds and objects without area inside of the
    photo are left out.

    Attributes:
        missed: share of the objects that no box is matched with; None without objects.
        false: boxes that overlap no object by 0.5, a picture.
        doubled: boxes that do, but are matched with none, because another box is, a picture.
        boxes: all boxes, a picture.
        mean_iou: intersection over union, mean over the matched; None without any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    missed: NonNegativeFloat | None
    false: FiniteFloat
    doubled: FiniteFloat
    boxes: FiniteFloat
    mean_iou: NonNegativeFloat | None
