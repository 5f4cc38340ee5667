"""Colorization with a global view and joint scene classification, after Iizuka et al., SIGGRAPH 2016."""

from collections.abc import Mapping
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.training_colors import photo_data
from lightning_modules.losses.global_batch import mean_count
from lightning_modules.losses.huber import colorful, mean_over
from lightning_modules.networks.iizuka import IizukaNet
from lightning_modules.networks.output_space import encode

UNKNOWN = -1
"""Label of a picture whose scene is not known."""


def too_few_classes(classes: int, wanted: int) -> str:
    """Return what to say of a network that knows fewer scenes than the photos show."""
    return (
        f"the photos have labels of {wanted} classes, the network knows {classes}: train it with "
        f"`--set classes={wanted}`"
    )


def scene_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nat, of the pictures whose label is known; 0 where none is.

    Args:
        logits: (B, classes).
        label: (B,) int64, -1 where unknown.

    Raises:
        ValueError: A label is not below the number of classes.
    """
    known = mean_count((label != UNKNOWN).sum())
    if (label >= logits.shape[1]).any():
        raise ValueError(too_few_classes(logits.shape[1], int(label.max()) + 1))
    return functional.cross_entropy(logits.float(), label, ignore_index=UNKNOWN, reduction="sum") / known


class IizukaColorizer(Colorizer):
    """Learn chroma by squared error, and the scene beside it.

    The scene's gradient reaches classifier, global and low-level features; those of middle level and the colours do not
    lie on its way.

    Convention:
        The authors took grey photos out of their training set. Here a grey picture teaches no colours, but its scene.

    Args:
        network: gives colours and scene logits; its `global_branch` and `space` are ablations of the paper.
        scene_weight: alpha, of the scene's cross-entropy; 0 learns colours alone, another ablation.
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
        self.objective = nn.MSELoss()
        self.scene_weight = scene_weight
        self.optimizer = optimizer

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    def check_data(self, datamodule: pl.LightningDataModule) -> None:
        """Check that the network knows all classes of the training photos; photos without labels are good too.

        Raises:
            ValueError: It knows fewer; the message has the number to set.
        """
        source = photo_data(datamodule).source("train")
        wanted = 0 if source is None else len(source.classes)
        if self.network.global_branch and wanted > self.network.classes:
            raise ValueError(too_few_classes(self.network.classes, wanted))

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the chroma; the scene is of no use here."""
        chroma: Tensor = self.network(gray.light)[0]
        return chroma

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return `loss` and its parts: `color`, squared error on [0, 1], and `scene`, cross-entropy in nat.

        Without the global branch nothing names a scene, and `scene` is 0.
        """
        light = batch.gray.light
        answer, logits = self.network.answer(light)
        truth = encode(self.network.space, light, batch.chroma)
        color = mean_over(self.objective, colorful(batch.chroma), answer, truth)
        scene = color.new_zeros(()) if logits is None else scene_loss(logits, batch.label)
        return {"loss": color + self.scene_weight * scene, "color": color, "scene": scene}

    def configure_optimizers(self) -> Any:
        """Return Adadelta or Adam over all parameters."""
        if self.optimizer == "adam":
            return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        return torch.optim.Adadelta(self.parameters(), lr=self.learning_rate)
