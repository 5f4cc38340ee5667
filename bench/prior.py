"""`colorbench prior`: how often each of the 313 colour bins occurs in a folder of photos."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.build import data_errors
from bench.errors import CommandError
from bench.files import atomic_write
from bench.progress import progress, say
from datamodules.color import rgb8_to_lab
from datamodules.images import ImageError
from datamodules.photo_dataset import to_tensor
from datamodules.protocol import PROTOCOLS
from datamodules.sources.folder import FolderSource
from lightning_modules.baselines.zhang import cell_truth
from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.losses.color_prior import count_bins, smooth_counts

PROTOCOL = PROTOCOLS["stretch256-v1"]
"""What is done to a photo before its colours are counted."""


def write_prior(folder: Path, out: Path, *, raw: bool = False) -> tuple[int, int]:
    """Write the prior of a folder of photos as a NumPy file of (313,) float64 that sums to 1.

    Counts the pixels that `zhang-eccv16` is trained on: of each photo at 256 x 256 the top left one of every 4 x 4.

    Args:
        folder: of the photos; those that cannot be read are named and left out.
        out: the file.
        raw: leave the counts as they are, instead of spreading each over the neighbouring bins by a Gaussian.

    Returns:
        How many photos were counted, and how many could not be read.

    Raises:
        MissingError: There is no such folder, or no photo in it.
        UsageError: Two photos differ only in their suffix.
        CommandError: None of the photos can be read, or the file cannot be written.
    """
    with data_errors():
        source = FolderSource(folder)
    failed = list[str]()
    counts = count_bins(_truths(source, failed), ab_bins())
    counted = len(source.photos) - len(failed)
    if not counted:
        raise CommandError(f"none of the {len(failed)} photos in {folder} can be read: there is nothing to count")
    prior = counts / counts.sum() if raw else smooth_counts(counts, ab_bins())
    atomic_write(out, _npy(prior.numpy()))
    return counted, len(failed)


def _truths(source: FolderSource, failed: list[str]) -> Iterator[Tensor]:
    """Give (2, 64, 64) chroma of each photo that can be read; the keys of the others go to `failed`."""
    with progress("counting colours", len(source.photos)) as advance:
        for photo in source.photos:
            try:
                picture = PROTOCOL.apply(Image.fromarray(source.read(photo.key)))
                yield cell_truth(rgb8_to_lab(to_tensor(picture))[1:])
            except ImageError as error:
                failed.append(photo.key)
                say(f"left out: {photo.key}: {error.reason}")
            advance()


def _npy(values: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
