"""Colours that spread from some pixels to all others: neighbours of like grey get like colours."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]

SHARE_OF_VARIANCE = 0.6
"""Of the window's variance that differences of grey are measured by."""

LEAST_WEIGHT = 0.01
"""That the neighbour of most similar grey has at least, before weights are divided by their sum."""

LEAST_SCALE = 2e-6
"""Of squared differences of grey, where a window has no variance."""

STEPS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def neighbour_weights(gray: Floats) -> sparse.csr_matrix:
    """Return how much each pixel's colour hangs on those around it.

    The weight of a neighbour is exp(-(difference of grey)^2 / scale), divided by the sum over the window of 3 x 3
    pixels, which is smaller at the edges of the picture. The scale is 0.6 of the window's variance, but no less than
    gives the most similar neighbour 0.01, and no less than 2e-6. No weight is ever 0: a difference alone makes a
    variance.

    Args:
        gray: (H, W) grey values in [0, 1].

    Returns:
        (H W, H W); rows sum to 1, the diagonal is empty.

    Source:
        Levin, Lischinski, Weiss 2004, equation 2; the constants are those of the authors' Matlab code.
    """
    own = _windows(np.arange(gray.size).reshape(gray.shape), -1).astype(np.int64)
    greys = _windows(gray, np.nan)
    squared = (greys - gray) ** 2
    variance = np.nanvar(np.concatenate([greys, gray[None]]), axis=0)
    floor = np.nanmin(squared, axis=0) / -np.log(LEAST_WEIGHT)
    scale = np.maximum(np.maximum(SHARE_OF_VARIANCE * variance, floor), LEAST_SCALE)
    weights = np.exp(-squared / scale)
    weights /= np.nansum(weights, axis=0)
    inside = own >= 0
    rows = np.broadcast_to(np.arange(gray.size).reshape(gray.shape), own.shape)[inside]
    return sparse.csr_matrix((weights[inside], (rows, own[inside])), shape=(gray.size, gray.size))


def _windows(values: NDArray[np.generic], outside: float) -> Floats:
    """Return the eight neighbours of each pixel, (8, H, W), `outside` where there is none."""
    height, width = values.shape
    padded = np.pad(values, 1, constant_values=outside)
    return np.stack([padded[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in STEPS])


def propagate(gray: Floats, colors: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return the colours of all pixels: of those that are not known each is the weighted mean of its neighbours'.

    That is the least-squares solution of the paper, whose sum of squares over unknown pixels becomes zero. Known pixels
    keep their colours to the last bit.

    Args:
        gray: (H, W) grey values in [0, 1], of two pixels or more.
        colors: (C, H, W), of which those of known pixels are looked at.
        known: (H, W).

    Returns:
        (C, H, W); zeros where nothing is known.

    Source:
        Levin, Lischinski, Weiss 2004, equation 1.
    """
    if not known.any():
        return np.zeros_like(colors)
    spread = colors.copy()
    given, wanted = np.flatnonzero(known), np.flatnonzero(~known)
    if not len(wanted):
        return spread
    rows = neighbour_weights(gray)[wanted]
    system = (sparse.identity(len(wanted), format="csc") - rows[:, wanted]).tocsc()
    flat = spread.reshape(len(colors), -1)
    right = rows[:, given] @ flat[:, given].T
    # The matrix is dominated by its diagonal and its places are symmetric: no pivots are looked for, and filling up is
    # kept least by the degrees of its graph. With the defaults it takes twice as long.
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    flat[:, wanted] = solver.solve(right).T
    return spread
