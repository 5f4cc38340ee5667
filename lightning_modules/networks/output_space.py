"""What a network with a sigmoid at its end can answer in: L*a*b*, YUV or RGB, each on [0, 1]."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from datamodules.color import lab_to_rgb, rgb_to_lab, rgb_to_yuv, yuv_to_rgb

Space = Literal["lab", "yuv", "rgb"]

CHANNELS: Mapping[Space, int] = MappingProxyType({"lab": 2, "yuv": 2, "rgb": 3})
"""Channels of an answer: the two of colour, or all three where light is no channel of its own."""

AB_REACH = 100.0
"""A sigmoid of 0 and of 1 stands for an a* or b* of minus and plus this, in CIE units."""

UV_REACH = (0.436, 0.615)
"""The same for U and for V: what the colours of the sRGB gamut reach."""


def encode(space: Space, light: Tensor, chroma: Tensor) -> Tensor:
    """Return what a perfect network would answer; what lies beyond the sigmoid's range is clipped.

    Args:
        space: what the network answers in.
        light: (B, 1, H, W) L* in [0, 100].
        chroma: (B, 2, H, W) a* and b* in CIE units.

    Returns:
        (B, channels, H, W) in [0, 1].
    """
    if space == "lab":
        return ((chroma / AB_REACH + 1) / 2).clamp(0, 1)
    rgb = lab_to_rgb(torch.cat((light, chroma), dim=1)).clamp(0, 1)
    if space == "rgb":
        return rgb
    return ((rgb_to_yuv(rgb)[:, 1:] / _reach(light) + 1) / 2).clamp(0, 1)


def decode(space: Space, light: Tensor, answer: Tensor) -> Tensor:
    """Return the chroma that an answer means in a picture of this light.

    Convention:
        All methods are compared on the light that they were given, so of an RGB answer only its a* and b* count. U and
        V are joined with the luma of the grey that has this L*, as the authors' program joins them with its grey input;
        the true U and V of photos then give a* and b* that are off by 0.1 on the mean.

    Args:
        space: what the network answers in.
        light: (B, 1, H, W) L* in [0, 100].
        answer: (B, channels, H, W) in [0, 1].

    Returns:
        (B, 2, H, W) a* and b* in CIE units.
    """
    if space == "lab":
        return (2 * answer - 1) * AB_REACH
    rgb = answer
    if space == "yuv":
        rgb = yuv_to_rgb(torch.cat((gray_of(light), (2 * answer - 1) * _reach(light)), dim=1)).clamp(0, 1)
    return rgb_to_lab(rgb)[:, 1:]


def gray_of(light: Tensor) -> Tensor:
    """Return the sRGB grey in [0, 1] that has this L*, both (B, 1, H, W)."""
    return lab_to_rgb(torch.cat((light, light.new_zeros(light.shape).expand(-1, 2, -1, -1)), dim=1))[:, :1]


def _reach(light: Tensor) -> Tensor:
    return light.new_tensor(UV_REACH)[:, None, None]
