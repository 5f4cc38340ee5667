"""What a method may learn from training photos before gradient descent: their chroma, at one small size."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor

from datamodules.color import rgb8_to_lab
from datamodules.images import ImageError
from datamodules.photo_data import PhotoDataModule
from datamodules.photos import Photo, PhotoSource


def photo_data(datamodule: pl.LightningDataModule) -> PhotoDataModule:
    """Return the datamodule as one of ours, whose photos can be read without its loaders.

    Raises:
        TypeError: It is another kind.
    """
    if not isinstance(datamodule, PhotoDataModule):
        raise TypeError(
            f"{type(datamodule).__name__} does not give its training photos: derive it from "
            "datamodules.photo_data.PhotoDataModule"
        )
    return datamodule


def lending_source(datamodule: PhotoDataModule) -> PhotoSource | None:
    """Return the photos that lend others their colours: the training split, the test split where that has none."""
    training = datamodule.source("train")
    return training if training is not None and len(training.photos) else datamodule.source("test")


def training_size(datamodule: PhotoDataModule) -> int:
    """Return the side in pixels of the pictures that are trained on; 256 where photos keep their sizes."""
    return datamodule.train_size or datamodule.protocol.size or 256


def spread(photos: Sequence[Photo], count: int) -> list[str]:
    """Return the keys of at most `count` photos, evenly spread over their order."""
    count = min(count, len(photos))
    return [photos[number * len(photos) // count].key for number in range(count)]


def read_chromas(source: PhotoSource, keys: Iterable[str], size: int) -> Iterator[tuple[str, Tensor]]:
    """Give the chroma of photos, each stretched to a square; see `read_squares`.

    Args:
        source: of the photos.
        keys: their names.
        size: side of the square in pixels.

    Yields:
        The key and (2, size, size) float32, a* and b* in CIE units.
    """
    for key, rgb in read_squares(source, keys, size):
        yield key, rgb8_to_lab(rgb)[1:]


def read_squares(source: PhotoSource, keys: Iterable[str], size: int) -> Iterator[tuple[str, Tensor]]:
    """Give photos in colour, each stretched to a square by PIL's bilinear filter.

    Photos that cannot be read are passed over.

    Args:
        source: of the photos.
        keys: their names.
        size: side of the square in pixels.

    Yields:
        The key and (3, size, size) uint8 sRGB.
    """
    for key in keys:
        try:
            photo = Image.fromarray(source.read(key))
        except ImageError:
            continue
        small = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))
        yield key, torch.tensor(small).permute(2, 0, 1)
