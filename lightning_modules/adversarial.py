"""Training of a generator against a discriminator, inside the same harness as all other training."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor, nn

RATE_RATIO = "rate_ratio"
"""Key of an optimiser's parameter groups: by what its learning rate differs from the recipe's."""


class AdversarialTraining(pl.LightningModule):
    """Train in turn, on each batch, the discriminators once and then the generator.

    A module inherits from this first, then from its task's class (`class Method(AdversarialTraining, Colorizer)`), and
    implements `discriminators`, `generate`, `discriminator_loss` and `generator_loss`. All parameters that want a
    gradient and are no discriminator's are the generator's: networks that only a loss looks through are to be frozen.

    Convention:
        One batch is one step of a recipe, however often the generator is updated on it: `global_step` counts batches,
        as the steps of every other method. The generator is judged by the discriminator that has just been updated.
        Gradients of several processes are averaged here, once they are all computed, because the part of the network
        that gets any changes from turn to turn, and from phase to phase.

    Attributes:
        discriminator_ratio: of the discriminators' learning rate to the generator's, which the recipe sets.
        generator_updates: of the generator on one batch.
        adam_betas: of both Adams.
    """

    discriminator_ratio: float = 0.1
    generator_updates: int = 1
    adam_betas: tuple[float, float] = (0.0, 0.9)
    learning_rate: float

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.automatic_optimization = False

    def discriminators(self) -> Mapping[str, nn.Module]:
        """Return the parts that are trained against the generator. Checkpoints hold them, weights folders do not."""
        raise NotImplementedError(f"{type(self).__name__} does not implement discriminators()")

    def generate(self, batch: Any) -> Any:
        """Return what the generator makes of a batch, in the form that the two losses want."""
        raise NotImplementedError(f"{type(self).__name__} does not implement generate()")

    def discriminator_loss(self, batch: Any, made: Any) -> dict[str, Tensor]:
        """Return the discriminators' loss as `loss`, and its parts; nothing in a phase that has no discriminator.

        No gradient is to reach the generator: `made` has one, and is to be detached.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement discriminator_loss()")

    def generator_loss(self, batch: Any, made: Any) -> dict[str, Tensor]:
        """Return the generator's loss as `loss`, and its parts, each a scalar tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not implement generator_loss()")

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return the generator's loss as `loss`, and its parts, as validation logs them."""
        return self.generator_loss(batch, self.generate(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Update both sides; log each part as `train/<part>`, the discriminators' as `train/discriminator_<part>`.

        Returns:
            The sum of both losses, which is finite while both are.
        """
        generator, *others = self._optimizers()
        made = self.generate(batch)
        judged = self.discriminator_loss(batch, made)
        for optimizer in others if judged else ():
            self._update(optimizer, judged["loss"], counts=False)
        for left in reversed(range(self.generator_updates)):
            with _frozen(self.discriminators().values()):
                parts = self.generator_loss(batch, made)
                self._update(generator, parts["loss"], counts=left == 0)
            made = self.generate(batch) if left else None
        for name, value in (*parts.items(), *((f"discriminator_{name}", value) for name, value in judged.items())):
            self.log(f"train/{name}", value.detach(), batch_size=len(batch), prog_bar=name == "loss")
        return parts["loss"].detach() + (judged["loss"].detach() if judged else 0.0)

    def _optimizers(self) -> list[LightningOptimizer]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _update(self, optimizer: LightningOptimizer, loss: Tensor, *, counts: bool) -> None:
        """Step an optimiser down a loss; Lightning counts those steps alone that go by its own wrapper."""
        optimizer.zero_grad()
        strategy = self.trainer.strategy
        with strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext():
            self.manual_backward(loss)
        if self.trainer.world_size > 1:
            self._average_gradients(optimizer)
        if counts:
            optimizer.step()
        else:
            strategy.optimizer_step(optimizer.optimizer, closure=lambda: None)

    def _average_gradients(self, optimizer: LightningOptimizer) -> None:
        """Give each parameter the mean of the gradients of all processes; one that has none anywhere keeps none."""
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        reached = torch.tensor([each.grad is not None for each in parameters], device=self.device).float()
        anywhere = self.trainer.strategy.reduce(reached, reduce_op="sum").tolist()
        used = [each for each, count in zip(parameters, anywhere, strict=True) if count]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in used]
        if used:
            mean = self.trainer.strategy.reduce(torch.cat([each.flatten() for each in gradients]), reduce_op="mean")
            for each, part in zip(used, mean.split([each.numel() for each in used]), strict=True):
                each.grad = part.view_as(each)

    def configure_optimizers(self) -> Any:
        """Return Adam over the generator's parameters, and one over the discriminators' where there are any."""
        judging = [each for part in self.discriminators().values() for each in part.parameters()]
        known = {id(each) for each in judging}
        making = [each for each in self.parameters() if each.requires_grad and id(each) not in known]
        sides = [(making, 1.0), *([(judging, self.discriminator_ratio)] if judging else [])]
        return [
            torch.optim.Adam(
                [{"params": parameters, RATE_RATIO: ratio}], lr=self.learning_rate * ratio, betas=self.adam_betas
            )
            for parameters, ratio in sides
        ]


@contextmanager
def _frozen(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Compute no gradient of the parameters of some parts, only through them."""
    wanting = [each for part in parts for each in part.parameters() if each.requires_grad]
    for each in wanting:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in wanting:
            each.requires_grad_(True)
