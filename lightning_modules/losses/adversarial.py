"""What generator and discriminator of a GAN want of the discriminator's answers."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["nsgan", "lsgan", "hinge"]


class AdversarialLoss(nn.Module):
    """Compare a discriminator's answers, as logits, with what they should be.

    Convention:
        `lsgan` squares the error of the logits' sigmoid, as EdgeConnect's code does; Mao et al. 2017 take the answers
        as they are. The two losses of a discriminator are given apart: EdgeConnect takes their mean, others the sum.

    Args:
        kind: `nsgan`, cross-entropy that does not saturate; `lsgan`, squared error; `hinge`.
        real_label: what the discriminator is to answer to real pictures; below 1 it is smoothed on that side alone
            (Salimans et al. 2016). `hinge` has no labels, and 1.

    Raises:
        ValueError: The kind is unknown, or `hinge` is given a label.

    Source:
        Goodfellow et al. 2014, section 3; Mao et al. 2017; Miyato et al. 2018, equations 16 and 17 for `hinge`.
    """

    def __init__(self, kind: Kind = "nsgan", real_label: float = 1.0) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"the adversarial loss is {kind!r}: give one of {', '.join(get_args(Kind))}")
        if kind == "hinge" and real_label != 1:
            raise ValueError(f"real_label is {real_label}, but hinge has no labels to smooth: give 1, or another kind")
        self.kind = kind
        self.real_label = real_label

    def generator(self, fake: Tensor, shares: Tensor | None = None) -> Tensor:
        """Return the generator's loss, a scalar: its pictures should be taken for real.

        Args:
            fake: (B, ...) logits of what it made.
            shares: (B,) by which each picture counts; None where all count the same.
        """
        error = -fake.float() if self.kind == "hinge" else self._error(fake.float(), 1.0)
        return mean_of_pictures(error, shares)

    def discriminator(self, real: Tensor, fake: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the discriminator's losses, two scalars, on real pictures and on those that were made.

        Args:
            real: (B, ...) logits of real pictures.
            fake: the same of what the generator made.
            shares: (B,) by which each picture counts; None where all count the same.
        """
        real, fake = real.float(), fake.float()
        if self.kind == "hinge":
            errors = functional.relu(1 - real), functional.relu(1 + fake)
        else:
            errors = self._error(real, self.real_label), self._error(fake, 0.0)
        return mean_of_pictures(errors[0], shares), mean_of_pictures(errors[1], shares)

    def _error(self, answer: Tensor, label: float) -> Tensor:
        wanted = torch.full_like(answer, label)
        if self.kind == "lsgan":
            return (answer.sigmoid() - wanted) ** 2
        return functional.binary_cross_entropy_with_logits(answer, wanted, reduction="none")


def mean_of_pictures(values: Tensor, shares: Tensor | None = None) -> Tensor:
    """Return the mean of values (B, ...) over pictures, a scalar.

    Args:
        values: any number a picture, of which the mean is taken first.
        shares: (B,) by which each picture counts instead of 1 / B.
    """
    each = values.flatten(1).mean(dim=1)
    return each.mean() if shares is None else (each * shares).sum()
