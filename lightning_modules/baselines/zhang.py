"""Colorization as classification, after Zhang, Isola and Efros, ECCV 2016."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.training_colors import photo_data, read_chromas, spread
from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.losses.color_prior import ColorPrior
from lightning_modules.losses.rebalanced import rebalanced_cross_entropy, rebalancing_weights
from lightning_modules.networks.eccv16 import Eccv16Net

CELL = 4
"""Pixels of the picture, per axis, that share one distribution."""

PRIOR_SIZE = 64
"""Side in pixels of the photos that the prior is counted on."""


class ZhangColorizer(Colorizer):
    """Classify each pixel into 313 colours, rare ones weighing more, and take the annealed mean.

    Args:
        network: gives the logits of the bins and decodes them.
        temperature: of the annealed mean: 0.38 as in the paper, 1 for the released PyTorch weights.
        neighbours: bins that share a true pixel; 5 in the paper, 10 in the released training code.
        sigma: of their Gaussian, in CIE units.
        rebalance: weight pixels by the rarity of their colour; without it all weigh the same.
        uniform: lambda, the part of the uniform distribution in the prior that the weights come from.
        prior_photos: training photos that the prior is counted on, at most.
        input_size: side in pixels that light is resized to; None keeps its size.
        learning_rate: of Adam, a tenth of it after every `decay_steps`.
        weight_decay: of Adam.
        decay_steps: optimiser steps between two drops of the learning rate.

    Source:
        Zhang et al. 2016, section 2; the optimiser is that of the solver file in the authors' repository.
    """

    bins: Tensor

    def __init__(
        self,
        *,
        network: Eccv16Net,
        temperature: float = 0.38,
        neighbours: int = 5,
        sigma: float = 5.0,
        rebalance: bool = True,
        uniform: float = 0.5,
        prior_photos: int = 1000,
        input_size: int | None = 256,
        learning_rate: float = 3e-5,
        weight_decay: float = 1e-3,
        decay_steps: int = 225_000,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.network = network
        self.prior = ColorPrior()
        self.temperature = temperature
        self.neighbours = neighbours
        self.sigma = sigma
        self.rebalance = rebalance
        self.uniform = uniform
        self.prior_photos = prior_photos
        self.weight_decay = weight_decay
        self.decay_steps = decay_steps
        self.register_buffer("bins", ab_bins(), persistent=False)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network, and the prior of its training photos."""
        return {"network": self.network, "prior": self.prior}

    def prepare_training(self, datamodule: pl.LightningDataModule) -> None:
        """Count the colours of the training photos; where there are none the prior stays as it is."""
        source = photo_data(datamodule).source("train")
        if source is not None:
            keys = spread(source.photos, self.prior_photos)
            self.prior.learn(chroma for _, chroma in read_chromas(source, keys, PRIOR_SIZE))

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the annealed mean, scaled up from cells of 4 x 4 pixels."""
        height, width = gray.light.shape[-2:]
        chroma: Tensor = self.network.decode(self.network(gray.light), self.temperature)
        chroma = functional.interpolate(chroma, scale_factor=CELL, mode="bilinear", align_corners=False)
        return chroma[:, :, :height, :width]

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the rebalanced cross-entropy as `loss`, the plain one as `cross_entropy`, in nat.

        The truth of a cell is its top left pixel. Works at the size of the batch.
        """
        truth = batch.chroma[:, :, ::CELL, ::CELL]
        weights = rebalancing_weights(self.prior.probability, self.uniform)
        logits = self.network(batch.gray.light)
        rebalanced, plain = rebalanced_cross_entropy(
            logits, truth, self.bins, weights, neighbours=self.neighbours, sigma=self.sigma
        )
        return {"loss": rebalanced if self.rebalance else plain, "cross_entropy": plain}

    def configure_optimizers(self) -> Any:
        """Return Adam, its learning rate dropping to a tenth every `decay_steps` steps."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, self.decay_steps, gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
