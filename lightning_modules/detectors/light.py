"""What a detector is fed: the light channel as an 8-bit picture of three equal channels."""

import numpy as np
from numpy.typing import NDArray


def replicate(light: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return light as a picture whose three channels are equal, so that R G B and B G R are the same.

    Args:
        light: (H, W) uint8, round(L* x 255 / 100).

    Returns:
        (H, W, 3) uint8, contiguous.

    Raises:
        ValueError: `light` has another shape or type; colour pictures and pictures in [0, 1] are caught here.
    """
    if light.dtype != np.uint8 or light.ndim != 2 or light.size == 0:
        raise ValueError(
            f"a detector wants light as (H, W) uint8, round(L* x 255 / 100), got {light.shape} {light.dtype}: "
            "give it the L* channel of the photo, neither colour nor numbers in [0, 1]"
        )
    return np.repeat(light[..., None], 3, axis=2)
