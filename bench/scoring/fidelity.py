"""PSNR and SSIM of 8-bit pictures, pixel by pixel and equal to scikit-image's to the last digits.

Squared error and SSIM are maps, computed once a picture; the score of a box is a mean over its part of them. SSIM looks
only at windows that lie fully inside, so a box's score is that of its cut-out.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

PEAK = 255.0
PSNR_CAP = 100.0
WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2
BELL = [math.exp(-0.5 * ((i - WINDOW // 2) / SIGMA) ** 2) for i in range(WINDOW)]
WEIGHTS = [weight / sum(BELL) for weight in BELL]
BLOCK = 12
"""Windows that one small matrix product filters; what was quickest on the CPUs at hand."""

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, the last two outside of the box."""


def check_pair(prediction: Tensor, truth: Tensor) -> None:
    """Refuse what are no two batches of 8-bit pictures, (B, 3, H, W) each, of one shape."""
    if prediction.shape != truth.shape or truth.dim() != 4 or {prediction.dtype, truth.dtype} != {torch.uint8}:
        raise ValueError(
            f"the prediction is {prediction.dtype} {tuple(prediction.shape)}, the truth {truth.dtype} "
            f"{tuple(truth.shape)}: both must be uint8 (B, 3, H, W)"
        )


def squared_error_map(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the squared error of 8-bit values summed over the channels, (B, H, W) int32."""
    difference = (prediction.short() - truth.short()).int()
    red, green, blue = (difference * difference).unbind(1)  # ten times as fast as `square` is for integers
    return red + green + blue


def ssim_map(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the SSIM of each window that lies fully inside, summed over the channels.

    Each picture is filtered by itself, so that its bits hang neither on the batch that it comes in nor on the number
    of threads. Entry (y, x) belongs to the window whose top left pixel is (y, x).

    Convention:
        Population covariance, Gaussian weights of sum 1 with sigma 1.5 in a window of 11, K1 0.01, K2 0.03, peak 255.

    Args:
        prediction: (B, C, H, W) uint8.
        truth: the same.

    Returns:
        (B, H - 10, W - 10) float64; empty for pictures below 11 px.

    Source:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 2004, eq. 13.
    """
    batch, _, height, width = truth.shape
    lines, columns = max(height - WINDOW + 1, 0), max(width - WINDOW + 1, 0)
    similarity = torch.zeros(batch, lines, columns, dtype=torch.float64, device=truth.device)
    if lines and columns:
        for index in range(batch):
            blocks = _ssim_blocks(prediction[index].short(), truth[index].short())
            similarity[index] = blocks.transpose(0, 1).flatten(1)[:lines, :columns]
    return similarity


def _ssim_blocks(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the SSIM of all windows of two (C, H, W) int16 pictures, summed over the channels, as `blur_blocks` does.

    With a = x + y and d = x - y the two factors of SSIM are of one form, (A - D + 2 C) / (A + D + 2 C): A and D are the
    squared means of a and d in the one, and their variances in the other. So four maps are to be filtered, not five,
    and where d is 0 the quotient is exactly 1.
    """
    height, width = ours.shape[1:]
    lines, columns = _block_side(height - WINDOW + 1), _block_side(width - WINDOW + 1)
    maps = torch.zeros(lines, 4, columns, dtype=torch.float64, device=ours.device)
    total = torch.zeros((), dtype=torch.float64, device=ours.device)
    for x, y in zip(ours, theirs, strict=True):
        maps[:height, 0, :width] = x + y
        maps[:height, 1, :width] = x - y
        torch.mul(maps[:, :2], maps[:, :2], out=maps[:, 2:])
        blurred = blur_blocks(maps)
        squared_means = blurred[:2] * blurred[:2]
        variances = blurred[2:].sub_(squared_means)
        squared_means[0] += 2 * C1
        variances[0] += 2 * C2
        above = (squared_means[0] - squared_means[1]).mul_(variances[0] - variances[1])
        below = squared_means[0].add_(squared_means[1]).mul_(variances[0].add_(variances[1]))
        total = above.div_(below).add_(total)
    return total


def _block_side(windows: int) -> int:
    """Return the pixels that whole blocks of windows see, of as many windows or more."""
    return -(-windows // BLOCK) * BLOCK + WINDOW - 1


def blur_blocks(maps: Tensor) -> Tensor:
    """Return the Gaussian mean of each full window, by products with a band matrix: lines first, then columns.

    In float64, because E[x²] - E[x]² cancels: in float32 a flat channel beside a noisy one is off by more than 1e-5.
    `conv2d` is quick in float32 only. The maps lie side by side, so that one product takes the lines of all of them.

    Args:
        maps: (H, K, W) float64, contiguous, sides of whole blocks.

    Returns:
        (K, columns / BLOCK, lines, BLOCK) float64: windows in blocks of columns.
    """
    height, count, width = maps.shape
    lines, columns = (height - WINDOW + 1) // BLOCK, (width - WINDOW + 1) // BLOCK
    band = _band(maps.device)
    rows = maps.flatten(1).unfold(0, BLOCK + WINDOW - 1, BLOCK).transpose(1, 2)
    halfway = torch.bmm(band.expand(lines, -1, -1), rows).view(lines * BLOCK, count, width)
    blurred = maps.new_empty(count, columns, lines * BLOCK, BLOCK)
    for each, out in zip(halfway.unbind(1), blurred, strict=True):
        blocks = each.unfold(1, BLOCK + WINDOW - 1, BLOCK).transpose(0, 1)
        torch.bmm(blocks, band.t().expand(columns, -1, -1), out=out)
    return blurred


@cache
def _band(device: torch.device) -> Tensor:
    """Return the matrix that filters BLOCK windows, (BLOCK, BLOCK + 10)."""
    weights = torch.tensor(WEIGHTS, dtype=torch.float64, device=device)
    lines = [functional.pad(weights, (shift, BLOCK - 1 - shift)) for shift in range(BLOCK)]
    return torch.stack(lines)


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
