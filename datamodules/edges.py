"""Edges of pictures by Canny's detector, as EdgeConnect takes them for the lines of a drawing."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIGMA = 2.0
"""Standard deviation in pixels of the Gaussian before the derivatives, as published."""


def canny(
    gray: NDArray[np.floating] | NDArray[np.uint8], sigma: float = SIGMA, known: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return the edges of one grey picture.

    Convention:
        scikit-image's detector with its own thresholds, 0.1 and 0.2 of the full range of grey.

    Args:
        gray: (H, W), in [0, 1] or uint8.
        sigma: of the Gaussian in pixels, above 0.
        known: (H, W), where the picture is known; no edge is found beside what is not. None where all of it is.

    Returns:
        (H, W), true on edges.

    Raises:
        ValueError: `sigma` is not above 0.

    Source:
        Canny, IEEE TPAMI 8(6), 1986; the released code of Nazeri et al. 2019 for detector and sigma.
    """
    from skimage.feature import canny as detect

    if not sigma > 0:
        raise ValueError(f"sigma of Canny's edges is {sigma}: give pixels above 0, 2 as published")
    edges: NDArray[np.bool_] = detect(gray, sigma=sigma, mask=known)  # type: ignore[no-untyped-call]  # untyped there
    return edges


def canny_edges(gray: Tensor, sigma: float = SIGMA, known: Tensor | None = None) -> Tensor:
    """Return the edges of a batch, each channel a grey picture of its own.

    They are found on the CPU, picture by picture: about 4 ms for one of 256 x 256. Where there are shapes alone, on the
    device `meta`, so is the answer.

    Args:
        gray: (B, C, H, W) floating point in [0, 1]. No gradient goes through.
        sigma: as in `canny`.
        known: (B, 1, H, W), 1 where a picture is known and 0 elsewhere; None where all of it is.

    Returns:
        (B, C, H, W) of the same type, on the same device: 1 on edges, 0 elsewhere.
    """
    if gray.is_meta:
        return torch.empty_like(gray)
    pictures = gray.detach().float().cpu().flatten(0, 1).numpy()
    whole = [None] * len(pictures) if known is None else known.expand_as(gray).bool().cpu().flatten(0, 1).numpy()
    edges = [canny(picture, sigma, part) for picture, part in zip(pictures, whole, strict=True)]
    found = torch.from_numpy(np.stack(edges)) if edges else torch.zeros(gray.shape)
    return found.reshape(gray.shape).to(gray)
