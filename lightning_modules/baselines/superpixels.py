"""Superpixels of grey pictures: what they look like, which of two pictures belong together, and how they vote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, sparse
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

COMPACTNESS = 0.1
"""Of SLIC on greys in [0, 1], beside which its distances in space stand."""

ORIENTATIONS, SCALES = 8, 5
HIGHEST_FREQUENCY = 0.4
"""Of the Gabor filters, in cycles a pixel; each scale has the one before divided by the root of 2."""

BORDER = 32
DAISY_STEP, DAISY_RADIUS = 4, 8
FEATURES: Mapping[str, float] = {"gabor": 0.2, "daisy": 0.5, "intensity": 0.2, "deviation": 0.1}
"""In the order of the cascade, each with its share of the cost."""


@dataclass(frozen=True, slots=True)
class Superpixels:
    """Hold the n superpixels of one picture.

    Attributes:
        labels: (H, W), which superpixel each pixel belongs to.
        features: by the names of `FEATURES`, (n, d) each.
        neighbours: (n, n) bool, which share an edge; each is a neighbour of its own.
    """

    labels: Labels
    features: Mapping[str, Floats]
    neighbours: sparse.csr_matrix

    def __len__(self) -> int:
        return self.neighbours.shape[0]

    def centres(self) -> Labels:
        """Return the row and column of the pixel of each superpixel that is nearest to its mean place, (n, 2)."""
        places = np.indices(self.labels.shape).astype(np.float64)
        means = means_of(places, self.labels)
        apart = ((places - means.T[:, self.labels]) ** 2).sum(axis=0).ravel()
        order = np.lexsort((apart, self.labels.ravel()))
        first = np.searchsorted(self.labels.ravel()[order], np.arange(len(self)))
        return np.stack(np.unravel_index(order[first], self.labels.shape), axis=1)


def means_of(values: Floats, labels: Labels) -> Floats:
    """Return the mean over each superpixel: of (C, H, W), (n, C)."""
    flat = labels.ravel()
    counts = np.bincount(flat)
    return np.stack([np.bincount(flat, channel.ravel()) for channel in values], axis=1) / counts[:, None]


def find_superpixels(gray: Floats, area: float) -> Superpixels:
    """Part a picture into superpixels and describe each.

    A superpixel is described by the mean size of the answers of 40 Gabor filters, by the DAISY descriptor at its
    centre, and by two numbers each of intensity and of standard deviation in windows of 5 x 5: its own mean and that of
    its neighbours.

    Args:
        gray: (H, W) in [0, 1].
        area: pixels of a superpixel, about.
    """
    from skimage.segmentation import slic

    count = max(2, round(gray.size / area))
    found = slic(gray, n_segments=count, compactness=COMPACTNESS, channel_axis=None, start_label=0)
    labels = np.unique(found, return_inverse=True)[1].reshape(gray.shape)
    near = _neighbours(labels)
    mean = ndimage.uniform_filter(gray, 5)
    deviation = np.sqrt(np.maximum(ndimage.uniform_filter(gray**2, 5) - mean**2, 0))
    own = {"intensity": means_of(gray[None], labels), "deviation": means_of(deviation[None], labels)}
    around = near / near.sum(axis=1)
    features = {name: np.concatenate([value, around @ value], axis=1) for name, value in own.items()}
    features["gabor"] = means_of(gabor_answers(gray), labels)
    bare = Superpixels(labels, features, near)
    return Superpixels(labels, {**features, "daisy": _daisy_at(gray, bare.centres())}, near)


def _neighbours(labels: Labels) -> sparse.csr_matrix:
    beside = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    one, other = (np.concatenate([pair[end].ravel() for pair in beside]) for end in (0, 1))
    count = int(labels.max()) + 1
    own = np.arange(count)
    rows, columns = np.concatenate([one, other, own]), np.concatenate([other, one, own])
    touching = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    touching.data[:] = 1.0
    return touching


def gabor_answers(gray: Floats) -> Floats:
    """Return the size of the answer of each Gabor filter at each pixel, (40, H, W); light alone answers to none."""
    padded = np.pad(gray - gray.mean(), BORDER, mode="symmetric")
    spectrum = fft.fft2(padded)
    down, right = np.meshgrid(*(fft.fftfreq(side) for side in padded.shape), indexing="ij")
    answers = []
    for scale, turn in product(range(SCALES), range(ORIENTATIONS)):
        frequency, angle = HIGHEST_FREQUENCY / 2 ** (scale / 2), np.pi * turn / ORIENTATIONS
        apart = (right - frequency * np.cos(angle)) ** 2 + (down - frequency * np.sin(angle)) ** 2
        answers.append(np.abs(fft.ifft2(spectrum * np.exp(-4.5 * apart / frequency**2))))
    return np.stack(answers)[:, BORDER:-BORDER, BORDER:-BORDER]


def _daisy_at(gray: Floats, places: Labels) -> Floats:
    from skimage.feature import daisy

    padded = np.pad(gray, DAISY_RADIUS + DAISY_STEP, mode="symmetric")
    settings = {"step": DAISY_STEP, "radius": DAISY_RADIUS, "rings": 2, "histograms": 8, "orientations": 8}
    grid = daisy(padded, **settings)  # type: ignore[no-untyped-call]  # scikit-image leaves it untyped
    nearest = np.rint(places / DAISY_STEP).astype(np.intp) + 1
    found: Floats = grid[nearest[:, 0], nearest[:, 1]].astype(np.float64)
    return found


def match(target: Superpixels, reference: Superpixels) -> tuple[Labels, Floats]:
    """Return for each superpixel of one picture that of the other which it belongs to, and at what cost, both (n,).

    Feature after feature the better half of those that are left is kept. Of the rest the one is taken whose distances,
    each in units of the mean distance by that feature, have the least weighted sum.
    """
    alive = np.ones((len(target), len(reference)), bool)
    cost = np.zeros(alive.shape)
    kept = len(reference)
    for name, share in FEATURES.items():
        apart = cdist(target.features[name], reference.features[name])
        cost += share * apart / max(float(apart.mean()), 1e-12)
        kept = max(1, kept // 2)
        best = np.argpartition(np.where(alive, apart, np.inf), kept - 1, axis=1)[:, :kept]
        alive = np.zeros_like(alive)
        np.put_along_axis(alive, best, True, axis=1)
    cost[~alive] = np.inf
    return cost.argmin(axis=1), cost.min(axis=1)


def vote(colors: Floats, weights: Floats, neighbours: sparse.csr_matrix) -> Floats:
    """Return for each superpixel the colour that its neighbours and itself agree on best.

    It is that one of their colours whose distances to all of theirs, weighted, have the least sum.

    Args:
        colors: (n, C).
        weights: (n,) of each one's vote, 0 for none; where all of a neighbourhood are 0, the own colour stays.
        neighbours: (n, n) bool.
    """
    elected = colors.copy()
    for place, around in enumerate(_lists(neighbours)):
        voices = around[weights[around] > 0]
        if len(voices):
            distances = cdist(colors[voices], colors[voices]) @ weights[voices]
            elected[place] = colors[voices[distances.argmin()]]
    return elected


def _lists(neighbours: sparse.csr_matrix) -> Sequence[Labels]:
    return np.split(neighbours.indices, neighbours.indptr[1:-1])
