"""Scores of fine-tuned networks: average precision as PASCAL VOC computes it, and mean intersection over union."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POINTS = 11
"""Recalls at which VOC 2007 reads precision: 0, 0.1, ..., 1."""

OVERLAP = 0.5
"""Intersection over union from which a box counts as found."""


def average_precision(scores: Sequence[float], hits: Sequence[bool], positives: int, points: int = POINTS) -> float:
    """Return the mean, over recalls, of the best precision at that recall or a higher one.

    Args:
        scores: of what was answered.
        hits: whether each answer is right.
        positives: how many right answers there are.
        points: recalls, evenly from 0 to 1.

    Source:
        The development kit of VOC 2007, VOCevaldet and VOCevalcls.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    right = np.asarray(hits, dtype=bool)[order]
    found = np.cumsum(right)
    recall, precision = found / max(1, positives), found / np.arange(1, len(found) + 1)
    wanted = np.linspace(0, 1, points)
    best = [precision[recall >= each - 1e-12].max(initial=0.0) for each in wanted]
    return float(np.mean(best))


def presence_precision(scores: NDArray[np.float64], present: NDArray[np.float64]) -> dict[int, float]:
    """Return the average precision of each class that any photo shows, by its place.

    Args:
        scores: (n, classes).
        present: (n, classes), 1 present, 0 absent, -1 not counted.
    """
    found = {}
    for place in range(scores.shape[1]):
        counted = present[:, place] >= 0
        positives = int((present[counted, place] == 1).sum())
        if positives:
            found[place] = average_precision(scores[counted, place], present[counted, place] == 1, positives)
    return found


@dataclass(frozen=True, slots=True)
class Objects:
    """Hold the boxes of one photo, (K, 4) left, top, right, bottom, with class numbers (K,), and what else is known.

    Attributes:
        scores: (K,) of what was answered; zeros for the truth.
        difficult: (K,) bool, of the truth: neither right nor wrong to find.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    difficult: Tensor


def box_precision(answers: Sequence[Objects], truths: Sequence[Objects], points: int = POINTS) -> dict[int, float]:
    """Return the average precision of each class that any photo shows, by its number.

    Convention:
        As VOC: an answer goes to the object of its class that it overlaps most. It is right if the overlap is at least
        one half and no better answer has taken that object, passed over if the object is difficult, and else wrong.
        Boxes are measured without VOC's additional pixel.

    Args:
        answers: one a photo.
        truths: the same photos' objects.
        points: recalls, see `average_precision`.
    """
    classes = sorted({int(label) for truth in truths for label in truth.labels[~truth.difficult]})
    return {label: _one_class(answers, truths, label, points) for label in classes}


def _one_class(answers: Sequence[Objects], truths: Sequence[Objects], label: int, points: int) -> float:
    scores: list[float] = []
    hits: list[bool] = []
    positives = 0
    for answer, truth in zip(answers, truths, strict=True):
        wanted, given = truth.labels == label, answer.labels == label
        positives += int((wanted & ~truth.difficult).sum())
        boxes, difficult = truth.boxes[wanted], truth.difficult[wanted]
        told = _match(answer.boxes[given], answer.scores[given], boxes, difficult)
        scores += [score for score, _ in told]
        hits += [hit for _, hit in told]
    return average_precision(scores, hits, positives, points)


def _match(boxes: Tensor, scores: Tensor, wanted: Tensor, difficult: Tensor) -> list[tuple[float, bool]]:
    """Return score and outcome of the answers of one class in one photo, those passed over left out."""
    overlaps = overlap(boxes, wanted)
    taken: set[int] = set()
    told = []
    for place in torch.argsort(scores, descending=True, stable=True).tolist():
        best = int(overlaps[place].argmax()) if len(wanted) else -1
        found = best >= 0 and float(overlaps[place, best]) >= OVERLAP
        if found and bool(difficult[best]):
            continue
        told.append((float(scores[place]), found and best not in taken))
        if found:
            taken.add(best)
    return told


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Return the intersection over union of each of (n, 4) boxes with each of (m, 4), as (n, m)."""
    from torchvision.ops import box_iou

    shares: Tensor = box_iou(one, other)
    return shares


def count_pixels(answer: Tensor, truth: Tensor, classes: int, void: int) -> Tensor:
    """Return how many pixels of each true class were given each class, (classes, classes); void ones are left out.

    Args:
        answer: (H, W) int64.
        truth: (H, W) int64.
        classes: how many there are, the background among them.
        void: number of pixels that are not counted.
    """
    counted = truth != void
    pairs = truth[counted] * classes + answer[counted]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_union(counts: Tensor) -> tuple[float, Mapping[int, float]]:
    """Return the mean intersection over union of the classes that are there or were answered, and each one's.

    Args:
        counts: of `count_pixels`, summed over photos.
    """
    right = counts.diagonal().double()
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    shares = {place: float(right[place] / union[place]) for place in range(len(counts)) if union[place] > 0}
    return float(np.mean(list(shares.values()))) if shares else 0.0, shares
