"""What EdgeConnect is trained by, whatever it is that a picture lacks: its losses, and the phases of its training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.adversarial import AdversarialTraining
from lightning_modules.losses.adversarial import AdversarialLoss, Kind
from lightning_modules.losses.feature_matching import feature_matching_loss
from lightning_modules.losses.perceptual import PerceptualLoss, vgg19_features
from lightning_modules.losses.style import StyleLoss
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator
from lightning_modules.networks.patchgan import PatchDiscriminator
from lightning_modules.phases import training_steps

Phase = Literal["edges", "completion", "both"]


class EdgeObjective(nn.Module):
    """Judge lines by a discriminator that sees them with their grey picture, and by its features.

    Args:
        kind: of the adversarial loss.
        matching_weight: of feature matching, beside an adversarial loss of weight 1.
        width: of the discriminator, 1 is the published size.
    """

    def __init__(self, kind: Kind = "nsgan", matching_weight: float = 10.0, width: float = 1.0) -> None:
        super().__init__()
        self.discriminator = PatchDiscriminator(2, width)
        self.adversarial = AdversarialLoss(kind)
        self.matching_weight = matching_weight

    def judge(self, gray: Tensor, truth: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return the discriminator's loss as `loss`; all of (B, 1, H, W) in [0, 1]."""
        real, fake = (self.discriminator(torch.cat((gray, edges), dim=1)) for edges in (truth, made.detach()))
        return {"loss": torch.stack(self.adversarial.discriminator(real[-1], fake[-1])).mean()}

    def forward(self, gray: Tensor, truth: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return the edge generator's loss as `loss`, and its parts, not yet weighted."""
        real, fake = (self.discriminator(torch.cat((gray, edges), dim=1)) for edges in (truth, made))
        fooled, matching = self.adversarial.generator(fake[-1]), feature_matching_loss(real, fake)
        return {"loss": fooled + self.matching_weight * matching, "edge_adversarial": fooled, "matching": matching}


class CompletionObjective(nn.Module):
    """Judge pictures by absolute error, by a discriminator, and by the maps of VGG-19 and what goes together in them.

    Convention:
        The weights are those of the example configuration in the authors' repository, as the paper has them; the
        defaults of its code differ. VGG-19 is not there where both losses that look through it weigh nothing.

    Args:
        kind: of the adversarial loss.
        absolute_weight: of the mean absolute error, which is divided by the share of the picture that is missing.
        adversarial_weight: of the adversarial loss.
        perceptual_weight: of the perceptual loss.
        style_weight: of the style loss, which looks at what is missing alone.
        width: of discriminator and VGG-19, 1 is the published size.
    """

    def __init__(
        self,
        kind: Kind = "nsgan",
        absolute_weight: float = 1.0,
        adversarial_weight: float = 0.1,
        perceptual_weight: float = 0.1,
        style_weight: float = 250.0,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.discriminator = PatchDiscriminator(3, width)
        self.adversarial = AdversarialLoss(kind)
        self.features = vgg19_features(width) if perceptual_weight or style_weight else None
        self.weights = {"absolute": absolute_weight, "adversarial": adversarial_weight}
        self.weights |= {"perceptual": perceptual_weight, "style": style_weight}

    def judge(self, truth: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return the discriminator's loss as `loss`; (B, 3, H, W) RGB in [0, 1]."""
        real, fake = (self.discriminator(picture)[-1] for picture in (truth, made.detach()))
        return {"loss": torch.stack(self.adversarial.discriminator(real, fake)).mean()}

    def forward(self, truth: Tensor, made: Tensor, missing: Tensor) -> dict[str, Tensor]:
        """Return the completion network's loss as `loss`, and its parts, not yet weighted.

        Args:
            truth: (B, 3, H, W) RGB in [0, 1].
            made: the same, of the network.
            missing: (B, 1, H, W), 1 where the picture was to be filled, else 0.
        """
        parts = {
            "absolute": (made - truth).abs().mean() / missing.mean(),
            "adversarial": self.adversarial.generator(self.discriminator(made)[-1]),
        }
        if self.features is not None:
            parts["perceptual"] = PerceptualLoss(self.features)(made, truth)
            parts["style"] = StyleLoss(self.features)(made * missing, truth * missing)
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts}


@dataclass(frozen=True, slots=True)
class Task:
    """Hold a batch as EdgeConnect sees it; values in [0, 1].

    Attributes:
        sketch: (B, channels, H, W), what the edge generator gets.
        canvas: (B, channels, H, W), what the completion network gets beside edges.
        missing: (B, 1, H, W), 1 where something is to be filled in, else 0.
        gray: (B, 1, H, W), the grey picture, whole.
        edges: (B, 1, H, W), the lines of the truth.
        picture: (B, 3, H, W) RGB, the truth.
    """

    sketch: Tensor
    canvas: Tensor
    missing: Tensor
    gray: Tensor
    edges: Tensor
    picture: Tensor


@dataclass(frozen=True, slots=True)
class Made:
    """Hold a task with what was made of it: the lines, and the picture, which the first phase has none of."""

    task: Task
    edges: Tensor
    picture: Tensor | None


class EdgeConnectTraining(AdversarialTraining):
    """Train both generators in one training of three phases: lines, colours between true lines, both end to end.

    A module inherits from this first, then from its task's class, and implements `task` and `paint`.

    Convention:
        Published are three trainings, each of which ends when its losses level off; here they are shares of one. The
        last one is that of the paper: the edge discriminator is removed, and both generators are trained end to end,
        lines being judged by the picture alone. The authors' released code has two others: its MODEL 3 lets the edge
        generator stand still, which is `joint: false` here, and its MODEL 4 trains both, but keeps edge discriminator
        and feature matching.

    Args:
        edge_network: draws lines.
        completion_network: fills in what is missing.
        edge_objective: judges lines.
        completion_objective: judges pictures.
        edge_share: of the steps, those of the first phase.
        completion_share: of the steps, those of the second.
        joint: whether the edge generator is trained in the third phase.
        uses_edges: False trains the completion network alone, all the time; its task has no lines.
        **settings: of the task's class.

    Source:
        Nazeri, Ng, Joseph, Qureshi, Ebrahimi: EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning,
        2019; github.com/knazeri/edge-connect.
    """

    def __init__(
        self,
        *,
        edge_network: EdgeGenerator,
        completion_network: CompletionGenerator,
        edge_objective: EdgeObjective,
        completion_objective: CompletionObjective,
        edge_share: float,
        completion_share: float,
        joint: bool = True,
        uses_edges: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.edge_network = edge_network
        self.completion_network = completion_network
        self.edge_objective = edge_objective
        self.completion_objective = completion_objective
        self.edge_share = edge_share
        self.completion_share = completion_share
        self.joint = joint
        self.uses_edges = uses_edges
        self.phase: Phase = "both" if uses_edges else "completion"

    def task(self, batch: Any) -> Task:
        """Return a training batch as EdgeConnect sees it."""
        raise NotImplementedError(f"{type(self).__name__} does not implement task()")

    def paint(self, task: Task, edges: Tensor) -> Tensor:
        """Return the picture that the completion network makes of a task and (B, 1, H, W) edges: (B, 3, H, W) RGB."""
        raise NotImplementedError(f"{type(self).__name__} does not implement paint()")

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the two generators; without edges the second alone."""
        return self._sides(self.edge_network, self.completion_network)

    def discriminators(self) -> Mapping[str, nn.Module]:
        """Return the two discriminators; without edges the second alone."""
        return self._sides(self.edge_objective.discriminator, self.completion_objective.discriminator)

    def _sides(self, edges: nn.Module, completion: nn.Module) -> Mapping[str, nn.Module]:
        return {**({"edges": edges} if self.uses_edges else {}), "completion": completion}

    def pretrained(self) -> Mapping[str, nn.Module]:
        """Return VGG-19, which perceptual and style loss look through, where they weigh anything."""
        features = self.completion_objective.features
        return {} if features is None else {"vgg19": features}

    def generate(self, batch: Any) -> Made:
        """Return what the generators of the phase make of a batch; known lines stay as they are."""
        task = self.task(batch)
        if self.phase == "edges":
            return Made(task, self.edge_network(task.sketch), None)
        edges = task.edges
        if self.phase == "both":
            drawn = torch.where(task.missing.bool(), self.edge_network(task.sketch), task.edges)
            edges = drawn if self.joint else drawn.detach()
        return Made(task, edges, self.paint(task, edges))

    def discriminator_loss(self, batch: Any, made: Made) -> dict[str, Tensor]:
        """Return the loss of the discriminator that the phase has."""
        task = made.task
        if made.picture is None:
            return self.edge_objective.judge(task.gray, task.edges, made.edges)
        return self.completion_objective.judge(task.picture, made.picture)

    def generator_loss(self, batch: Any, made: Made) -> dict[str, Tensor]:
        """Return the loss of lines in the first phase, and that of pictures in the others."""
        task = made.task
        parts: dict[str, Tensor]
        if made.picture is None:
            parts = self.edge_objective(task.gray, task.edges, made.edges)
        else:
            parts = self.completion_objective(task.picture, made.picture, task.missing)
        return parts

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Tell the phase from the number of the step alone, so that a resumed training is in the same one."""
        self.phase = self.phase_of(self.global_step, training_steps(self.trainer))

    def phase_of(self, step: int, steps: int) -> Phase:
        """Return the phase of a step of so many, counted from 0; without edges there is one alone."""
        if not self.uses_edges:
            return "completion"
        if step < self.edge_share * steps:
            return "edges"
        return "completion" if step < (self.edge_share + self.completion_share) * steps else "both"
