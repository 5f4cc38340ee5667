"""Which of a detector's findings are kept, and in which order: one rule for all detectors."""

from dataclasses import replace

import torch
from torch import Tensor

from datamodules.types import Boxes


def check_settings(*, score_threshold: float, max_boxes: int) -> None:
    """Refuse settings that no detector can follow.

    Raises:
        ValueError: The threshold is not in [0, 1], or fewer than one box is wanted.
    """
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"score_threshold is {score_threshold}: give a number from 0 to 1")
    if max_boxes < 1:
        raise ValueError(f"max_boxes is {max_boxes}: give at least 1, or choose the detector `none`")


def candidates(max_boxes: int) -> int:
    """Return how many findings to ask a network for, so that `best_boxes` sees whether there are more than it keeps.

    Masks are made for all of them at the size of the photo: for a hundred, as is usual, a large photo takes gigabytes.
    """
    return 2 * max_boxes + 1


def best_boxes(boxes: Boxes, *, score_threshold: float, max_boxes: int) -> Boxes:
    """Return the findings that are used, clipped to the photo.

    Findings without area, with a score that is no number or not above `score_threshold` are dropped; of several on the
    same box the best is kept.

    Convention:
        The best comes first; equal scores stand in order of left, then top edge. Where there are more than `max_boxes`,
        the best of them come in ascending order of score, the best last, as `argsort(score)[-8:]` of InstColorization
        gives them; methods that paste boxes one over another depend on it.

    Source:
        InstColorization (Su et al. 2020), `fusion_dataset.py`: the best 8 by score.
    """
    xyxy = _clip(boxes.xyxy, boxes.image_size)
    has_area = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    kept = torch.nonzero(has_area & (boxes.score > score_threshold)).flatten().tolist()
    corners = [tuple(corner) for corner in xyxy.tolist()]
    scores = boxes.score.tolist()
    kept.sort(key=lambda index: (-scores[index], *corners[index]))
    best_at = {corners[index]: index for index in reversed(kept)}
    order = [index for index in kept if best_at[corners[index]] == index]
    if len(order) > max_boxes:
        order = order[:max_boxes][::-1]
    return replace(boxes, xyxy=xyxy).select(torch.tensor(order, dtype=torch.int64))


def _clip(xyxy: Tensor, image_size: tuple[int, int]) -> Tensor:
    height, width = image_size
    limits = torch.tensor([width, height, width, height], dtype=xyxy.dtype)
    return torch.minimum(xyxy.clamp(min=0), limits)
