"""Colours from scribbles: a sparse system of equations for each picture, and nothing learned."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from datamodules.color import lab_to_rgb
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.propagation import propagate


def grey_values(light: Tensor) -> Tensor:
    """Return the gamma-encoded grey in [0, 1], float64 (B, H, W), that a picture of this light alone has.

    Args:
        light: (B, 1, H, W) L* in [0, 100].
    """
    lab = functional.pad(light.double(), (0, 0, 0, 0, 0, 2))
    return lab_to_rgb(lab)[:, 1].clamp(0, 1)


class LevinColorizer(Colorizer):
    """Spread the colours of a picture's hints over it, where neighbouring pixels of like grey get like colours.

    Scribbles are the squares of the guide, the same that any other method is given with as many hints and the same
    seed. A picture without a hint stays grey.

    Convention:
        The authors spread I and Q of NTSC and weigh neighbours by its Y. Here a* and b* are spread, beside the own
        light of the picture, and neighbours are weighed by that light's grey value, which is Y of the grey picture.

    Args:
        input_size: side in pixels that light and hints are resized to; None solves for every pixel.

    Source:
        Levin, Lischinski, Weiss: Colorization using Optimization, SIGGRAPH 2004, and the authors' Matlab code.
    """

    needs_hints: ClassVar[bool] = True

    def __init__(self, *, input_size: int | None = None) -> None:
        super().__init__(input_size=input_size)

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the colours of the guide where it has any, and elsewhere those that they spread to."""
        if gray.guide is None:
            return gray.light.new_zeros(len(gray), 2, *gray.light.shape[-2:])
        guide = gray.guide.double().cpu().numpy()
        greys = grey_values(gray.light).cpu().numpy()
        spread = [propagate(grey, each[:2], each[2] > 0) for grey, each in zip(greys, guide, strict=True)]
        return torch.stack([torch.from_numpy(chroma) for chroma in spread]).to(gray.light)
