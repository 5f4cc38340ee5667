"""A part of a source, and the rule by which photos are held out of training."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.photos import Photo, PhotoSource


class PhotoSubset:
    """Give some of the pictures of a source.

    Args:
        source: the whole.
        keys: of the pictures that are given.
    """

    def __init__(self, source: PhotoSource, keys: Collection[str]) -> None:
        chosen = frozenset(keys)
        self.source = source
        self.photos: Sequence[Photo] = tuple(photo for photo in source.photos if photo.key in chosen)

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of the annotations' category ids."""
        return self.source.categories

    @property
    def classes(self) -> Sequence[str]:
        """Names of the picture labels, those of the whole source."""
        return self.source.classes

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB."""
        return self.source.read(key)

    def digest(self) -> str:
        """Return the sha256 over the digest of the whole source and the chosen keys."""
        keys = "\n".join(photo.key for photo in self.photos)
        return hashlib.sha256(f"{self.source.digest()}\n{keys}".encode("utf-8", "surrogateescape")).hexdigest()


def hold_out(source: PhotoSource, fraction: float) -> tuple[PhotoSubset, PhotoSubset]:
    """Part a source in training and validation photos, by the sha256 of their keys.

    Args:
        source: the whole.
        fraction: share of the photos that are held out; at least one photo is, unless the share is 0 or there is but
            one.

    Returns:
        The training photos and those held out.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the held-out share must be in [0, 1), but it is {fraction}")
    keys = sorted((photo.key for photo in source.photos), key=rank_key)
    count = min(max(1, round(len(keys) * fraction)), len(keys) - 1) if fraction > 0 else 0
    return PhotoSubset(source, keys[count:]), PhotoSubset(source, keys[:count])


def rank_key(key: str) -> bytes:
    """Return what keys are drawn by."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
