"""Fine-tuning: a whole network, begun from what it learnt, trained for another task."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.errors import CommandError
from bench.probing.backbone import Backbone
from bench.probing.heads import DetectionModel, PresenceModel, SegmentationModel
from bench.probing.photos import Photos
from bench.probing.settings import Settings, Task
from bench.probing.targets import Target, mirrored
from bench.progress import Advance

MOMENTUM = 0.9

Model = PresenceModel | SegmentationModel | DetectionModel


def put_head(task: Task, backbone: Backbone, settings: Settings) -> Model:
    """Return a backbone with the head of a task, its weights drawn from torch's global generator."""
    if task is Task.detection:
        return DetectionModel(backbone, settings.size)
    return PresenceModel(backbone) if task is Task.classification else SegmentationModel(backbone)


def fine_tune(model: Model, photos: Photos, settings: Settings, seed: int, advance: Advance, workers: int = 0) -> float:
    """Train a model, whose parameters all learn, and return the loss of its last step.

    Order and mirroring follow from the seed alone. Statistics of BatchNorm stay as they are in the backbone.

    Raises:
        CommandError: The loss is no number any more.
    """
    model.requires_grad_(True)
    optimizer = torch.optim.SGD(
        model.parameters(), settings.learning_rate, momentum=MOMENTUM, weight_decay=settings.weight_decay
    )
    device = next(model.parameters()).device
    value = math.nan
    model.train()
    for step, (lab, targets) in enumerate(_drawn(photos, settings, seed, workers)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        loss = model.loss(lab.to(device), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise CommandError(f"the loss of step {step} is {value}: lower learning_rate in the recipe of the probe")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        advance()
    model.eval()
    return value


def _drawn(photos: Photos, settings: Settings, seed: int, workers: int) -> Iterator[tuple[Tensor, tuple[Target, ...]]]:
    """Give as many batches as there are steps, every other picture mirrored; a new order each time all were seen."""
    draw = torch.Generator().manual_seed(seed)
    left = settings.steps
    while left > 0:
        order = torch.randperm(len(photos), generator=draw).tolist()[: left * settings.batch_size]
        served = left
        for batch in photos.batches(settings.batch_size, order, workers):
            coins = torch.rand(len(batch.keys), generator=draw).tolist()
            pictures = [
                mirrored(lab, target) if coin < 0.5 else (lab, target)
                for coin, lab, target in zip(coins, batch.lab, batch.targets, strict=True)
            ]
            yield torch.stack([lab for lab, _ in pictures]), tuple(target for _, target in pictures)
            left -= 1
        if left == served:
            raise CommandError("none of the training photos can be read")
