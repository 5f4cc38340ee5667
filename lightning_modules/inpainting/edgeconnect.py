"""Inpainting after EdgeConnect, Nazeri et al. 2019: lines first, colour next."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.holed_photos import to_gray
from datamodules.inpaint_batch import Filling, HoledBatch, InpaintBatch
from lightning_modules.adversarial import AdversarialTraining
from lightning_modules.inpainting.inpainter import Inpainter
from lightning_modules.losses.adversarial import AdversarialLoss, Kind
from lightning_modules.losses.feature_matching import feature_matching_loss
from lightning_modules.losses.perceptual import PerceptualLoss
from lightning_modules.losses.style import StyleLoss
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator
from lightning_modules.networks.patchgan import PatchDiscriminator

Phase = Literal["edges", "completion", "both"]


class EdgeConnectInpainter(AdversarialTraining, Inpainter):
    """Draw the lines of what is missing, then fill it by the lines.

    Training has three phases, shares of its steps. The edge generator learns to draw Canny's edges of the truth; the
    completion generator learns to fill by these; then it learns to fill by the lines that are drawn, the edge
    discriminator being left out. Without edges the completion generator is trained all the time, its channel of edges
    being 0 everywhere.

    Convention:
        The authors train each phase until it converges, with optimisers of its own. In the third one their README and
        code have two ways: the edge generator stands still (`joint: false`, MODEL 3 of their code, the usual one), or
        it is trained through the completion generator (`joint: true`, as the paper says; MODEL 4 of their code keeps
        the edge discriminator as well). Generated lines count in the hole, those of the picture elsewhere, as in the
        paper and in their training; their test script takes the generated ones everywhere.

    Args:
        edge_network: grey picture, its known edges and the hole to the lines of all.
        completion_network: picture and lines to the picture.
        edge_discriminator: of grey picture and lines.
        completion_discriminator: of the picture.
        uses_edges: False for the ablation without edges.
        joint: whether the edge generator is trained in the third phase.
        edge_share: of the steps, those of the first phase.
        completion_share: of the steps, those of the second.
        adversarial: kind of both adversarial losses.
        matching_weight: of the feature-matching loss of lines.
        l1_weight: of the absolute error, which is divided by the share of the hole.
        adversarial_weight: of the completion generator's adversarial loss; that of lines has 1.
        perceptual_weight: of the perceptual loss; with that of style 0 as well, no VGG-19 is needed.
        style_weight: of the style loss, in the hole.
        learning_rate: of the generators; the discriminators have a tenth.

    Source:
        Nazeri et al. 2019; the weights are those of `config.yml.example` of github.com/knazeri/edge-connect.
    """

    draws_edges = True

    def __init__(
        self,
        *,
        edge_network: EdgeGenerator,
        completion_network: CompletionGenerator,
        edge_discriminator: PatchDiscriminator,
        completion_discriminator: PatchDiscriminator,
        uses_edges: bool = True,
        joint: bool = False,
        edge_share: float = 1 / 3,
        completion_share: float = 1 / 3,
        adversarial: Kind = "nsgan",
        matching_weight: float = 10.0,
        l1_weight: float = 1.0,
        adversarial_weight: float = 0.1,
        perceptual_weight: float = 0.1,
        style_weight: float = 250.0,
        learning_rate: float = 1e-4,
    ) -> None:
        super().__init__()
        self.edge_network, self.edge_discriminator = edge_network, edge_discriminator
        self.completion_network, self.completion_discriminator = completion_network, completion_discriminator
        self.draws_edges = self.uses_edges = uses_edges
        self.joint = joint
        self.edge_share, self.completion_share = edge_share, completion_share
        self.objective = AdversarialLoss(adversarial)
        self.matching_weight, self.l1_weight, self.adversarial_weight = matching_weight, l1_weight, adversarial_weight
        self.perceptual_weight, self.style_weight = perceptual_weight, style_weight
        self.learning_rate = learning_rate
        self.phase: Phase = "edges" if uses_edges else "completion"
        self.vgg: nn.Sequential | None = None

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generators; without edges the second one alone."""
        edges = {"edge_network": self.edge_network} if self.uses_edges else {}
        return {**edges, "completion_network": self.completion_network}

    def discriminators(self) -> Mapping[str, nn.Module]:
        """Return both discriminators."""
        edges = {"edges": self.edge_discriminator} if self.uses_edges else {}
        return {**edges, "completion": self.completion_discriminator}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return the network that the perceptual and the style loss look through, where they have a weight.

        It is built when it is first asked for: who only fills does without.
        """
        if self.vgg is None and (self.perceptual_weight or self.style_weight):
            from torchvision.models import vgg19

            self.vgg = vgg19(weights=None).features.requires_grad_(False)
        return {} if self.vgg is None else {"vgg19": self.vgg}

    def setup(self, stage: str) -> None:
        """Have all that the losses need before a checkpoint is read."""
        if stage == "fit":
            self.pretrained()

    def fill(self, holed: HoledBatch) -> Filling:
        """Fill by the lines that are given away, else by those that are drawn."""
        edges = self.lines(holed) if holed.true_edges is None else holed.true_edges
        edges = edges if self.uses_edges else torch.zeros_like(holed.edges)
        return Filling(self.complete(holed, edges), edges if self.uses_edges else None)

    def draw(self, holed: HoledBatch) -> Tensor:
        """Return the lines of the whole picture as they are drawn, (B, 1, H, W) in [0, 1]."""
        lines: Tensor = self.edge_network(torch.cat([to_gray(holed.rgb), holed.edges, holed.hole], dim=1))
        return lines

    def lines(self, holed: HoledBatch) -> Tensor:
        """Return the lines of a picture: in the hole as they are drawn, elsewhere its own."""
        return torch.where(holed.hole > 0, self.draw(holed), holed.edges)

    def complete(self, holed: HoledBatch, edges: Tensor) -> Tensor:
        """Return the picture, (B, 3, H, W) in [0, 1], by what is known and all lines."""
        picture: Tensor = self.completion_network(torch.cat([holed.rgb, edges], dim=1))
        return picture

    def on_train_batch_start(self, batch: InpaintBatch, batch_idx: int) -> None:
        """Tell the phase from the number of the step alone, so that a resumed training is in the same one."""
        self.phase = self.phase_of(self.global_step, self.steps()) if self.uses_edges else "completion"

    def phase_of(self, step: int, steps: int) -> Phase:
        """Return the phase of a step of so many, counted from 0."""
        if step < self.edge_share * steps:
            return "edges"
        return "completion" if step < (self.edge_share + self.completion_share) * steps else "both"

    def steps(self) -> int:
        """Return how many steps the training has.

        Raises:
            ValueError: It has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ValueError("the phases of edgeconnect are shares of its training: give max_steps or max_epochs")
        return int(steps)

    def generate(self, batch: InpaintBatch) -> Tensor:
        """Return lines, (B, 1, H, W), in the first phase, else pictures, (B, 3, H, W)."""
        if self.phase == "edges":
            return self.draw(batch.holed)
        if not self.uses_edges:
            return self.complete(batch.holed, torch.zeros_like(batch.edges))
        if self.phase == "completion":
            return self.complete(batch.holed, batch.edges)
        lines = self.lines(batch.holed)
        return self.complete(batch.holed, lines if self.joint else lines.detach())

    def discriminator_loss(self, batch: InpaintBatch, made: Tensor) -> dict[str, Tensor]:
        """Return the mean of the losses on real and made lines, or pictures."""
        answers = [maps[-1] for maps in self.judge(batch, made.detach())]
        real, fake = self.objective.discriminator(*answers)
        return {"loss": (real + fake) / 2, "real": real, "fake": fake}

    def judge(self, batch: InpaintBatch, made: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of the phase's discriminator of the truth, and of what was made."""
        truth = batch.rgb / 255
        if self.phase == "edges":
            gray = to_gray(truth)
            real, fake = torch.cat([gray, batch.edges], dim=1), torch.cat([gray, made], dim=1)
            return self.edge_discriminator(real), self.edge_discriminator(fake)
        return self.completion_discriminator(truth), self.completion_discriminator(made)

    def generator_loss(self, batch: InpaintBatch, made: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum as `loss`, and its parts, not weighted."""
        parts = self.edge_losses(batch, made) if self.phase == "edges" else self.completion_losses(batch, made)
        weights = {
            "edges_adversarial": 1.0,
            "matching": self.matching_weight,
            "l1": self.l1_weight,
            "adversarial": self.adversarial_weight,
            "perceptual": self.perceptual_weight,
            "style": self.style_weight,
        }
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts}

    def edge_losses(self, batch: InpaintBatch, made: Tensor) -> dict[str, Tensor]:
        """Return the losses of lines."""
        real, fake = self.judge(batch, made)
        return {
            "edges_adversarial": self.objective.generator(fake[-1]),
            "matching": feature_matching_loss(real, fake),
        }

    def completion_losses(self, batch: InpaintBatch, made: Tensor) -> dict[str, Tensor]:
        """Return the losses of pictures; those that look through VGG-19 where they have a weight."""
        truth, hole = batch.rgb / 255, batch.holed.hole
        parts = {
            "l1": functional.l1_loss(made, truth) / hole.mean(),
            "adversarial": self.objective.generator(self.completion_discriminator(made)[-1]),
        }
        if self.vgg is not None and self.perceptual_weight:
            parts["perceptual"] = PerceptualLoss(self.vgg)(made, truth)
        if self.vgg is not None and self.style_weight:
            parts["style"] = StyleLoss(self.vgg)(made * hole, truth * hole)
        return parts
