"""Colorization by a conditional GAN, after Nazeri, Ng and Ebrahimi, 2018."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.adversarial import AdversarialTraining
from lightning_modules.base import Colorizer
from lightning_modules.losses.adversarial import AdversarialLoss, mean_of_pictures
from lightning_modules.losses.global_batch import mean_count
from lightning_modules.losses.huber import colorful
from lightning_modules.networks.colorgan import ColorGanDiscriminator, ColorGanGenerator

LIGHT_MIDDLE = 50.0
CHROMA_REACH = 110.0
"""A tanh of -1 and of 1 stands for L* 0 and 100, and for an a* or b* of minus and plus this."""


def lab_scale(light: Tensor, chroma: Tensor) -> Tensor:
    """Return the (B, 3, H, W) picture of (B, 1, H, W) light and (B, 2, H, W) chroma on the generator's scale."""
    return torch.cat((light / LIGHT_MIDDLE - 1, chroma / CHROMA_REACH), dim=1)


class ColorGanColorizer(AdversarialTraining, Colorizer):
    """Learn the whole picture by absolute error, and to pass for real with a discriminator that sees its grey.

    The generator is updated twice on each batch, the discriminator once before that, at a tenth of its learning rate.

    Convention:
        The generator's light is learned as published, but not answered: all methods are compared on the light that they
        were given. The authors leave grey photos out; here they go through the networks, where they reach the
        statistics of a batch, but not into the losses. The learning rate is the recipe's, which knows their decay.

    Args:
        generator: light to L*a*b*.
        discriminator: judges L*a*b* beside light.
        absolute_weight: of the absolute error, beside the adversarial loss.
        real_label: that the discriminator is to answer to real pictures, smoothed on that side alone: 0.9 for
            Places365, 1 for CIFAR-10.
        input_size: side in pixels that light is resized to; None keeps its size.
        learning_rate: of the generator's Adam.

    Source:
        `src/models.py` in the authors' repository.
    """

    generator_updates = 2
    adam_betas = (0.0, 0.999)

    def __init__(
        self,
        *,
        generator: ColorGanGenerator,
        discriminator: ColorGanDiscriminator,
        absolute_weight: float = 100.0,
        real_label: float = 0.9,
        input_size: int | None = 256,
        learning_rate: float = 3e-4,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.generator = generator
        self.discriminator = discriminator
        self.absolute_weight = absolute_weight
        self.objective = AdversarialLoss("nsgan", real_label)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator."""
        return {"generator": self.generator}

    def discriminators(self) -> Mapping[str, nn.Module]:
        """Return the one discriminator."""
        return {"discriminator": self.discriminator}

    def counted(self, batch: ColorBatch) -> int:
        """Return how many pictures of the batch are not grey."""
        return int(colorful(batch.chroma).sum())

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Return the two channels of colour that the generator answers."""
        answer: Tensor = self.generator(gray.light)
        return answer[:, 1:] * CHROMA_REACH

    def generate(self, batch: ColorBatch) -> Tensor:
        """Return the generator's answer, (B, 3, H, W) in [-1, 1], at the size of the batch."""
        made: Tensor = self.generator(batch.gray.light)
        return made

    def discriminator_loss(self, batch: ColorBatch, made: Tensor) -> dict[str, Tensor]:
        """Return `loss`, the sum of its parts `real` and `fake`, which are cross-entropies in nat."""
        light = batch.gray.light
        answers = self.discriminator(light, lab_scale(light, batch.chroma)), self.discriminator(light, made.detach())
        real, fake = self.objective.discriminator(*answers, shares(batch))
        return {"loss": real + fake, "real": real, "fake": fake}

    def generator_loss(self, batch: ColorBatch, made: Tensor) -> dict[str, Tensor]:
        """Return `loss` and its parts: `adversarial`, cross-entropy in nat, and `absolute`, not yet weighted."""
        light = batch.gray.light
        counts = shares(batch)
        absolute = mean_of_pictures((made - lab_scale(light, batch.chroma)).abs(), counts)
        adversarial = self.objective.generator(self.discriminator(light, made), counts)
        return {
            "loss": adversarial + self.absolute_weight * absolute,
            "adversarial": adversarial,
            "absolute": absolute,
        }


def shares(batch: ColorBatch) -> Tensor:
    """Return by how much each picture counts, (B,): equally, over the batches of all processes, and a grey one not."""
    keep = colorful(batch.chroma)
    return keep / mean_count(keep.sum())
