"""Inpainting after EdgeConnect, Nazeri et al. 2019: lines first, colour next."""

import torch
from torch import Tensor

from datamodules.holed_photos import to_gray
from datamodules.inpaint_batch import Filling, HoledBatch, InpaintBatch
from lightning_modules.edgeconnect import CompletionObjective, EdgeConnectTraining, EdgeObjective, Task
from lightning_modules.inpainting.inpainter import Inpainter
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator


class EdgeConnectInpainter(EdgeConnectTraining, Inpainter):
    """Draw the lines of what is missing, then fill it by the lines.

    Convention:
        Generated lines count in the hole, those of the picture elsewhere, as in the paper and in the authors' training;
        their test script takes the generated ones everywhere. Without edges the completion network's channel of edges
        is 0 everywhere.

    Args:
        edge_network: grey picture, its known edges and the hole to the lines of all.
        completion_network: picture and lines to the picture.
        edge_objective: judges lines.
        completion_objective: judges pictures.
        uses_edges: False for the ablation without edges, whose completion network learns as long as with them.
        joint: whether the edge generator is trained in the third phase, as in the paper.
        edge_share: of the steps, those of the first phase.
        completion_share: of the steps, those of the second.
        learning_rate: of the generators' Adam; that of the discriminators is a tenth.
    """

    def __init__(
        self,
        *,
        edge_network: EdgeGenerator,
        completion_network: CompletionGenerator,
        edge_objective: EdgeObjective,
        completion_objective: CompletionObjective,
        uses_edges: bool = True,
        joint: bool = True,
        edge_share: float = 1 / 3,
        completion_share: float = 1 / 3,
        learning_rate: float = 1e-4,
    ) -> None:
        super().__init__(
            edge_network=edge_network,
            completion_network=completion_network,
            edge_objective=edge_objective,
            completion_objective=completion_objective,
            edge_share=edge_share,
            completion_share=completion_share,
            joint=joint,
            uses_edges=uses_edges,
        )
        self.draws_edges = uses_edges
        self.skipped_share = 0.0 if uses_edges else edge_share
        self.learning_rate = learning_rate

    def fill(self, holed: HoledBatch) -> Filling:
        """Fill by the lines that are given away, else by those that are drawn."""
        if not self.uses_edges:
            return Filling(self.complete(holed.rgb, torch.zeros_like(holed.edges)))
        edges = self.lines(holed) if holed.true_edges is None else holed.true_edges
        return Filling(self.complete(holed.rgb, edges), edges)

    def lines(self, holed: HoledBatch) -> Tensor:
        """Return the lines of a picture, (B, 1, H, W) in [0, 1]: in the hole as they are drawn, elsewhere its own."""
        return torch.where(holed.hole > 0, self.edge_network(sketch(holed)), holed.edges)

    def complete(self, rgb: Tensor, edges: Tensor) -> Tensor:
        """Return the picture, (B, 3, H, W) in [0, 1], by what is known, white in the hole, and all lines."""
        picture: Tensor = self.completion_network(torch.cat((rgb, edges), dim=1))
        return picture

    def task(self, batch: InpaintBatch) -> Task:
        """Return the batch with the lines of the truth; with none where it does without edges."""
        holed, truth = batch.holed, batch.rgb / 255
        return Task(
            sketch=sketch(holed),
            canvas=holed.rgb,
            missing=holed.hole,
            gray=to_gray(truth),
            edges=batch.edges if self.uses_edges else torch.zeros_like(batch.edges),
            picture=truth,
        )

    def paint(self, task: Task, edges: Tensor) -> Tensor:
        """Return the picture that is made of what is known and the lines."""
        return self.complete(task.canvas, edges)


def sketch(holed: HoledBatch) -> Tensor:
    """Return what the edge generator gets: the grey picture, its known edges and the hole, (B, 3, H, W)."""
    return torch.cat((to_gray(holed.rgb), holed.edges, holed.hole), dim=1)
