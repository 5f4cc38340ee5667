"""Colorization as classification, and as the regression it was compared with, after Zhang et al., ECCV 2016."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.training_colors import photo_data, read_chromas, spread, training_size
from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.losses.color_prior import ColorPrior
from lightning_modules.losses.euclidean import euclidean_loss
from lightning_modules.losses.rebalanced import rebalanced_cross_entropy, rebalancing_weights
from lightning_modules.networks.cells import BinNetwork, CellNetwork
from lightning_modules.networks.eccv16 import AB_SCALE, CELL


def cell_truth(chroma: Tensor, cell: int = CELL) -> Tensor:
    """Return the top left pixel of each cell of (B, 2, H, W) chroma, as (B, 2, ceil(H / cell), ceil(W / cell)).

    Source:
        The training network in the authors' repository subsamples; it does not average.
    """
    return chroma[..., ::cell, ::cell]


def enlarged(cells: Tensor, light: Tensor, cell: int) -> Tensor:
    """Return the (B, 2, h, w) chroma of cells at the size of the (B, 1, H, W) light, scaled up bilinearly."""
    height, width = light.shape[-2:]
    chroma = functional.interpolate(cells, scale_factor=cell, mode="bilinear", align_corners=False)
    return chroma[:, :, :height, :width]


class ZhangTraining(Colorizer):
    """Hold the solver that all networks of the paper are trained with.

    Args:
        input_size: side in pixels that light is resized to; None keeps its size.
        learning_rate: of Adam, a tenth of it after every `decay_steps`.
        weight_decay: of Adam.
        betas: of Adam.
        decay_steps: optimiser steps between two drops of the learning rate.

    Source:
        The solver file in the authors' repository.
    """

    def __init__(
        self,
        *,
        input_size: int | None = 256,
        learning_rate: float = 3e-5,
        weight_decay: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        decay_steps: int = 225_000,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.weight_decay = weight_decay
        self.betas = betas
        self.decay_steps = decay_steps

    def configure_optimizers(self) -> Any:
        """Return Adam, its learning rate dropping to a tenth every `decay_steps` steps."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, self.decay_steps, gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class ZhangColorizer(ZhangTraining):
    """Classify each pixel into 313 colours, rare ones weighing more, and take the annealed mean.

    Args:
        network: gives the logits of the bins and decodes them.
        temperature: of the annealed mean: 0.38 as in the paper, 1 for the released PyTorch weights.
        neighbours: bins that share a true pixel; 5 in the paper, 10 in the released training code.
        sigma: of their Gaussian, in CIE units.
        rebalance: weight pixels by the rarity of their colour; without it all weigh the same.
        uniform: lambda, the part of the uniform distribution in the prior that the weights come from.
        prior_photos: training photos that the prior is counted on, at most.
        **solver: the size of the light and the optimiser, as in `ZhangTraining`.

    Source:
        Zhang et al. 2016, section 2.
    """

    bins: Tensor

    def __init__(
        self,
        *,
        network: BinNetwork,
        temperature: float = 0.38,
        neighbours: int = 5,
        sigma: float = 5.0,
        rebalance: bool = True,
        uniform: float = 0.5,
        prior_photos: int = 1000,
        **solver: Any,
    ) -> None:
        super().__init__(**solver)
        self.network = network
        self.prior = ColorPrior()
        self.temperature = temperature
        self.neighbours = neighbours
        self.sigma = sigma
        self.rebalance = rebalance
        self.uniform = uniform
        self.prior_photos = prior_photos
        self.register_buffer("bins", ab_bins(), persistent=False)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network, and where it rebalances the prior of its training photos."""
        return {"network": self.network, "prior": self.prior} if self.rebalance else {"network": self.network}

    def prepare_training(self, datamodule: pl.LightningDataModule) -> None:
        """Count the truths of cells on the training photos; without photos the prior stays as it is."""
        data = photo_data(datamodule)
        source = data.source("train")
        if source is not None and self.rebalance:
            photos = read_chromas(source, spread(source.photos, self.prior_photos), training_size(data))
            self.prior.learn(cell_truth(chroma, self.network.cell) for _, chroma in photos)

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the annealed mean, scaled up from the cells of the network."""
        answer = self.network.decode(self.network(gray.light), self.temperature)
        return enlarged(answer, gray.light, self.network.cell)

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the rebalanced cross-entropy as `loss`, the plain one as `cross_entropy`, in nat.

        Works at the size of the batch.
        """
        weights = rebalancing_weights(self.prior.probability, self.uniform)
        rebalanced, plain = rebalanced_cross_entropy(
            self.network(batch.gray.light),
            cell_truth(batch.chroma, self.network.cell),
            self.bins,
            weights,
            neighbours=self.neighbours,
            sigma=self.sigma,
        )
        return {"loss": rebalanced if self.rebalance else plain, "cross_entropy": plain}


class ZhangRegression(ZhangTraining):
    """Learn chroma by squared error, from scratch or from a network that classifies: what the paper compares with.

    Args:
        network: gives the chroma of cells.
        **solver: the size of the light and the optimiser, as in `ZhangTraining`.

    Source:
        Zhang et al. 2016, equation 1; "L2" of table 1.
    """

    def __init__(self, *, network: CellNetwork, **solver: Any) -> None:
        super().__init__(**solver)
        self.network = network

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the chroma, scaled up from the cells of the network."""
        return enlarged(self.network(gray.light), gray.light, self.network.cell)

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the squared error as `loss`, in units of 110; works at the size of the batch."""
        truth = cell_truth(batch.chroma, self.network.cell)
        return {"loss": euclidean_loss(self.network(batch.gray.light), truth, scale=AB_SCALE)}


class ZhangFineTunedRegression(ZhangRegression):
    """Go on by squared error from the network that classifies with rebalancing; the last layer alone begins anew.

    Source:
        Zhang et al. 2016, section 3.1, "L2, ft" of table 1.
    """

    ancestors: ClassVar[Mapping[str, str]] = {"regression": "network"}

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the network, by a name that leaves that of the classification to stand beside it."""
        return {"regression": self.network}
