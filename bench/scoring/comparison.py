"""Predictions beside their truths, and the metrics that read pixels: each scores any regions of a batch at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from torch import Tensor

from bench.scoring.fidelity import FidelityMaps, PixelBox, compare_pictures


@dataclass(frozen=True, slots=True)
class Region:
    """Name what is scored: picture `index` of a batch, or a box in it."""

    index: int
    box: PixelBox | None = None


class Comparison:
    """Hold a batch of 8-bit predictions beside their truths; what is computed of all pixels is computed once.

    Args:
        prediction: (B, 3, H, W) uint8 sRGB.
        truth: the same shape and type.
    """

    def __init__(self, prediction: Tensor, truth: Tensor) -> None:
        self.prediction = prediction
        self.truth = truth

    @cached_property
    def fidelity(self) -> FidelityMaps:
        """Squared error and SSIM of all pixels."""
        return compare_pictures(self.prediction, self.truth)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.truth.shape[-2], self.truth.shape[-1]


def psnr(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the PSNR of each region in dB."""
    return [comparison.fidelity.psnr_of(region.index, region.box) for region in regions]


def ssim(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the SSIM of each region; None below 11 px."""
    return [comparison.fidelity.ssim_of(region.index, region.box) for region in regions]


PIXEL_METRICS: Mapping[str, Callable[[Comparison, Sequence[Region]], list[float | None]]] = MappingProxyType(
    {"psnr": psnr, "ssim": ssim}
)
"""The metrics that need nothing but the two pictures, by id."""
