"""What a detector is fed: the light channel as an 8-bit picture of three equal channels."""

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.color import rgb8_to_lab


def rgb_to_light8(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the light channel that detectors are fed.

    Args:
        rgb: (H, W, 3) uint8 sRGB.

    Returns:
        (H, W) uint8, round(L* x 255 / 100), half to even.

    Source:
        InstColorization (Su et al. 2020), `inference_bbox.py`: the 8-bit L channel of OpenCV's Lab.
    """
    light = rgb8_to_lab(torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1))[0]
    light8: NDArray[np.uint8] = (light * 255 / 100).round().clamp(0, 255).to(torch.uint8).numpy()
    return light8


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
