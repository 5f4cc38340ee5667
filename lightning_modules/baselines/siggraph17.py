"""Colorization with local hints, after Zhang et al., SIGGRAPH 2017."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.ab_grid import grid_cell
from lightning_modules.losses.absolute import AbsoluteLoss
from lightning_modules.losses.huber import colorful, mean_over
from lightning_modules.networks.siggraph import SiggraphNet
from lightning_modules.phases import training_steps

CELL = 4
"""Pixels of the picture, per axis, that share one class."""

GRAY_RANGE = 5.0
"""A picture is grey, and teaches nothing, where the ranges of a* and b* are less than this in sum."""


class Siggraph17Colorizer(Colorizer):
    """Regress colours from light and, where a batch has a guide, from hints.

    Training has two phases. In the first the class head teaches the trunk, without hints, and the colours teach only
    what comes after it; in the second the colours teach everything but the class head, from simulated hints.

    Convention:
        The authors train each phase for whole epochs with an optimiser of its own, the first one also on ten classes of
        photos before all others. Here one optimiser goes through all, and the first phase is a share of its steps:
        half, as the authors have 15 epochs and then 10 + 5. Grey pictures go through the network, where they reach
        the statistics of BatchNorm, but not into the loss; the authors leave them out of both.

    Args:
        network: light and guide to chroma; both of its heads are trained.
        loss: chroma and truth to a scalar; the released code's `AbsoluteLoss` where none is given.
        class_weight: lambda, of the class head's cross-entropy beside it.
        class_share: of the steps, those of the first phase.
        hint_stop: chance, before each hint of a training picture, that none follows; 1 trains without hints.
        input_size: side in pixels that light and hints are resized to; None keeps their size.
        learning_rate: of Adam.

    Source:
        Zhang et al. 2017, section 3; the figures are those of the training script of colorization-pytorch.
    """

    def __init__(
        self,
        *,
        network: SiggraphNet,
        loss: nn.Module | None = None,
        class_weight: float = 1.0,
        class_share: float = 0.5,
        hint_stop: float = 0.125,
        input_size: int | None = 256,
        learning_rate: float = 1e-4,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.network = network
        self.network.model_class.requires_grad_(True)
        self.objective = loss or AbsoluteLoss()
        self.class_objective = nn.CrossEntropyLoss()
        self.class_weight = class_weight
        self.class_share = class_share
        self.hint_stop = hint_stop
        self.classifying = False

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the one network."""
        return {"network": self.network}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Colour the light by the hints of the guide, or freely where there is none."""
        chroma: Tensor = self.network(gray.light, gray.guide)
        return chroma

    def counted(self, batch: ColorBatch) -> int:
        """Return how many pictures of the batch are not grey."""
        return int(colorful(batch.chroma, GRAY_RANGE).sum())

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the sum as `loss`, and its parts `regression` and `cross_entropy` (in nat, not yet weighted).

        The true class of a cell is that of its top left pixel. Works at the size of the batch.
        """
        guide = None if self.classifying else batch.gray.guide
        chroma, logits = self.network.both_heads(batch.gray.light, guide, classify=self.classifying)
        keep = colorful(batch.chroma, GRAY_RANGE)
        regression = mean_over(self.objective, keep, chroma, batch.chroma)
        classes = grid_cell(batch.chroma[:, :, ::CELL, ::CELL])
        cross_entropy = mean_over(self.class_objective, keep, logits, classes)
        total = regression + self.class_weight * cross_entropy
        return {"loss": total, "regression": regression, "cross_entropy": cross_entropy}

    def on_train_batch_start(self, batch: ColorBatch, batch_idx: int) -> None:
        """Tell the phase from the number of the step alone, so that a resumed training is in the same one."""
        self.classifying = self.global_step < self.class_share * training_steps(self.trainer)
