"""The Fréchet distance of two sets of features, exact in float64 and the same on any number of threads."""

import numpy as np
from numpy.typing import NDArray

LEAST_FOR_FID = 2048
"""Pictures below which FID says more of their number than of their look: the covariance of 2048 features is singular.
Its bias shrinks with the number above that too, so FIDs of sets of different sizes are never compared."""

BLOCK = 2048

Features = NDArray[np.float32] | NDArray[np.float64]


def frechet_distance(prediction: Features, truth: Features) -> float | None:
    """Return the Fréchet distance of two normal distributions that have the moments of two sets.

    The trace of the root of the product of two covariances A'A and B'B is the sum of the singular values of AB', which
    needs no root of a singular matrix; A and B are triangular factors of the centred features.

    Convention: unbiased covariances, as in the original; never below 0, where rounding may take it.
    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule ...", equation 6.

    Args:
        prediction: (n, d), a picture a row; the result may differ in its last digits where their order does.
        truth: (m, d).

    Returns:
        The squared distance; None for a set of less than two.
    """
    from threadpoolctl import threadpool_limits

    if min(len(prediction), len(truth)) < 2:
        return None
    with threadpool_limits(1):
        means, factors = zip(*map(_moments, (prediction, truth)), strict=True)
        common = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
        spread = sum(float(np.square(factor).sum()) for factor in factors) - 2 * float(common)
        apart = float(np.square(means[0] - means[1]).sum())
    return max(0.0, apart + spread)


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (d,) and a factor A (k, d), k <= d + 1, whose A'A is the covariance; reads features by blocks."""
    mean = features.mean(axis=0, dtype=np.float64)
    factor: NDArray[np.float64] = np.zeros((0, features.shape[1]))
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK].astype(np.float64) - mean
        factor = np.concatenate([factor, block])
        if len(factor) > factor.shape[1]:
            factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor / np.sqrt(len(features) - 1)
