"""Several sets of photos as one, for training on all of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datamodules.photos import Photo, PhotoSource


class MixtureSource:
    """Join the photos of several sources; keys are `<part>/<key>`.

    Class labels are counted on from part to part. Where two parts name a category id, the first one's name stands.

    Args:
        parts: the sources, by the name that goes before their keys.
    """

    def __init__(self, parts: Mapping[str, PhotoSource]) -> None:
        self.parts = dict(sorted(parts.items()))

    @cached_property
    def photos(self) -> Sequence[Photo]:
        """All pictures of all parts, sorted by key."""
        joined = []
        first_label = 0
        for name, part in self.parts.items():
            for photo in part.photos:
                label = photo.label if photo.label < 0 else photo.label + first_label
                joined.append(replace(photo, key=f"{name}/{photo.key}", label=label))
            first_label += len(part.classes)
        return tuple(sorted(joined, key=lambda photo: photo.key))

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of the annotations' category ids."""
        merged: dict[int, str] = {}
        for part in self.parts.values():
            merged = {**part.categories, **merged}
        return merged

    @property
    def classes(self) -> Sequence[str]:
        """Names of the picture labels, part after part."""
        return tuple(name for part in self.parts.values() for name in part.classes)

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB.

        Raises:
            datamodules.images.ImageError: The part could not read it.
        """
        name, _, inner = key.partition("/")
        return self.parts[name].read(inner)

    def digest(self) -> str:
        """Return the sha256 over the names and digests of the parts, in hexadecimal."""
        text = "\n".join(f"{name} {part.digest()}" for name, part in self.parts.items())
        return hashlib.sha256(text.encode()).hexdigest()
