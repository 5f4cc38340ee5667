"""How near a filled picture is to the truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.inpainting.metrics import WIDE_WINDOW
from bench.scoring.fidelity import PEAK, PSNR_CAP, error_to_psnr, squared_error_map, ssim_map

Gray = NDArray[np.float64]

LINE = 0.5
"""A pixel is on a drawn line where its chance is above this."""


def score_filled(filled: Tensor, truth: Tensor) -> dict[str, float | None]:
    """Return the scores of one picture by id; None where it is too small.

    Args:
        filled: (3, H, W) uint8, the truth but for the hole.
        truth: the same.
    """
    ours, theirs = to_gray_picture(filled), to_gray_picture(truth)
    pair = filled[None], truth[None]
    similarity = ssim_map(*pair)
    return {
        "psnr": error_to_psnr(int(squared_error_map(*pair).sum()), truth.numel()),
        "ssim": float(similarity.mean() / 3) if similarity.numel() else None,
        "l1_relative": relative_l1(ours, theirs),
        "l1_of_truth": l1_of_truth(filled.cpu().numpy() / PEAK, truth.cpu().numpy() / PEAK),
        "psnr_gray": gray_psnr(ours, theirs),
        "ssim_gray51": wide_ssim(ours, theirs),
    }


def to_gray_picture(rgb: Tensor) -> Gray:
    """Return the light of a picture (3, H, W) uint8 as (H, W) in [0, 1], by scikit-image's weights."""
    from skimage.color import rgb2gray

    gray: Gray = rgb2gray(rgb.permute(1, 2, 0).cpu().numpy() / PEAK)
    return gray


def relative_l1(ours: Gray, truth: Gray) -> float | None:
    """Return the sum of the absolute differences over the sum of both, in per cent; None where both are black."""
    both = float((ours + truth).sum())
    return 100 * float(np.abs(ours - truth).sum()) / both if both else None


def l1_of_truth(ours: NDArray[np.float64], truth: NDArray[np.float64]) -> float | None:
    """Return the sum of the absolute differences over the sum of the truth, in per cent; None where that is black."""
    whole = float(truth.sum())
    return 100 * float(np.abs(ours - truth).sum()) / whole if whole else None


def gray_psnr(ours: Gray, truth: Gray) -> float:
    """Return the PSNR in dB of pictures in [0, 1], at most 100."""
    error = float(np.square(ours - truth).mean())
    return min(-10 * float(np.log10(error)), PSNR_CAP) if error else PSNR_CAP


def wide_ssim(ours: Gray, truth: Gray) -> float | None:
    """Return the SSIM of the authors' script; None for pictures smaller than its window."""
    from skimage.metrics import structural_similarity

    if min(truth.shape) < WIDE_WINDOW:
        return None
    similarity: Any = structural_similarity
    return float(similarity(truth, ours, data_range=1, win_size=WIDE_WINDOW))


def score_edges(drawn: Tensor, truth: Tensor, hole: Tensor) -> dict[str, float | None]:
    """Return precision and recall of drawn lines in the hole.

    Args:
        drawn: (H, W), chance of a line.
        truth: (H, W), 1 on the true lines.
        hole: (H, W), 1 in the hole.
    """
    made, true = (drawn > LINE) & (hole > 0), (truth > LINE) & (hole > 0)
    selected, relevant, both = int(made.sum()), int(true.sum()), int((made & true).sum())
    if not selected and not relevant:
        return {"edge_precision": 1.0, "edge_recall": 1.0}
    return {"edge_precision": both / selected if selected else 0.0, "edge_recall": both / relevant if relevant else 0.0}
