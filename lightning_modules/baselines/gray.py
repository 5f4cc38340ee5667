"""The least that a method can do: no colour."""

from torch import Tensor

from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer


class GrayColorizer(Colorizer):
    """Give every pixel zero chroma."""

    def __init__(self) -> None:
        super().__init__()

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return zeros, (B, 2, H, W)."""
        batch, _, height, width = gray.light.shape
        return gray.light.new_zeros(batch, 2, height, width)
