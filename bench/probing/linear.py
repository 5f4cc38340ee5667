"""Linear classifiers on frozen maps: how well the classes of photos can be told from what a layer answers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import UsageError
from bench.probing.backbone import Backbone
from bench.probing.layers import Layout
from bench.probing.photos import Batch
from bench.progress import Advance
from datamodules.sources.subset import rank_key

NUMBERS = 9600
"""Numbers that a map is reduced to, at most."""

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Half of it times the squared weights is added to the mean cross-entropy; photos held out of training choose."""

MOST_BYTES = 16_000_000_000
"""Memory that the features of a network may take: those of PASCAL VOC 2007 take a third of it."""

HELD_OUT = 5
"""Every fifth photo, by the sha256 of its key, chooses the penalty."""


@dataclass(frozen=True, slots=True)
class Features:
    """Hold what one layer answers to photos: keys, (n, d), and (n,) int64 classes."""

    keys: tuple[str, ...]
    values: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Classifier:
    """Hold weights (d, classes) and biases (classes,) of one multinomial logistic regression."""

    weight: Tensor
    bias: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Return the logits, (n, classes), of values (n, d)."""
        return values @ self.weight + self.bias


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how a layer's classifier does: whether each test photo was told right, its class, and what it was fit by."""

    right: Tensor
    labels: Tensor
    trained: float
    penalty: float
    features: int


def pool(feature: Tensor) -> Tensor:
    """Return maps (B, C, H, W) as (B, d), d at most about 9600 for any number of channels.

    Convention:
        Each map becomes a square of the largest side for which it has no more than `NUMBERS` numbers, and that is no
        larger than the map: 10 for 96 channels, 6 for 256, 5 for 384. Values of a cell are averaged; the authors'
        code resizes.

    Source:
        feature_learning_tests/linear in the repository of Zhang et al. 2016.
    """
    side = pooled_side(feature.shape[1], *feature.shape[-2:])
    return functional.adaptive_avg_pool2d(feature, side).flatten(1)


def pooled_side(channels: int, height: int, width: int) -> int:
    """Return the side of the squares that maps of a size become."""
    return max(1, min(math.isqrt(NUMBERS // channels), height, width))


def check_memory(layout: Layout, names: Sequence[str], photos: int) -> None:
    """Refuse to keep what layers answer to more photos than memory is meant for.

    All layers are kept in float32; the classifier of one at a time works on three copies in float64.

    Raises:
        UsageError: That takes more than `MOST_BYTES`.
    """
    shapes = [layout.shapes[name] for name in names]
    numbers = [channels * pooled_side(channels, height, width) ** 2 for channels, height, width in shapes]
    each = 4 * sum(numbers) + 3 * 8 * max(numbers)
    if photos * each > MOST_BYTES:
        raise UsageError(
            f"what {len(names)} layers answer to {photos} photos takes {photos * each / 1e9:.1f} GB of memory, more "
            f"than {MOST_BYTES / 1e9:.1f}: give --limit {MOST_BYTES // each // 2} or less, or fewer --layers"
        )


@torch.no_grad()
def collect(backbone: Backbone, batches: Iterator[Batch], advance: Advance) -> dict[str, Features]:
    """Return what every layer answers to photos; the backbone stays as it is."""
    keys: list[str] = []
    labels: list[Tensor] = []
    values: dict[str, list[Tensor]] = {name: [] for name in backbone.names}
    device = next(backbone.parameters()).device
    for batch in batches:
        keys += batch.keys
        labels += [target["label"] for target in batch.targets]
        for name, feature in backbone(batch.lab.to(device)).items():
            values[name].append(pool(feature).cpu())
        advance(len(batch.keys))
    classes = torch.stack(labels)
    return {name: Features(tuple(keys), torch.cat(values.pop(name)), classes) for name in backbone.names}


def standardize(learnt: Tensor, tested: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with mean and deviation of the first taken out; a number that never changes becomes 0."""
    mean, std = learnt.mean(0), learnt.std(0, correction=0)
    scale = torch.where(std > 0, 1 / std, torch.zeros_like(std))
    return (learnt - mean) * scale, (tested - mean) * scale


def fit(values: Tensor, labels: Tensor, classes: int, penalty: float, steps: int) -> Classifier:
    """Return the multinomial logistic regression with the least mean cross-entropy and penalty.

    The problem is convex; it is solved by L-BFGS from zero.

    Args:
        values: (n, d) float64.
        labels: (n,) int64.
        classes: number of them.
        penalty: half of it times the sum of squared weights is added; biases are free.
        steps: of L-BFGS, at most.
    """
    weight = values.new_zeros(values.shape[1], classes, requires_grad=True)
    bias = values.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=steps,
        max_eval=2 * steps,
        history_size=20,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(values @ weight + bias, labels) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return Classifier(weight.detach(), bias.detach())


def in_span(learnt: Tensor, tested: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in coordinates of the space that the first spans, where it has fewer rows than numbers.

    The best weights with a penalty lie in that space, so that the solution is the same and the problem smaller.
    """
    if learnt.shape[0] >= learnt.shape[1]:
        return learnt, tested
    base, learnt_there = torch.linalg.qr(learnt.T)
    return learnt_there.T.contiguous(), tested @ base


def assess(learnt: Features, tested: Features, classes: int, steps: int) -> Outcome:
    """Fit a classifier to one layer and try it on the test photos."""
    values, others = in_span(*standardize(learnt.values.double(), tested.values.double()))
    penalty = choose_penalty(Features(learnt.keys, values, learnt.labels), classes, steps)
    classifier = fit(values, learnt.labels, classes, penalty, steps)
    right = classifier(others).argmax(1) == tested.labels
    trained = (classifier(values).argmax(1) == learnt.labels).double().mean()
    return Outcome(right, tested.labels, float(trained), penalty, learnt.values.shape[1])


def choose_penalty(learnt: Features, classes: int, steps: int) -> float:
    """Return the penalty with which most of the photos held out are told right, the largest of equals."""
    held = torch.tensor(held_out(learnt.keys))
    kept, kept_labels = learnt.values[~held], learnt.labels[~held]

    def told(penalty: float) -> int:
        classifier = fit(kept, kept_labels, classes, penalty, steps)
        return int((classifier(learnt.values[held]).argmax(1) == learnt.labels[held]).sum())

    return max(reversed(PENALTIES), key=told)


def held_out(keys: Sequence[str]) -> list[bool]:
    """Return which photos choose the penalty."""
    order = sorted(range(len(keys)), key=lambda place: rank_key(keys[place]))
    chosen = set(order[::HELD_OUT])
    return [place in chosen for place in range(len(keys))]


def mean_recall(outcome: Outcome) -> float:
    """Return the mean over classes of the share of their test photos that was told right."""
    shares = [outcome.right[outcome.labels == label].double().mean() for label in set(outcome.labels.tolist())]
    return float(torch.stack(shares).mean())
