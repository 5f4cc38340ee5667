"""What every colorization method is: light in, chroma out, with one way to train and no way to score itself."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn
from torch.nn import functional

from datamodules.hints import resize_guide
from datamodules.types import ColorBatch, GrayBatch


class Colorizer(pl.LightningModule):
    """Give the chroma of grey pictures.

    A method implements `colorize`; a trainable one also `loss` and `networks`. It works at its own `input_size` and its
    answer is scaled to the size of the light that it was given, so that one set of weights serves any protocol.
    Built by LightningCLI it keeps its `class_path` tree, by which its checkpoints reload.

    Args:
        input_size: side in pixels that light is resized to before the network sees it; None keeps the size.
        crop_size: side of the instance crops that the method wants in its batches; None for a method without crops.
        learning_rate: of the optimiser that `configure_optimizers` makes.
    """

    uses_boxes: ClassVar[bool] = False
    """Whether `forward` looks at boxes or crops. Methods that do not are run once, without a detector."""

    uses_masks: bool = False
    """Whether its batches are to hold the masks of instances; an ablation of a method may set it for itself."""

    needs_hints: ClassVar[bool] = False
    """Whether it has no colours but those of hints; such a method is ranked in the track `hints` alone."""

    hint_stop: float | None = None
    """Chance, before each hint of a training picture, that none follows; None for a method that takes no hints."""

    ancestors: ClassVar[Mapping[str, str]] = {}
    """Networks that begin as another one of an earlier training stage: their names, and those of the other ones."""

    def __init__(
        self, *, input_size: int | None = None, crop_size: int | None = None, learning_rate: float = 1e-4
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.crop_size = crop_size
        self.learning_rate = learning_rate
        if _given_hyperparameters.get() is not None:
            self.save_hyperparameters()

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Colour a batch whose light has the method's `input_size`.

        Args:
            gray: light (B, 1, h, w); `boxes` keep the pixels of the photo, with its size beside them.

        Returns:
            (B, 2, h, w) a* and b* in CIE units; any h and w are scaled to those of the light by `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement colorize()")

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the training loss as `loss`, and its named parts, each a scalar tensor."""
        raise NotImplementedError(f"{type(self).__name__} learns nothing: it does not implement loss()")

    def counted(self, batch: ColorBatch) -> int:
        """Return how many pictures, or crops, of a batch its loss is the mean of."""
        return len(batch)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the parts that a weights folder holds, one file each. Empty for a method without weights."""
        return {}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return the parts that begin a training from ImageNet weights, by torchvision's name of their network.

        Those of the networks as well as those of losses. The state dict of each has keys and shapes of a leading part
        of torchvision's `vgg16().features` or `vgg19().features`, its first layer one channel instead of three at will.
        A recipe's `pretrained: false` leaves them as they were drawn.
        """
        return {}

    def inherit(self, loaded: frozenset[str]) -> None:
        """Fill networks that no weights were loaded for from those named in `loaded`, before training begins."""

    def check_data(self, datamodule: pl.LightningDataModule) -> None:
        """Refuse training photos that the method cannot learn from.

        Raises:
            ValueError: Says what does not fit, and which setting would.
        """

    def prepare_training(self, datamodule: pl.LightningDataModule) -> None:
        """Learn from the training photos what gradient descent does not: colour banks, priors."""

    def forward(self, gray: GrayBatch) -> Tensor:
        """Return the chroma of a batch.

        Args:
            gray: light (B, 1, H, W), L* in [0, 100].

        Returns:
            (B, 2, H, W) a* and b* in CIE units, float32, at the size of the given light.
        """
        height, width = gray.light.shape[-2:]
        chroma = self.colorize(self.at_input_size(gray)).float()
        if chroma.shape[-2:] != (height, width):
            chroma = functional.interpolate(chroma, (height, width), mode="bilinear", align_corners=False)
        return chroma

    def at_input_size(self, gray: GrayBatch) -> GrayBatch:
        """Return the batch with light and guide stretched to `input_size`, the light bilinear with antialiasing."""
        size = self.input_size
        if size is None or gray.light.shape[-2:] == (size, size):
            return gray
        light = functional.interpolate(gray.light, (size, size), mode="bilinear", align_corners=False, antialias=True)
        guide = None if gray.guide is None else resize_guide(gray.guide, (size, size))
        return replace(gray, light=light, guide=guide)

    def setup(self, stage: str) -> None:
        """Let the method look at the training photos once, before `fit`; one without networks before every stage."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None and (stage == "fit" or not self.networks()):
            self.prepare_training(datamodule)

    def training_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
        """Log every part of the loss as `train/<part>`."""
        parts = self.loss(batch)
        for name, value in parts.items():
            self.log(f"train/{name}", value, batch_size=len(batch), prog_bar=name == "loss")
        return parts["loss"]

    def validation_step(self, batch: ColorBatch, batch_idx: int) -> None:
        """Log the loss of held-out photos as `val/<part>`, each that is counted with the same weight."""
        if len(batch) == 0:
            return
        for name, value in self.loss(batch).items():
            self.log(f"val/{name}", value, batch_size=self.counted(batch), sync_dist=True)

    def test_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
        """Return the chroma, (B, 2, H, W), for the evaluator to score; (0, 2, H, W) where no picture could be read."""
        return self(batch.gray) if len(batch) else batch.chroma

    def predict_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
        """Return the chroma, as `test_step` does."""
        return self.test_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        """Return Adam over the parameters that are to be trained."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self.learning_rate)
