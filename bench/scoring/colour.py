"""How far apart the colours of 8-bit pictures are, and how colourful they are: pixel by pixel, in float64 or integers.

What is not exact by IEEE 754, such as powers and angles, is computed in runs of pixels that one thread takes, so that
its last digit hangs neither on the number of threads nor on the batch.
"""

import hashlib
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from datamodules.color import rgb8_to_lab
from lightning_modules.losses.ab_bins import STEP, ab_bins

RUN = 8192
"""Pixels of a run: PyTorch gives work on fewer than 32768 numbers to one thread."""

CELLS = 23
"""Cells of the grid of the bins in a* and in b*, from -110 to 110."""

LAST_THRESHOLD = 150
PERFECT_AREA = 2 * LAST_THRESHOLD
"""What `half_areas` gives a pixel without error."""

PRIOR = Path(__file__).with_name("prior_imagenet970.json")
PRIOR_SHA256 = "15e9a7c4a75ada8ec2b7648cb8f700adf5470be8a9e67c71d0456cccef1f26e6"
WEIGHT_BITS = 20


def by_runs(function: Callable[..., Tensor], *pictures: Tensor) -> Tensor:
    """Apply a function of colours to the pixels of each picture in runs of `RUN`.

    Args:
        function: of as many (C, 1, N) as there are `pictures`, to (K, 1, N).
        pictures: (B, C, H, W) each.

    Returns:
        (B, K, H, W).
    """
    height, width = pictures[0].shape[-2:]
    results = []
    for each in zip(*pictures, strict=True):
        runs = zip(*(torch.split(picture.flatten(1)[:, None], RUN, dim=2) for picture in each), strict=True)
        results.append(torch.cat([function(*run) for run in runs], 2).reshape(-1, height, width))
    return torch.stack(results)


def lab_of(pictures: Tensor) -> Tensor:
    """Return the CIE L*a*b* of (B, 3, H, W) uint8 sRGB, the same shape in float64; equal to scikit-image's."""
    return by_runs(lambda run: rgb8_to_lab(run, torch.float64), pictures)


