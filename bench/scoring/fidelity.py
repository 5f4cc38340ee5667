"""PSNR and SSIM of 8-bit pictures and of boxes in them, equal to scikit-image's to the last digits.

Squared error and SSIM are computed once a picture as maps; the score of a box is a mean over its part of the maps. SSIM
looks only at windows that lie fully inside, so a box's score is that of its cut-out.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

PEAK = 255.0
PSNR_CAP = 100.0
WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2
BELL = [math.exp(-0.5 * ((i - WINDOW // 2) / SIGMA) ** 2) for i in range(WINDOW)]
WEIGHTS = [weight / sum(BELL) for weight in BELL]

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, the last two outside of the box."""


@dataclass(frozen=True, slots=True)
class FidelityMaps:
    """Hold how far B predictions are from their truths, pixel by pixel.

    Attributes:
        squared_error: (B, H, W) int32, of 8-bit values, summed over the channels.
        ssim: (B, H - 10, W - 10) float64, mean of the channels; entry (y, x) belongs to the window whose top left pixel
            is (y, x). Empty for pictures below 11 px.
    """

    squared_error: Tensor
    ssim: Tensor

    def psnr_of(self, index: int, box: PixelBox | None = None) -> float:
        """Return the PSNR in dB of picture `index`, or of a box in it."""
        left, top, right, bottom = box or self._whole()
        error = self.squared_error[index, top:bottom, left:right]
        return error_to_psnr(int(error.sum(dtype=torch.int64)), 3 * error.numel())

    def ssim_of(self, index: int, box: PixelBox | None = None) -> float | None:
        """Return the SSIM of picture `index`, or of a box in it; None where no window fits in.

        Rows are summed each by itself and then exactly: a mean over all at once hangs, in its last digit, on how many
        threads share it.
        """
        left, top, right, bottom = box or self._whole()
        if min(right - left, bottom - top) < WINDOW:
            return None
        windows = self.ssim[index, top : bottom - WINDOW + 1, left : right - WINDOW + 1]
        return math.fsum(windows.sum(dim=-1).tolist()) / windows.numel()

    def _whole(self) -> PixelBox:
        height, width = self.squared_error.shape[-2:]
        return 0, 0, width, height


def compare_pictures(prediction: Tensor, truth: Tensor) -> FidelityMaps:
    """Compare 8-bit pictures.

    Args:
        prediction: (B, 3, H, W) uint8 sRGB.
        truth: the same shape and type.

    Raises:
        ValueError: The two are not uint8 pictures of one shape.
    """
    if prediction.shape != truth.shape or truth.dim() != 4 or {prediction.dtype, truth.dtype} != {torch.uint8}:
        raise ValueError(
            f"the prediction is {prediction.dtype} {tuple(prediction.shape)}, the truth {truth.dtype} "
            f"{tuple(truth.shape)}: both must be uint8 (B, 3, H, W)"
        )
    squared_error = (prediction.int() - truth.int()).square().sum(1, dtype=torch.int32)
    return FidelityMaps(squared_error, ssim_map(prediction, truth).mean(1))


def ssim_map(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the SSIM of each window that lies fully inside, a channel at a time.

    Convention:
        Population covariance, Gaussian weights of sum 1 with sigma 1.5 in a window of 11, K1 0.01, K2 0.03, peak 255.

    Args:
        prediction: (B, C, H, W) uint8.
        truth: the same.

    Returns:
        (B, C, H - 10, W - 10) float64.

    Source:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 2004, eq. 13.
    """
    x, y = prediction.double(), truth.double()
    mean_x, mean_y, square_x, square_y, product = blur(torch.stack((x, y, x * x, y * y, x * y)))
    product_of_means, squares_of_means = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance, variances = product - product_of_means, square_x + square_y - squares_of_means
    above = (2 * product_of_means + C1) * (2 * covariance + C2)
    below = (squares_of_means + C1) * (variances + C2)
    similarity: Tensor = above / below
    return similarity


def blur(maps: Tensor) -> Tensor:
    """Return the Gaussian mean of each full window, (..., H, W) to (..., H - 10, W - 10).

    Adds shifted copies in place: in float64 on a CPU many times as fast as `conv2d`.
    """
    for axis in (-2, -1):
        length = max(maps.shape[axis] - WINDOW + 1, 0)
        if length == 0:
            return maps.new_zeros(*maps.shape[:-2], *(max(side - WINDOW + 1, 0) for side in maps.shape[-2:]))
        blurred = maps.narrow(axis, 0, length) * WEIGHTS[0]
        for shift in range(1, WINDOW):
            blurred.add_(maps.narrow(axis, shift, length), alpha=WEIGHTS[shift])
        maps = blurred
    return maps


def error_to_psnr(squared_error: int, values: int) -> float:
    """Return the PSNR in dB, at most 100, of a sum of squared 8-bit errors over so many values."""
    if squared_error == 0:
        return PSNR_CAP
    return min(10 * math.log10(PEAK**2 * values / squared_error), PSNR_CAP)


def find_gray(rgb: Tensor, levels: int = 2) -> Tensor:
    """Return which pictures are grey: whose channels differ nowhere by more than `levels` of 255.

    Args:
        rgb: (B, 3, H, W) uint8.
        levels: largest difference of two channels in a pixel.

    Returns:
        (B,) bool.
    """
    values = rgb.short()
    return (values.amax(1) - values.amin(1)).flatten(1).amax(1) <= levels
