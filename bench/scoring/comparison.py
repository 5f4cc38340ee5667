"""Predictions beside their truths, and the metrics that read pixels: each scores any regions of a batch at once.

Every metric is a map of all pixels, computed once a picture and only if it is asked for, and its sums over the regions.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor

from bench.plugins import Plugin
from bench.scoring.area import AreaTable, Place, count_units, join, split
from bench.scoring.colour import (
    PERFECT_AREA,
    ciede2000_map,
    half_areas,
    lab_of,
    opponents,
    rarity_weights,
    squared_distances,
    sums_to_colorfulness,
)
from bench.scoring.fidelity import (
    WINDOW,
    PixelBox,
    check_pair,
    error_to_psnr,
    squared_error_map,
    ssim_map,
)
from bench.scoring.metrics import METRICS

SSIM_BITS = 34
DISTANCE_BITS = 40
DIFFERENCE_BITS = 28
"""Digits behind the point: few enough that the sum over the largest picture that is decoded stays below 2**63."""


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
        """SSIM of each window by its top left pixel, summed over the channels, in units of 2**-34."""
        return AreaTable(count_units(ssim_map(self.prediction, self.truth), SSIM_BITS))

    @cached_property
    def lab(self) -> tuple[Tensor, Tensor]:
        """L*a*b* of predictions and truths, (B, 3, H, W) float64 each."""
        return lab_of(self.prediction), lab_of(self.truth)

    @cached_property
    def squared_distances(self) -> Tensor:
        """Squared a*b* distances, (B, H, W) float64."""
        return squared_distances(*self.lab)

    @cached_property
    def chroma_error(self) -> AreaTable:
        """Squared a*b* distances in units of 2**-40, split."""
        return AreaTable(split(count_units(self.squared_distances, DISTANCE_BITS)))

    @cached_property
    def color_difference(self) -> AreaTable:
        """CIEDE2000 in units of 2**-28."""
        return AreaTable(count_units(ciede2000_map(*self.lab), DIFFERENCE_BITS))

    @cached_property
    def areas(self) -> AreaTable:
        """Twice the area of each pixel below the curve of shares."""
        return AreaTable(half_areas(self.squared_distances))

    @cached_property
    def weighted_areas(self) -> AreaTable:
        """The same times the weight of the pixel, split, and the weight, split."""
        weights = rarity_weights(self.lab[1])
        return AreaTable(torch.cat((split(half_areas(self.squared_distances) * weights), split(weights)), 1))


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


def ab_rmse(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the root mean square of the a*b* error over pixels and both channels, in CIE units."""
    places = [comparison.place(region) for region in regions]
    errors = [join(*sums) / 2**DISTANCE_BITS for sums in comparison.chroma_error.sums(places)]
    return [math.sqrt(error / (2 * pixels(place))) for place, error in zip(places, errors, strict=True)]


def ciede2000(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the mean CIEDE2000 colour difference of each region."""
    places = [comparison.place(region) for region in regions]
    sums = comparison.color_difference.sums(places)
    return [total / (pixels(place) * 2**DIFFERENCE_BITS) for place, (total,) in zip(places, sums, strict=True)]


def auc(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the area below the cumulative share of a*b* errors up to 150, in per cent of a perfect one."""
    places = [comparison.place(region) for region in regions]
    sums = comparison.areas.sums(places)
    return [100 * area / (PERFECT_AREA * pixels(place)) for place, (area,) in zip(places, sums, strict=True)]


def auc_rebalanced(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the same with each pixel weighted by the inverse prior of its true colour.

    Convention:
        Weights are divided out within each region, and a set's score is the mean of its pictures; with all pixels of
        a set together one picture of rare colours would count for many.
    """
    sums = comparison.weighted_areas.sums([comparison.place(region) for region in regions])
    return [100 * join(*each[:2]) / (PERFECT_AREA * join(*each[2:])) for each in sums]


def colorfulness(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the colorfulness of the prediction."""
    return _colorfulness(comparison, comparison.prediction, regions)


def colorfulness_truth(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
    """Return the colorfulness of the truth."""
    return _colorfulness(comparison, comparison.truth, regions)


def _colorfulness(comparison: Comparison, pictures: Tensor, regions: Sequence[Region]) -> list[float | None]:
    places = [comparison.place(region) for region in regions]
    sums = AreaTable(opponents(pictures)).sums(places)
    return [sums_to_colorfulness(each, pixels(place)) for place, each in zip(places, sums, strict=True)]


Score = Callable[[Comparison, Sequence[Region]], list[float | None]]

PIXEL_METRICS: Mapping[str, Score] = MappingProxyType(
    {
        "psnr": psnr,
        "ssim": ssim,
        "ab_rmse": ab_rmse,
        "ciede2000": ciede2000,
        "auc": auc,
        "auc_rebalanced": auc_rebalanced,
        "colorfulness": colorfulness,
        "colorfulness_truth": colorfulness_truth,
    }
)
"""The metrics that need nothing but the two pictures, by id."""


def pixel_metrics(names: Iterable[str]) -> dict[str, Score]:
    """Return those of some metrics that need nothing but the two pictures, plug-ins' own last."""
    wanted = tuple(names)
    brought = {name: plugin for name in wanted if (plugin := METRICS.plugin(name)) is not None}
    found = {name: score for name, score in PIXEL_METRICS.items() if name in wanted}
    return found | {name: _checked(plugin) for name, plugin in brought.items()}


def _checked(plugin: Plugin) -> Score:
    """Return the function of a plug-in's metric, whose answers are looked at."""

    def score(comparison: Comparison, regions: Sequence[Region]) -> list[float | None]:
        values = [None if value is None else float(value) for value in plugin.load().score(comparison, regions)]
        if len(values) != len(regions):
            raise ValueError(f"the metric {plugin.id} of {plugin.origin} gave {len(values)}, not {len(regions)} values")
        if not all(value is None or math.isfinite(value) for value in values):
            raise ValueError(f"the metric {plugin.id} of {plugin.origin} gave a value that is no finite number")
        return values

    return score
