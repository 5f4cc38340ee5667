"""Predictions beside their truths, and the metrics that read pixels: each scores any regions of a batch at once.

Every metric is a map of all pixels, computed once a picture and only if it is asked for, and its sums over the regions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from torch import Tensor

from bench.scoring.area import AreaTable, Place, count_units
from bench.scoring.fidelity import (
    WINDOW,
    PixelBox,
    check_pair,
    error_to_psnr,
    squared_error_map,
    ssim_map,
)

SSIM_BITS = 36


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

    Raises:
        ValueError: The two are not uint8 pictures of one shape.
    """

    def __init__(self, prediction: Tensor, truth: Tensor) -> None:
        check_pair(prediction, truth)
        self.prediction = prediction
        self.truth = truth

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.truth.shape[-2], self.truth.shape[-1]

    def place(self, region: Region) -> Place:
        """Return the pixels of a region."""
        height, width = self.size
        return (region.index, *(region.box or (0, 0, width, height)))

    @cached_property
    def squared_error(self) -> AreaTable:
        """Squared error of the 8-bit values."""
        return AreaTable(squared_error_map(self.prediction, self.truth))

    @cached_property
    def similarity(self) -> AreaTable:
        """SSIM of each window by its top left pixel, summed over the channels, in units of 2**-36."""
        return AreaTable(count_units(ssim_map(self.prediction, self.truth), SSIM_BITS))


def pixels(place: Place) -> int:
    """Return how many pixels a box has."""
    _, left, top, right, bottom = place
    return (right - left) * (bottom - top)


def psnr(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the PSNR of each region in dB."""
    places = [comparison.place(region) for region in regions]
    sums = comparison.squared_error.sums(places)
    return [error_to_psnr(error, 3 * pixels(place)) for place, (error,) in zip(places, sums, strict=True)]


def ssim(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the SSIM of each region; None below 11 px."""
    windows = [_windows(comparison.place(region)) for region in regions]
    sums = iter(comparison.similarity.sums([place for place in windows if place]))
    return [next(sums)[0] / (3 * pixels(place) * 2**SSIM_BITS) if place else None for place in windows]


def _windows(place: Place) -> Place | None:
    """Return where the windows that lie inside of a box have their top left pixels; None where none fits."""
    index, left, top, right, bottom = place
    if min(right - left, bottom - top) < WINDOW:
        return None
    return index, left, top, right - WINDOW + 1, bottom - WINDOW + 1


PIXEL_METRICS: Mapping[str, Callable[[Comparison, Sequence[Region]], list[float | None]]] = MappingProxyType(
    {"psnr": psnr, "ssim": ssim}
)
"""The metrics that need nothing but the two pictures, by id."""
