"""One number for a set of photos: its names, its bytes and its annotations."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from io import BufferedReader
from typing import Any

from datamodules.images import ImageError
from datamodules.photos import Annotation, Photo


def digest_photos(photos: Iterable[Photo], open_photo: Callable[[str], BufferedReader]) -> str:
    """Return the sha256 of photos in hexadecimal; file names' suffixes and the order of the files don't matter.

    Args:
        photos: in any order.
        open_photo: gives the bytes of a picture by key; one that raises `ImageError` counts as a picture without bytes.
    """
    total = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.key):
        entry = {
            "key": photo.key,
            "label": photo.label,
            "sha256": digest_file(photo.key, open_photo),
            "annotations": [as_plain(annotation) for annotation in photo.annotations],
        }
        total.update(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return total.hexdigest()


def as_plain(annotation: Annotation) -> dict[str, Any]:
    """Return an annotation as JSON holds it, its region as its file describes it."""
    region = annotation.segmentation
    return asdict(annotation) | {"segmentation": None if region is None else region.unpack()}


def digest_file(key: str, open_photo: Callable[[str], BufferedReader]) -> str | None:
    """Return the sha256 of one picture's bytes, None where they cannot be read."""
    try:
        with open_photo(key) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (ImageError, OSError):
        return None
