"""Boxes as methods see them: clipped to the protocol's crop, the best few of them, cut from the photo."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from datamodules.masks import segmentation_to_mask
from datamodules.photos import Annotation
from datamodules.protocol import CropBox
from datamodules.types import Boxes


def keep_visible(
    annotations: Iterable[Annotation], photo_size: tuple[int, int], crop: CropBox | None = None
) -> list[Annotation]:
    """Leave out crowds and boxes that have no area inside of the kept part of a photo or are not finite."""
    crop = crop or (0, 0, photo_size[1], photo_size[0])
    return [one for one in annotations if not one.crowd and clip_box(one.bbox, crop) is not None]


def annotations_to_boxes(
    annotations: Iterable[Annotation], photo_size: tuple[int, int], crop: CropBox | None = None
) -> Boxes:
    """Turn annotations or detections into boxes within the kept part of a photo, without masks.

    Args:
        annotations: boxes in pixels of the photo after its EXIF rotation.
        photo_size: (height, width) of that photo.
        crop: the part of it that the protocol keeps, left, top, right, bottom; None for all.

    Returns:
        Boxes in pixels of that part, in the order of the annotations, of those that `keep_visible` keeps.
    """
    crop = crop or (0, 0, photo_size[1], photo_size[0])
    kept = keep_visible(annotations, photo_size, crop)
    left, top, right, bottom = crop
    return Boxes(
        xyxy=torch.tensor([clip_box(one.bbox, crop) for one in kept], dtype=torch.float32).reshape(-1, 4),
        score=torch.tensor([1.0 if one.score is None else one.score for one in kept], dtype=torch.float32),
        label=torch.tensor([one.category_id for one in kept], dtype=torch.int64),
        image_size=(bottom - top, right - left),
    )


def draw_masks(annotations: Sequence[Annotation], photo_size: tuple[int, int], crop: CropBox | None = None) -> Tensor:
    """Return which pixels of the kept part of a photo each instance covers.

    Convention:
        An instance without a segmentation covers all of its box. A mask can be empty: where the segmentation lies
        outside of the kept part, or is thinner than a pixel.

    Returns:
        (K, height, width) bool.

    Raises:
        ValueError: A segmentation is not one of COCO's kinds, naming the annotation.
    """
    left, top, right, bottom = crop or (0, 0, photo_size[1], photo_size[0])
    masks = torch.zeros(len(annotations), bottom - top, right - left, dtype=torch.bool)
    for place, one in enumerate(annotations):
        try:
            region = one.segmentation.unpack() if one.segmentation is not None else None
            mask = segmentation_to_mask(region or [box_corners(one.bbox, photo_size)], photo_size)
        except ValueError as error:
            raise ValueError(f"annotation {one.id}: {error}") from error
        masks[place] = torch.from_numpy(mask[top:bottom, left:right])
    return masks


def box_corners(bbox: tuple[float, float, float, float], photo_size: tuple[int, int]) -> list[float]:
    """Return what lies of a box in a photo of (height, width) as a polygon."""
    left, top, right, bottom = clip_box(bbox, (0, 0, photo_size[1], photo_size[0])) or (0.0, 0.0, 0.0, 0.0)
    return [left, top, right, top, right, bottom, left, bottom]


def clip_box(bbox: tuple[float, float, float, float], crop: CropBox) -> tuple[float, float, float, float] | None:
    """Return a box of x, y, width, height as left, top, right, bottom inside of `crop`; None without area."""
    x, y, width, height = bbox
    if not all(math.isfinite(value) for value in bbox):
        return None
    left, right = max(x, crop[0]) - crop[0], min(x + width, crop[2]) - crop[0]
    top, bottom = max(y, crop[1]) - crop[1], min(y + height, crop[3]) - crop[1]
    return (left, top, right, bottom) if right > left and bottom > top else None


def choose_best(boxes: Boxes, max_boxes: int) -> Tensor:
    """Return which boxes have the highest scores, (n,) int64.

    Convention:
        As InstColorization: up to `max_boxes` stay as they are, in the order of their file; of more, the best come in
        ascending order of their score. Of equal scores the earlier in the file is the better, so that of annotations,
        which have no score, the first `max_boxes` stay in their order.
    """
    if len(boxes) <= max_boxes:
        return torch.arange(len(boxes))
    best = torch.argsort(boxes.score, descending=True, stable=True)[:max_boxes].sort().values
    return best[torch.argsort(boxes.score[best], stable=True)]


def crop_boxes_to(boxes: Boxes, part: tuple[float, float, float, float]) -> Boxes:
    """Return the boxes that reach into a part of their picture, clipped to it; the others are left out.

    Convention:
        The part becomes the picture: its size is rounded to whole pixels, and boxes are scaled with it. Masks take the
        nearest pixel.

    Args:
        boxes: of the whole picture.
        part: left, top, right, bottom as shares of the picture, in [0, 1].
    """
    height, width = boxes.image_size
    left, top, right, bottom = part
    size = (max(1, round(height * (bottom - top))), max(1, round(width * (right - left))))
    scale = torch.tensor([size[1] / (right - left) / width, size[0] / (bottom - top) / height] * 2, dtype=torch.float64)
    origin = torch.tensor([left * width, top * height] * 2, dtype=torch.float64)
    limit = torch.tensor([size[1], size[0]] * 2, dtype=torch.float64)
    xyxy = torch.minimum(((boxes.xyxy.double() - origin) * scale).clamp(min=0), limit).float()
    mask = boxes.mask
    if mask is not None:
        mask = mask[:, nearest(height, top, bottom, size[0])][:, :, nearest(width, left, right, size[1])]
    inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    return replace(boxes, xyxy=xyxy, mask=mask, image_size=size).select(inside)


def nearest(length: int, low: float, high: float, count: int) -> Tensor:
    """Return which of `length` pixels lie under the centres of `count` that share the stretch from `low` to `high`."""
    centres = low + (torch.arange(count, dtype=torch.float64) + 0.5) / count * (high - low)
    return (centres * length).long().clamp(max=length - 1)


def mirror_boxes(boxes: Boxes) -> Boxes:
    """Exchange left and right."""
    left, top, right, bottom = boxes.xyxy.unbind(1)
    width = boxes.image_size[1]
    mask = None if boxes.mask is None else boxes.mask.flip(-1)
    return replace(boxes, xyxy=torch.stack([width - right, top, width - left, bottom], 1), mask=mask)


def cut_box(xyxy: Iterable[float], image_size: tuple[int, int]) -> CropBox:
    """Return the whole pixels of a box as (left, top, right, bottom), never empty.

    Convention:
        Edges are truncated to integers, as the authors of InstColorization do. What is then less than one pixel wide
        is widened to one pixel, to the right or the bottom, at the picture's end to the left or the top.

    Args:
        xyxy: left, top, right, bottom inside of the picture.
        image_size: (height, width) of the picture.
    """
    left, top, right, bottom = (int(edge) for edge in xyxy)
    height, width = image_size
    left, right = one_pixel(left, right, width)
    top, bottom = one_pixel(top, bottom, height)
    return left, top, right, bottom


def one_pixel(low: int, high: int, end: int) -> tuple[int, int]:
    """Widen a stretch of no pixels to one inside of [0, end]."""
    low = min(low, end - 1)
    return low, min(max(high, low + 1), end)


def crop_boxes(picture: Image.Image, boxes: Boxes, size: int) -> list[Image.Image]:
    """Cut each box from an 8-bit RGB picture and stretch it to `size` x `size`, bilinear with PIL's antialiasing.

    Args:
        picture: what is left of the photo after the protocol's crop, before its resize.
        boxes: in pixels of that picture.
        size: side of the crops.
    """
    cuts = (cut_box(box, boxes.image_size) for box in boxes.xyxy.tolist())
    return [picture.crop(cut).resize((size, size), Image.Resampling.BILINEAR) for cut in cuts]
