"""Colorization as EdgeConnect fills pictures: lines first, colour next."""

import torch
from torch import Tensor

from datamodules.color import lab_to_rgb
from datamodules.edges import SIGMA, canny_edges
from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.edgeconnect import CompletionObjective, EdgeConnectTraining, EdgeObjective, Task
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator
from lightning_modules.networks.output_space import decode

SCALE = 100.0
"""CIE units of light and of colour that are taken as 1."""


class EdgeConnectColorizer(EdgeConnectTraining, Colorizer):
    """Draw the lines of the colour picture from the grey one, then colour between them.

    The edge generator gets light, its Canny edges and a mask that says that colour is missing everywhere; the
    completion network gets light and the lines that were drawn.

    Convention:
        Published are the networks, the losses with their weights and the order of training; the authors fill holes, and
        nobody published how their system colours. Ours are: what is missing, which is the colour of all pixels; what
        the true lines are, which is Canny's edges of L*, of a* and of b* together, all in units of 100, so that an edge
        of colour counts as one of light does; and that the completion network has two inputs and two outputs, a* and
        b* within -100 and 100. Its losses look at the RGB of that and the given light, as they look at pictures there.

    Args:
        edge_network: three channels to lines.
        completion_network: light and lines to two channels.
        edge_objective: judges lines.
        completion_objective: judges pictures.
        edge_share: of the steps, those in which lines alone are learned.
        completion_share: of the steps, those in which colours are learned, between true lines.
        sigma: of Canny's edges, in pixels of the picture at `input_size`.
        input_size: side in pixels that light is resized to; None keeps its size.
        learning_rate: of the generators' Adam; that of the discriminators is a tenth.
    """

    def __init__(
        self,
        *,
        edge_network: EdgeGenerator,
        completion_network: CompletionGenerator,
        edge_objective: EdgeObjective,
        completion_objective: CompletionObjective,
        edge_share: float = 1 / 3,
        completion_share: float = 1 / 3,
        sigma: float = SIGMA,
        input_size: int | None = 256,
        learning_rate: float = 1e-4,
    ) -> None:
        super().__init__(
            edge_network=edge_network,
            completion_network=completion_network,
            edge_objective=edge_objective,
            completion_objective=completion_objective,
            edge_share=edge_share,
            completion_share=completion_share,
            input_size=input_size,
            learning_rate=learning_rate,
        )
        self.sigma = sigma

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Draw the lines, then return the colours between them."""
        light = gray.light / SCALE
        edges = self.edge_network(sketch(light, canny_edges(light, self.sigma)))
        return self._chroma(light, edges)

    def task(self, batch: ColorBatch) -> Task:
        """Return the batch with the lines of light and of colour."""
        light = batch.gray.light
        lab = torch.cat((light, batch.chroma), dim=1)
        lines = canny_edges(lab / SCALE, self.sigma)
        gray = light / SCALE
        return Task(
            sketch=sketch(gray, lines[:, :1]),
            canvas=gray,
            missing=torch.ones_like(gray),
            gray=gray,
            edges=lines.amax(dim=1, keepdim=True),
            picture=lab_to_rgb(lab),
        )

    def paint(self, task: Task, edges: Tensor) -> Tensor:
        """Return the RGB of the light and the colours that are filled in; beyond the gamut it leaves [0, 1]."""
        return lab_to_rgb(torch.cat((task.gray * SCALE, self._chroma(task.canvas, edges)), dim=1))

    def _chroma(self, light: Tensor, edges: Tensor) -> Tensor:
        answer = self.completion_network(torch.cat((light, edges), dim=1))
        return decode("lab", light, answer)


def sketch(light: Tensor, edges: Tensor) -> Tensor:
    """Return what the edge generator gets of a picture whose colour is missing everywhere; all of (B, 1, H, W)."""
    return torch.cat((light, edges, torch.ones_like(light)), dim=1)
