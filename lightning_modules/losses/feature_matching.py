"""How far a made picture is from the real one in the eyes of a discriminator."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def feature_matching_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Return the sum, over a discriminator's maps, of the mean absolute difference between two pictures.

    Args:
        real: maps of the real picture, through which no gradient flows.
        fake: those of the made one, of the same shapes.

    Source:
        EdgeConnect (Nazeri et al. 2019), equation 3; its code takes the mean over a map and all five maps.
    """
    differences = [functional.l1_loss(made, true.detach()) for true, made in zip(real, fake, strict=True)]
    return torch.stack(differences).sum()
