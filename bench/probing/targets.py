"""What is wanted of a photo in each test, as tensors. Coordinates are shares of the photo's width and height."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from datamodules.images import ImageError
from datamodules.photos import Photo
from datamodules.sources.voc import CLASSES, VocSource

Target = Mapping[str, Tensor]
"""What is wanted of a picture, by name; see the functions below."""


def as_class(photo: Photo, size: tuple[int, int]) -> Target:
    """Want the `label` of a photo, () int64."""
    return {"label": torch.tensor(photo.label)}


def as_presence(photo: Photo, size: tuple[int, int]) -> Target:
    """Want which of the 20 classes are `present`, (20,) float32: 1 present, 0 absent, -1 only difficult objects."""
    present = torch.zeros(len(CLASSES))
    for each in sorted(photo.annotations, key=lambda each: not each.crowd):
        present[each.category_id - 1] = -1.0 if each.crowd else 1.0
    return {"present": present}


def as_boxes(photo: Photo, size: tuple[int, int]) -> Target:
    """Want the objects: `boxes` (K, 4) as shares of width and height, `labels` (K,), `difficult` (K,)."""
    height, width = size
    scale = torch.tensor([width, height, width, height], dtype=torch.float32)
    corners = [(x, y, x + w, y + h) for x, y, w, h in (each.bbox for each in photo.annotations)]
    return {
        "boxes": (torch.tensor(corners, dtype=torch.float32).reshape(-1, 4) / scale).clamp(0, 1),
        "labels": torch.tensor([each.category_id for each in photo.annotations], dtype=torch.int64),
        "difficult": torch.tensor([each.crowd for each in photo.annotations], dtype=torch.bool),
        "size": torch.tensor(size),
    }


def as_map(source: VocSource) -> Callable[[Photo, tuple[int, int]], Target]:
    """Want the label `map` of a photo at its own size, (H, W) int64."""

    def target(photo: Photo, size: tuple[int, int]) -> Target:
        labels = source.read_labels(photo.key)
        if labels.shape != size:
            raise ImageError(f"the photo has {size}, its label map {labels.shape}, height and width", "error-size")
        return {"map": torch.from_numpy(labels.astype(np.int64))}

    return target


def mirrored(picture: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Return a picture and what is wanted of it, left and right changed for each other."""
    changed = dict(target)
    if "boxes" in target:
        left, top, right, bottom = target["boxes"].unbind(1)
        changed["boxes"] = torch.stack([1 - right, top, 1 - left, bottom], dim=1)
    if "map" in target:
        changed["map"] = target["map"].flip(-1)
    return picture.flip(-1), changed
