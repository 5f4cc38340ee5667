"""What several training processes must agree on, so that together they step as one process with their whole batch."""

import torch
from torch import Tensor, distributed


def mean_count(count: Tensor | int) -> Tensor:
    """Return how many things a loss averages over, as the mean over all training processes, at least a tiny number.

    Lightning averages gradients over processes. A sum over one's own things, divided by this, then has the gradient of
    the mean over the things of all: pictures, crops or pixels that do not count may lie unevenly.

    Convention:
        All processes must call it equally often in a training step, one with nothing to learn from as well. Where no
        gradient is wanted each process answers for itself: validation batches may differ in number.

    Args:
        count: of this process, a scalar.

    Returns:
        A float32 scalar above 0.
    """
    total = torch.as_tensor(count).detach().to(torch.float32).clone()
    if torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total /= distributed.get_world_size()
    return total.clamp(min=torch.finfo(torch.float32).tiny)
