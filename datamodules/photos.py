"""What a set of photos is, before any tensor exists: names, annotations, and a way to read a picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Hold COCO polygons or run lengths as JSON: lists of numbers would take five times the memory.

    Attributes:
        packed: the JSON; integers and floats stay apart, and every digit stays.
    """

    packed: bytes

    @classmethod
    def pack(cls, content: object) -> Self:
        """Keep polygons, a list of x, y, x, y, ... each, or run lengths, a mapping of `size` and `counts`."""
        return cls(json.dumps(content, separators=(",", ":")).encode())

    def unpack(self) -> Any:
        """Return the lists, or the mapping, as they were given."""
        return json.loads(self.packed)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Hold one instance as its annotator gave it.

    Attributes:
        id: unique in the set.
        category_id: COCO category id, or one of the set's own.
        bbox: x, y, width, height in pixels of the photo after its EXIF rotation, not rounded.
        area: of the annotated region in pixels, the annotator's own figure.
        crowd: True for a group that is marked as one.
        score: of a detection; None for an annotation.
        segmentation: the region, as its file describes it; None where there is none.
    """

    id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool = False
    score: float | None = None
    segmentation: Segmentation | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """Name one picture of a set.

    Attributes:
        key: path relative to the data root without suffix, `/` between folders; for `synthetic` the scene's name.
        annotations: its instances, in the order of their file.
        label: class index, -1 where unknown.
        file_name: path relative to the data root with its suffix; None where there is no such file.
        image_id: number of the picture in its annotation file; None where there is none.
    """

    key: str
    annotations: tuple[Annotation, ...] = ()
    label: int = -1
    file_name: str | None = None
    image_id: int | None = None


class PhotoSource(Protocol):
    """Give the pictures of one split of a dataset. Knows no torch."""

    @property
    def photos(self) -> Sequence[Photo]:
        """All pictures, sorted by key."""
        ...

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of the annotations' category ids; empty where there are no annotations."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the picture labels, by index; empty where pictures have no label."""
        ...

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            datamodules.images.ImageError: The file is missing, broken or refused.
        """
        ...

    def digest(self) -> str:
        """Return the sha256 over names, picture bytes and annotations, in hexadecimal. Reads every file."""
        ...
