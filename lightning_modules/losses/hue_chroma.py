"""Hue and chroma as histograms: what is true around a pixel, and which colour a distribution means."""

import math

import torch
from torch import Tensor, nn

FADED_BELOW = 0.03
"""Length of the mean vector of a histogram of hue below which its colour fades."""


def hue_chroma(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return hue and chroma of (..., 3, H, W) R G B in [0, 1].

    Returns:
        Two (..., H, W) in [0, 1]: the hue of HSV, red at 0, and its saturation times its value; a grey has hue 0.

    Source:
        Larsson et al. 2016, section 3.1; `bgr_to_munsell_layer` of their Caffe.
    """
    red, green, blue = rgb.unbind(-3)
    value = rgb.amax(dim=-3)
    chroma = value - rgb.amin(dim=-3)
    safe = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    sector = torch.where(red == value, (green - blue) / safe, sector)
    return torch.where(chroma > 0, (sector / 6) % 1, 0), chroma


def to_rgb(gray: Tensor, hue: Tensor, chroma: Tensor) -> Tensor:
    """Return (B, 3, H, W) R G B in [0, 1] of hue and chroma, with a grey as the mean of its three channels.

    Convention:
        The grey is first taken for the lightness of HSL, which gives the value, grey + chroma / 2; the three channels
        are then moved together to the grey, and clipped.

    Args:
        gray: (B, 1, H, W) in [0, 1].
        hue: (B, H, W) in [0, 1].
        chroma: (B, H, W) in [0, 1].

    Source:
        Larsson et al. 2016, section 3.1; `calc_rgb_from_hue_chroma` and `match_lightness` of their release.
    """
    wanted = gray[:, 0] + chroma / 2
    value = wanted.clamp(0, 1)
    depth = value * (chroma / wanted.clamp(min=torch.finfo(wanted.dtype).tiny)).clamp(0, 1)
    places = [(offset + 6 * hue) % 6 for offset in (5, 3, 1)]
    rgb = torch.stack([value - depth * torch.minimum(each, 4 - each).clamp(0, 1) for each in places], dim=1)
    return (rgb - rgb.mean(dim=1, keepdim=True) + gray).clamp(0, 1)


def window_histograms(values: Tensor, places: Tensor, bins: int, window: int) -> Tensor:
    """Return how values are distributed in a square around some pixels.

    Args:
        values: (B, H, W) in [0, 1].
        places: (B, N, 2) int64, row and column of the centres.
        bins: of equal width.
        window: odd side of the square in pixels; what lies outside of the picture is not counted.

    Returns:
        (B, N, bins) float32, each adds up to 1.
    """
    height, width = values.shape[1:]
    steps = torch.arange(window, device=values.device) - window // 2
    rows = places[..., 0, None, None] + steps[:, None]
    columns = places[..., 1, None, None] + steps
    inside = ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).flatten(2)
    pixels = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(2)
    seen = values.flatten(1).gather(1, pixels.flatten(1)).view(pixels.shape)
    found = (seen * bins).long().clamp(max=bins - 1)
    counts = seen.new_zeros(*places.shape[:2], bins).scatter_add_(2, found, inside.to(seen))
    return counts / counts.sum(dim=2, keepdim=True)


def divergence(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of predictions from the truth, (..., bins) both, as (...) in nat."""
    return (torch.xlogy(truth, truth) - truth * logits.float().log_softmax(dim=-1)).sum(dim=-1)


class HueChromaLoss(nn.Module):
    """Compare histograms of hue and chroma at some pixels; a hue counts as much as its pixel has chroma.

    Convention:
        The paper predicts the colour of the pixel alone (`window` 1); the released training takes the 7 x 7 pixels
        around it and weights the chroma by how light the pixel is (`fade_ends`).

    Args:
        hue_weight: multiplies the part of the hue.
        window: odd side, in pixels, of the square whose colours a pixel is to predict.
        fade_ends: let the chroma of a pixel whose grey is below a third, or above two, count less, down to nothing at
            black and white.

    Source:
        Larsson et al. 2016, section 3.2; train_vgg16.prototxt of their release.
    """

    def __init__(self, hue_weight: float = 5.0, window: int = 1, fade_ends: bool = False) -> None:
        super().__init__()
        self.hue_weight = hue_weight
        self.window = window
        self.fade_ends = fade_ends

    def forward(
        self, logits: tuple[Tensor, Tensor], gray: Tensor, rgb: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss and its two parts, means over the pixels.

        Args:
            logits: of hue and of chroma, (B, N, bins) each.
            gray: (B, 1, H, W) in [0, 1].
            rgb: (B, 3, H, W) of the truth, in [0, 1].
            places: (B, N, 2) int64, row and column of the pixels.

        Returns:
            The whole, the divergence of hue weighted by chroma, and that of chroma, all scalars.
        """
        predicted_hue, predicted_chroma = logits
        hue, chroma = (window_histograms(each, places, logits[0].shape[-1], self.window) for each in hue_chroma(rgb))
        hue_part = (divergence(predicted_hue, hue) * at_places(hue_chroma(rgb)[1], places)).mean()
        chroma_part = (divergence(predicted_chroma, chroma) * self._weights(at_places(gray[:, 0], places))).mean()
        return chroma_part + self.hue_weight * hue_part, hue_part, chroma_part

    def _weights(self, gray: Tensor) -> Tensor:
        return 3 * torch.minimum(gray, 1 - gray).clamp(0, 1 / 3) if self.fade_ends else torch.ones_like(gray)


def at_places(values: Tensor, places: Tensor) -> Tensor:
    """Return (B, N) of (B, H, W) values at (B, N, 2) rows and columns."""
    return values.flatten(1).gather(1, places[..., 0] * values.shape[2] + places[..., 1])


def mean_hue(shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return the expectation of hue on its circle, and how far its colour is to fade.

    Args:
        shares: (B, bins, H, W), a pixel's add up to 1.

    Returns:
        Two (B, H, W): the hue in [0, 1), and a factor in [0, 1] for the chroma, below 1 where the hues contradict each
        other.

    Source:
        Larsson et al. 2016, section 3.3, where the factor is written with `max`; `min`, as in the release, is meant.
    """
    bins = shares.shape[1]
    angles = (torch.arange(bins, device=shares.device) + 0.5) * (2 * math.pi / bins)
    real, imaginary = (torch.einsum("bkhw,k->bhw", shares, each) / bins for each in (angles.cos(), angles.sin()))
    fading = (torch.hypot(real, imaginary) / FADED_BELOW).clamp(max=1)
    return torch.atan2(imaginary, real) / (2 * math.pi) % 1, fading


def median(shares: Tensor) -> Tensor:
    """Return the median, (B, H, W) in [0, 1], of (B, bins, H, W) shares, interpolated within its bin.

    Source:
        Larsson et al. 2016, section 3.3; the release takes the middle of the bin.
    """
    sums = shares.cumsum(dim=1)
    place = (sums < 0.5 * sums[:, -1:]).sum(dim=1, keepdim=True).clamp(max=shares.shape[1] - 1)
    share, upto = shares.gather(1, place), sums.gather(1, place)
    left = 1 - (upto - 0.5 * sums[:, -1:]) / share.clamp(min=torch.finfo(shares.dtype).tiny)
    return ((place + left.clamp(0, 1)) / shares.shape[1])[:, 0]
