"""Real colours in the wrong places: those of another photo."""

import hashlib
from itertools import islice

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from datamodules.photos import PhotoSource
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.training_colors import lending_source, photo_data, read_chromas


def draw(seed: int, purpose: str, key: str) -> int:
    """Return a number below 2^64 that hangs on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


class RandomColorizer(Colorizer):
    """Give each picture the chroma of a random photo of the training split, stretched to its size.

    A dataset without a training split lends its test photos, and none its own colours to itself. Which photo it is
    hangs on the seed and the picture's key only. The bank of photos is made anew by `prepare_training` for each dataset
    and is not part of the weights.

    Args:
        seed: of the bank and of the draws.
        bank_photos: how many photos are drawn from, at most.
        bank_size: side in pixels that they are kept at.

    Source:
        The baseline "Random" of Zhang, Isola, Efros: Colorful Image Colorization, ECCV 2016, section 3.1.
    """

    bank: Tensor

    def __init__(self, *, seed: int = 0, bank_photos: int = 64, bank_size: int = 256) -> None:
        super().__init__()
        self.seed = seed
        self.bank_photos = bank_photos
        self.bank_size = bank_size
        self.bank_keys: tuple[str, ...] = ()
        self.register_buffer("bank", torch.zeros(0, 2, bank_size, bank_size), persistent=False)

    def prepare_training(self, datamodule: pl.LightningDataModule) -> None:
        """Fill the bank with photos of the training split, else of the test split."""
        source = lending_source(photo_data(datamodule))
        if source is not None:
            self._fill(source)

    def _fill(self, source: PhotoSource) -> None:
        keys = sorted((photo.key for photo in source.photos), key=lambda key: (draw(self.seed, "bank", key), key))
        kept = dict(islice(read_chromas(source, keys, self.bank_size), self.bank_photos))
        if not kept:
            raise ValueError(f"none of the {len(keys)} photos can be read: random has no colours to give")
        self.bank_keys = tuple(kept)
        self.bank = torch.stack(list(kept.values())).to(self.bank)

    def donor(self, key: str) -> int | None:
        """Return the place in the bank of the photo that colours `key`; None where it would be the photo itself."""
        others = [place for place, name in enumerate(self.bank_keys) if name != key]
        return others[draw(self.seed, "photo", key) % len(others)] if others else None

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the chroma of one drawn photo a picture, (B, 2, H, W); zeros where there is no other photo.

        Raises:
            RuntimeError: The bank is empty.
        """
        if not self.bank_keys:
            raise RuntimeError("random has no colours yet: call prepare_training(datamodule) first")
        size = gray.light.shape[-2:]
        donors = [self.donor(key) for key in gray.key]
        none = self.bank.new_zeros(self.bank.shape[1:])
        chroma = torch.stack([none if donor is None else self.bank[donor] for donor in donors])
        if chroma.shape[-2:] == size:
            return chroma
        return functional.interpolate(chroma, size, mode="bilinear", align_corners=False, antialias=True)