def squared_distances(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the squared distance of a* and b* of (B, 3, H, W) L*a*b*, (B, H, W) in squared CIE units."""
    return (prediction[:, 1:] - truth[:, 1:]).square().sum(1)


def half_areas(squared: Tensor) -> Tensor:
    """Return twice the area that each pixel adds to the curve of shares over thresholds 0, 1, ..., 150.

    A pixel at distance d counts at all thresholds t with d <= t. The area below the curve is taken by the trapezoid
    rule, so a pixel adds 150 if d is 0, and else the 150.5 less the least such t, if there is one.

    Convention:
        The trapezoid rule, as in the replications that publish their code (Paddle-CIC and others); the authors' own
        evaluation is not published. The plain mean over the 151 thresholds differs by at most a third of a per cent.

    Args:
        squared: squared a*b* distances, of any shape.

    Returns:
        The same shape, int64 in [0, 300].

    Source:
        Zhang, Isola, Efros: Colorful Image Colorization, ECCV 2016, section 3.1.
    """
    threshold = squared.sqrt().ceil().clamp_max(LAST_THRESHOLD + 1).long()
    return torch.where(threshold == 0, PERFECT_AREA, (PERFECT_AREA + 1 - 2 * threshold).clamp_min(0))


def rarity_weights(truth: Tensor) -> Tensor:
    """Return the weight of each pixel in the rebalanced AuC: the inverse prior of its true bin, in units of 2**-20.

    Args:
        truth: (B, 3, H, W) L*a*b* in float64.

    Returns:
        (B, H, W) int64, below 2**42.
    """
    return bin_weights().to(truth.device)[find_bins(truth[:, 1:])]


def find_bins(chroma: Tensor) -> Tensor:
    """Return the nearest of the 313 bins of each pixel, by rounding to the grid that the bins lie on.

    Equal to `nearest_bin`: each of the 16.7 million colours of 8 bits lies in the cell of a bin.

    Args:
        chroma: (B, 2, H, W) a* and b* of 8-bit sRGB in CIE units.

    Returns:
        (B, H, W) int64.
    """
    rows, columns = ((chroma / STEP).round().long() + CELLS // 2).unbind(1)
    return cells().to(chroma.device)[rows, columns]


@cache
def cells() -> Tensor:
    """Return the number of the bin of each cell of the grid, (23, 23); -1 for a cell that is none."""
    table = torch.full((CELLS, CELLS), -1)
    rows, columns = (ab_bins() / STEP).long().add(CELLS // 2).unbind(1)
    table[rows, columns] = torch.arange(len(rows))
    return table


@cache
def bin_weights() -> Tensor:
    """Return the inverse prior of each bin in units of 2**-20, (313,) int64.

    Convention:
        The prior is this suite's own, fixed and the same for all data: `colorbench prior` of 970 photos of ImageNet,
        smoothed, not mixed with a uniform one (lambda is 0). Where it is below one of the pixels counted, it says
        nothing, and that one pixel's share is taken; 45 bins are so rare, together 2e-6 of all pixels. The authors'
        `prior_probs.npy` is not used: its largest bins are corners of the gamut. It is what comes of a conversion to
        L*a*b* that wants values up to 1 and is given values up to 255, and no prior of photos.

    Raises:
        RuntimeError: The file of the prior is not the one that this version was made with.
    """
    content = PRIOR.read_bytes()
    if hashlib.sha256(content).hexdigest() != PRIOR_SHA256:
        raise RuntimeError(f"{PRIOR.name} has been changed: auc_rebalanced is defined by it; install colorbench again")
    prior = json.loads(content)
    probability = torch.tensor(prior["probability"], dtype=torch.float64).clamp_min(1 / prior["pixels"])
    return (2.0**WEIGHT_BITS / probability).round().long()


def opponents(pictures: Tensor) -> Tensor:
    """Return R - G, R + G - 2 B and their squares, of which colorfulness is made.

    Args:
        pictures: (B, 3, H, W) uint8.

    Returns:
        (B, 4, H, W) int32.
    """
    red, green, blue = pictures.int().unbind(1)
    red_green, double_yellow_blue = red - green, red + green - 2 * blue
    signed = torch.stack((red_green, double_yellow_blue), 1)
    return torch.cat((signed, signed * signed), 1)


def sums_to_colorfulness(sums: list[int], pixels: int) -> float:
    """Return the colorfulness of a region from the sums of its `opponents`.

    Convention:
        Signed rg = R - G and yb = (R + G) / 2 - B of 8-bit values, population variance, as in the paper. The code of
        DDColor, CT2 and UniColor takes |rg| and |yb|, which gives other, lower numbers.

    Source:
        Hasler and Süsstrunk, Measuring Colourfulness in Natural Images, SPIE 2003, equation for M of section 7.
    """
    red_green, yellow_blue, red_green_squares, yellow_blue_squares = sums
    spread = 4 * (pixels * red_green_squares - red_green**2) + pixels * yellow_blue_squares - yellow_blue**2
    distance = 4 * red_green**2 + yellow_blue**2
    return (math.sqrt(spread) + 0.3 * math.sqrt(distance)) / (2 * pixels)


def ciede2000_map(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the CIEDE2000 difference of (B, 3, H, W) L*a*b* in float64, (B, H, W), with kL = kC = kH = 1."""
    return by_runs(_ciede2000, prediction, truth)[:, 0]


def _ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Return the difference of (3, 1, N) colours, (1, 1, N).

    Source:
        Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula, Color Research and Application 2005, section 2.
    """
    (light_1, chroma_1, hue_1), (light_2, chroma_2, hue_2) = _light_chroma_hue(first, second)
    both_coloured = (chroma_1 * chroma_2) != 0
    turn = torch.where(both_coloured, _shorter(hue_2 - hue_1), 0.0)
    light, chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    hue = torch.where(both_coloured, _mean_hue(hue_1, hue_2), hue_1 + hue_2)
    by_hue = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    off_middle = (light - 50).square()
    in_light = (light_2 - light_1) / (1 + 0.015 * off_middle / (20 + off_middle).sqrt())
    in_chroma = (chroma_2 - chroma_1) / (1 + 0.045 * chroma)
    in_hue = 2 * (chroma_1 * chroma_2).sqrt() * torch.sin(turn / 2) / (1 + 0.015 * chroma * by_hue)
    angle = math.radians(60) * torch.exp(-((hue - math.radians(275)) / math.radians(25)).square())
    rotation = -2 * _saturation(chroma) * torch.sin(angle)
    squared = in_light.square() + in_chroma.square() + in_hue.square() + rotation * in_chroma * in_hue
    return squared.clamp_min(0).sqrt()[None]


def _light_chroma_hue(first: Tensor, second: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return light, chroma and hue in [0, 2 pi) of two colours, with a* stretched where both are near to grey."""
    mean = (torch.hypot(first[1], first[2]) + torch.hypot(second[1], second[2])) / 2
    stretch = 1.5 - 0.5 * _saturation(mean)
    parts = []
    for light, a, b in (first, second):
        hue = torch.atan2(b, a * stretch)
        parts.append((light, torch.hypot(a * stretch, b), torch.where(hue < 0, hue + math.tau, hue)))
    return parts


def _shorter(turn: Tensor) -> Tensor:
    """Return a turn in (-2 pi, 2 pi) on the shorter arc, in [-pi, pi]."""
    return torch.where(turn > math.pi, turn - math.tau, torch.where(turn < -math.pi, turn + math.tau, turn))


def _mean_hue(first: Tensor, second: Tensor) -> Tensor:
    """Return the hue halfway between two on the shorter arc, in [0, 2 pi)."""
    total = first + second
    other = torch.where(total < math.tau, total + math.tau, total - math.tau)
    return torch.where((first - second).abs() > math.pi, other, total) / 2


def _saturation(chroma: Tensor) -> Tensor:
    """Return sqrt(C^7 / (C^7 + 25^7)), by products: powers are slow."""
    seventh = (chroma * chroma * chroma).square() * chroma
    return (seventh / (seventh + 25.0**7)).sqrt()
