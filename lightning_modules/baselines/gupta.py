"""The colours of a similar photo, superpixel by superpixel."""

from itertools import islice

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.color import rgb8_to_lab
from datamodules.photos import PhotoSource
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.levin import grey_values
from lightning_modules.baselines.propagation import propagate
from lightning_modules.baselines.random import draw
from lightning_modules.baselines.superpixels import Superpixels, find_superpixels, match, means_of, vote
from lightning_modules.baselines.training_colors import lending_source, photo_data, read_squares

Floats = NDArray[np.float64]
SCRIBBLE = 1
"""Pixels around the centre of a superpixel that its colour is set at."""

LEAST_CHROMA = 3.0
"""Mean of |a*| and |b*| below which a photo counts as grey, and has no colours to give."""


def look_of(gray: Floats) -> Floats:
    """Return what tells how similar two grey pictures are as wholes: which edges are where, and how bright it is where.

    Args:
        gray: (H, W) in [0, 1].

    Returns:
        (192,): histograms of 8 orientations of edges in 4 x 4 cells of the picture, stretched to 64 x 64 pixels, and
        the mean grey of 8 x 8 cells.
    """
    from skimage.feature import hog
    from skimage.transform import resize

    small = resize(gray, (64, 64), anti_aliasing=True)  # type: ignore[no-untyped-call]  # scikit-image leaves it untyped
    edges = hog(small, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(1, 1))
    return np.concatenate([edges, small.reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel()])


class GuptaColorizer(Colorizer):
    """Give superpixels the colours of those that look like them in a reference photo, and spread these.

    Reference: of `bank_photos` photos in colour of the training split, drawn by the seed, the one of the most similar
    look (`look_of`, least Euclidean distance), never one of the picture's own key. `reference` tells which it is. A
    dataset without a training split lends its test photos. In the paper a user chooses it.

    Then, as in the paper: superpixels of about 40 pixels, described by Gabor filters, a local descriptor, intensity and
    standard deviation; a cascade that finds for each its like in the reference, at a cost by which the match is trusted
    or not; a vote in the picture that corrects colours which do not fit to those around; a small scribble of the colour
    at the centre of each superpixel; and the optimisation of Levin et al. that spreads them.

    Convention:
        The steps are the paper's, by its abstract and that of its authors' later work (arXiv:1704.04610). Their details
        are ours, because no code of the authors is at hand: SLIC finds the superpixels, DAISY stands for SURF, the
        better half of all matches by cost is trusted, and the vote elects the median colour of the trusted superpixels
        around. Sizes of features and their shares in the cost (0.2, 0.5, 0.2, 0.1) are those that another project's
        implementation of the paper has.

    Args:
        seed: of the bank.
        bank_photos: how many photos are looked at for a reference, at most.
        input_size: side in pixels of pictures and references while they are compared and coloured.
        superpixel_area: pixels of a superpixel, about.

    Source:
        Gupta, Chia, Rajan, Ng, Huang: Image Colorization Using Similar Images, ACM Multimedia 2012.
    """

    def __init__(
        self, *, seed: int = 0, bank_photos: int = 256, input_size: int = 256, superpixel_area: float = 40.0
    ) -> None:
        super().__init__(input_size=input_size)
        self.seed = seed
        self.bank_photos = bank_photos
        self.side = input_size
        self.superpixel_area = superpixel_area
        self.bank: dict[str, Tensor] = {}
        self.looks = np.zeros((0, 192))

    def prepare_training(self, datamodule: pl.LightningDataModule) -> None:
        """Fill the bank with photos of the training split, else of the test split."""
        source = lending_source(photo_data(datamodule))
        if source is not None:
            self._fill(source)

    def _fill(self, source: PhotoSource) -> None:
        keys = sorted((photo.key for photo in source.photos), key=lambda key: (draw(self.seed, "bank", key), key))
        colored = (each for each in read_squares(source, keys, self.side) if _has_color(each[1]))
        self.bank = dict(islice(colored, self.bank_photos))
        if not self.bank:
            raise ValueError(f"none of the {len(keys)} photos can be read and has colours: there is no reference")
        greys = (grey_values(rgb8_to_lab(rgb)[None, :1])[0].numpy() for rgb in self.bank.values())
        self.looks = np.stack([look_of(grey) for grey in greys])

    def reference(self, key: str, gray: Floats) -> str | None:
        """Return the key of the photo that gives a picture its colours; None where there is no other photo.

        Args:
            key: of the picture.
            gray: (H, W) its grey values in [0, 1].
        """
        distances = np.linalg.norm(self.looks - look_of(gray), axis=1)
        nearest = (tuple(self.bank)[place] for place in np.argsort(distances, kind="stable"))
        return next((name for name in nearest if name != key), None)

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the colours that the superpixels of each picture's reference give it; zeros where there is none.

        Raises:
            RuntimeError: The bank is empty.
        """
        if not self.bank:
            raise RuntimeError("there are no references yet: call prepare_training(datamodule) first")
        greys = grey_values(gray.light).cpu().numpy()
        chroma = [self._colored(key, grey) for key, grey in zip(gray.key, greys, strict=True)]
        return torch.from_numpy(np.stack(chroma)).to(gray.light)

    def _colored(self, key: str, gray: Floats) -> Floats:
        name = self.reference(key, gray)
        if name is None:
            return np.zeros((2, *gray.shape))
        lab = rgb8_to_lab(self.bank[name])
        reference = find_superpixels(grey_values(lab[None, :1])[0].numpy(), self.superpixel_area)
        target = find_superpixels(gray, self.superpixel_area)
        partners, cost = match(target, reference)
        colors = means_of(lab[1:].double().numpy(), reference.labels)[partners]
        trust = (cost <= np.median(cost)).astype(np.float64)
        return _spread(gray, target, vote(colors, trust, target.neighbours))


def _has_color(rgb: Tensor) -> bool:
    return float(rgb8_to_lab(rgb)[1:].abs().mean()) >= LEAST_CHROMA


def _spread(gray: Floats, target: Superpixels, colors: Floats) -> Floats:
    """Return the colours of all pixels, (2, H, W), from those at the centres of the superpixels, (n, 2)."""
    known, scribbles = np.zeros(gray.shape, bool), np.zeros((2, *gray.shape))
    for (row, column), color in zip(target.centres(), colors, strict=True):
        around = np.s_[max(0, row - SCRIBBLE) : row + SCRIBBLE + 1, max(0, column - SCRIBBLE) : column + SCRIBBLE + 1]
        known[around] = True
        scribbles[(slice(None), *around)] = color[:, None, None]
    return propagate(gray, scribbles, known)
