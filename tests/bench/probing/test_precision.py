from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.probing.precision import (
    Objects,
    average_precision,
    box_precision,
    count_pixels,
    mean_union,
    presence_precision,
)


def by_loop(scores: Sequence[float], hits: Sequence[bool], positives: int) -> float:
    """Return the average precision as the development kit of VOC 2007 computes it, point by point."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    total = 0.0
    for wanted in range(11):
        best, found = 0.0, 0
        for rank, place in enumerate(order, 1):
            found += hits[place]
            if found * 10 >= wanted * positives:
                best = max(best, found / rank)
        total += best / 11
    return total


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_a_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores, hits = draw.random(40).tolist(), (draw.random(40) < 0.3).tolist()
    positives = sum(hits) + seed
    assert average_precision(scores, hits, positives) == pytest.approx(by_loop(scores, hits, positives))


def test_nothing_answered_is_worth_nothing() -> None:
    assert average_precision([], [], 3) == 0.0
    assert average_precision([0.9, 0.1], [True, False], 1) == 1.0


def test_presence_leaves_difficult_photos_out() -> None:
    scores = np.array([[0.9, 0.0], [0.8, 0.0], [0.1, 0.0]])
    present = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert presence_precision(scores, present) == {0: 1.0}
    present[1, 0] = 0.0
    assert presence_precision(scores, present) == {0: pytest.approx((6 * 1 + 5 * 2 / 3) / 11)}


def scattered(seed: int) -> tuple[list[Objects], list[Objects]]:
    """Return answers and truths of ten photos, whose objects lie apart so that it is clear which one is meant."""
    draw = np.random.default_rng(seed)
    answers, truths = [], []
    for _ in range(10):
        corner = np.stack([np.array([10, 110, 210, 310.0]), draw.uniform(0, 100, 4)], 1)
        wanted = np.concatenate([corner, corner + draw.uniform(30, 80, (4, 2))], 1)
        chosen = draw.integers(0, 4, 7)
        moved = wanted[chosen] + draw.normal(0, 8, (7, 4))
        labels = draw.integers(1, 4, 4)
        guessed = np.where(draw.random(7) < 0.8, labels[chosen], draw.integers(1, 4, 7))
        truths.append(objects(wanted, labels, np.zeros(4)))
        answers.append(objects(moved, guessed, draw.random(7)))
    return answers, truths


def objects(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> Objects:
    difficult = torch.zeros(len(labels), dtype=torch.bool)
    return Objects(torch.tensor(boxes), torch.tensor(labels), torch.tensor(scores), difficult)


def by_coco(answers: Sequence[Objects], truths: Sequence[Objects]) -> dict[int, float]:
    """Return the average precision at an overlap of one half as pycocotools computes it."""
    coco, found = COCO(), []
    entries = [(photo, truth) for photo, truth in enumerate(truths, 1)]
    coco.dataset = {"images": [{"id": photo} for photo, _ in entries], "annotations": [], "categories": []}
    coco.dataset["categories"] = [{"id": label} for label in (1, 2, 3)]
    for photo, truth in entries:
        for box, label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
            wide, high = box[2] - box[0], box[3] - box[1]
            one = {"image_id": photo, "category_id": label, "bbox": [*box[:2], wide, high], "area": wide * high}
            coco.dataset["annotations"].append({**one, "id": len(coco.dataset["annotations"]) + 1, "iscrowd": 0})
    for photo, answer in enumerate(answers, 1):
        for box, label, score in zip(
            answer.boxes.tolist(), answer.labels.tolist(), answer.scores.tolist(), strict=True
        ):
            bbox = [*box[:2], box[2] - box[0], box[3] - box[1]]
            found.append({"image_id": photo, "category_id": label, "bbox": bbox, "score": score})
    with redirect_stdout(StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]
    return {label: float(precision[:, label - 1].mean()) for label in (1, 2, 3)}


@pytest.mark.parametrize("seed", range(3))
def test_boxes_score_as_in_pycocotools_at_its_101_recalls(seed: int) -> None:
    answers, truths = scattered(seed)
    assert box_precision(answers, truths, points=101) == pytest.approx(by_coco(answers, truths), abs=1e-9)


def test_difficult_objects_are_neither_right_nor_wrong() -> None:
    truth = Objects(
        torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]]),
        torch.tensor([7, 7]),
        torch.zeros(2),
        torch.tensor([False, True]),
    )
    boxes = torch.tensor([[50.0, 50, 60, 60], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 4]])
    answer = Objects(
        boxes, torch.tensor([7, 7, 7, 7]), torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.zeros(4, dtype=torch.bool)
    )
    assert box_precision([answer], [truth]) == {7: 1.0}
    worse = Objects(boxes, torch.tensor([7, 7, 7, 7]), torch.tensor([0.9, 0.6, 0.7, 0.8]), answer.difficult)
    assert box_precision([worse], [truth]) == {7: 0.5}, "the box that overlaps too little comes first now"


def test_mean_union_is_that_of_a_plain_loop() -> None:
    draw = torch.Generator().manual_seed(1)
    answer, truth = (torch.randint(5, (9, 11), generator=draw) for _ in range(2))
    truth[truth == 4] = 255
    mean, shares = mean_union(count_pixels(answer, truth, 5, 255))
    wanted = {}
    for label in range(5):
        counted = [(int(a), int(t)) for a, t in zip(answer.flatten(), truth.flatten(), strict=True) if t != 255]
        both = sum(a == label == t for a, t in counted)
        wanted[label] = both / sum(label in (a, t) for a, t in counted)
    assert shares == pytest.approx(wanted)
    assert mean == pytest.approx(sum(wanted.values()) / 5)


def test_classes_that_are_nowhere_do_not_count() -> None:
    answer = torch.tensor([[0, 1], [1, 1]])
    assert mean_union(count_pixels(answer, answer, 21, 255)) == (1.0, {0: 1.0, 1: 1.0})
