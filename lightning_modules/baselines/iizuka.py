"""Colorization with a global view and joint scene classification, after Iizuka et al., SIGGRAPH 2016."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.global_batch import mean_count
from lightning_modules.networks.iizuka import AB_SCALE, IizukaNet

UNKNOWN = -1
"""Label of a picture whose scene is not known."""


def unit_chroma(chroma: Tensor) -> Tensor:
    """Return chroma on the scale of the network's sigmoid, -100 at 0 and 100 at 1; what lies beyond is clipped."""
    return ((chroma / AB_SCALE + 1) / 2).clamp(0, 1)


def scene_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nat, of the pictures whose label is known; 0 where none is.

    Args:
        logits: (B, classes).
        label: (B,) int64, -1 where unknown.

    Raises:
        ValueError: A label is not below the number of classes.
    """
    if (label >= logits.shape[1]).any():
        raise ValueError(
            f"label {int(label.max())} in a network of {logits.shape[1]} classes: set `classes` to the dataset's number"
        )
    known = mean_count((label != UNKNOWN).sum())
    return functional.cross_entropy(logits.float(), label, ignore_index=UNKNOWN, reduction="sum") / known


class IizukaColorizer(Colorizer):
    """Learn chroma by squared error, and the scene beside it.

    The scene's gradient reaches classifier, global and low-level features; those of middle level and the colours do not
    lie on its way.

    Args:
        network: gives chroma and scene logits.
        scene_weight: alpha, of the scene's cross-entropy.
        optimizer: `adadelta` as published, or `adam`, which needs fewer steps; each wants a learning rate of its own.
        learning_rate: 1 for Adadelta, about 1e-3 for Adam.
        input_size: side in pixels that light is resized to; None keeps its size.

    Source:
        Iizuka, Simo-Serra, Ishikawa: Let there be Color!, SIGGRAPH 2016, section 4.
    """

    def __init__(
        self,
        *,
        network: IizukaNet,
        scene_weight: float = 1 / 300,
        optimizer: Literal["adadelta", "adam"] = "adadelta",
        learning_rate: float = 1.0,
        input_size: int | None = None,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.network = network
        self.scene_weight = scene_weight
        self.optimizer = optimizer

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the chroma; the scene is of no use here."""
        chroma: Tensor = self.network(gray.light)[0]
        return chroma

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return `loss` and its parts: `color`, squared error on [0, 1], and `scene`, cross-entropy in nat."""
        chroma, logits = self.network(batch.gray.light)
        color = functional.mse_loss((chroma / AB_SCALE + 1) / 2, unit_chroma(batch.chroma))
        scene = scene_loss(logits, batch.label)
        return {"loss": color + self.scene_weight * scene, "color": color, "scene": scene}

    def configure_optimizers(self) -> Any:
        """Return Adadelta or Adam over all parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        return torch.optim.Adadelta(self.parameters(), lr=self.learning_rate)
