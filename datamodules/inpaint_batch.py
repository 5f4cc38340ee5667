"""The batch of the other task: pictures with a hole, and what fills it."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from datamodules.types import Failure


@dataclass(frozen=True, slots=True)
class HoledBatch:
    """Hold all that an inpainting method may see: never what is in the hole.

    Attributes:
        key: names of the B pictures.
        rgb: (B, 3, H, W) float32 sRGB in [0, 1]; 1, white, in the hole.
        hole: (B, 1, H, W) float32, 1 where the picture is missing, else 0.
        edges: (B, 1, H, W) float32, 1 on the lines of what is known, 0 elsewhere and in the hole.
        true_edges: (B, 1, H, W) float32, the lines of the truth, in the hole as well, where they are given away; None
            elsewhere.
    """

    key: tuple[str, ...]
    rgb: Tensor
    hole: Tensor
    edges: Tensor
    true_edges: Tensor | None = None

    def __len__(self) -> int:
        return len(self.key)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Move all tensors to `device`."""
        return replace(
            self,
            rgb=self.rgb.to(device, non_blocking=non_blocking),
            hole=self.hole.to(device, non_blocking=non_blocking),
            edges=self.edges.to(device, non_blocking=non_blocking),
            true_edges=None if self.true_edges is None else self.true_edges.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True, slots=True)
class InpaintBatch:
    """Hold a `HoledBatch` with its truth, for training and scoring.

    Attributes:
        holed: what the method may see.
        rgb: (B, 3, H, W) uint8, the truth in sRGB.
        edges: (B, 1, H, W) float32, 1 on the lines of the whole truth, else 0.
        failures: pictures of this batch that could not be read; they have no place in the tensors.
    """

    holed: HoledBatch
    rgb: Tensor
    edges: Tensor
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.holed)

    @property
    def key(self) -> tuple[str, ...]:
        """Return the names of the pictures."""
        return self.holed.key

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Move all tensors to `device`."""
        return replace(
            self,
            holed=self.holed.to(device, non_blocking),
            rgb=self.rgb.to(device, non_blocking=non_blocking),
            edges=self.edges.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True, slots=True)
class Filling:
    """Hold what an inpainting method answers; outside of the hole nobody looks at it.

    Attributes:
        rgb: (B, 3, H, W) float, sRGB in [0, 1].
        edges: (B, 1, H, W) float, the chance of a line, where the method draws lines first; else None.
    """

    rgb: Tensor
    edges: Tensor | None = None


def fill_hole(truth: Tensor, filling: Tensor, hole: Tensor) -> Tensor:
    """Return the truth with its hole filled, (B, 3, H, W) uint8.

    Args:
        truth: (B, 3, H, W) uint8.
        filling: (B, 3, H, W) float in [0, 1]; clipped, and rounded half to even.
        hole: (B, 1, H, W), 1 or True in the hole.
    """
    values = (filling.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return torch.where(hole.bool(), values, truth)
