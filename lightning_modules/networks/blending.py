"""How instance features and those of the picture are mixed: each pixel's shares, and the mix inside the boxes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from datamodules.boxes import cut_box
from datamodules.types import Boxes
from lightning_modules.networks.boxtables import Placement

Softmax = Literal["padded", "masked"]
"""What the softmax knows of an instance outside of its box: the logit 0, as published, or nothing."""

OUTSIDE_BONUS = 1e5
"""Added to the background's logit where no box is: its softmax share there is exactly 1."""


def softmax_shares(
    logits: Tensor, background_logits: Tensor, placement: Placement, softmax: Softmax = "padded"
) -> Tensor:
    """Share each pixel among the instances of its picture and the background.

    Convention:
        As published, an instance has the logit 0 outside its own box and thereby takes a share of every pixel that some
        other box covers, although it has nothing to put there: many boxes wash colours out. `masked` gives it none.

    Args:
        logits: (n, 1, h, w) of the crops' maps.
        background_logits: (B, 1, H, W).
        placement: of the n boxes on maps of (H, W).
        softmax: over the instances everywhere, or at each pixel over those that cover it.

    Returns:
        (B, most + 1, H, W), float32 or better, at each pixel 1 in sum: one plane a box, 0 where a picture has
        fewer, and the background last. Exactly 1 for the background outside of all boxes.
    """
    with _as_given(logits.device):
        exact = torch.promote_types(logits.dtype, torch.float32)
        placed = placement.resize(logits[:, 0].to(exact))
        if softmax == "masked":
            placed = placed.masked_fill(~placement.inside, -torch.inf)
        background = background_logits.to(exact) + ~placement.union * OUTSIDE_BONUS
        return torch.cat([placement.by_slot(placed, -torch.inf), background], dim=1).softmax(dim=1)


def _as_given(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which tensors keep their types; the device `meta` knows no other."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def cover_shares(boxes: Sequence[Boxes], placement: Placement, *, masks: bool) -> Tensor:
    """Share each pixel by what covers it, with nothing to learn.

    Convention:
        The paper compares its learned weights with weighting by box and by mask and leaves open how instances that
        overlap share. Here those that cover a pixel share it evenly and leave nothing to the background.

    Args:
        boxes: one `Boxes` a picture.
        placement: of these boxes.
        masks: an instance covers what its mask covers, at the edge a pixel in part; else all of its box.

    Returns:
        As `softmax_shares`.

    Raises:
        ValueError: A mask is wanted and there is none.
    """
    covers = _mask_covers(boxes, placement) if masks else placement.inside.float()
    planes = placement.by_slot(covers, 0.0)
    instances = planes / planes.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.cat([instances, 1 - instances.sum(dim=1, keepdim=True)], dim=1)


def _mask_covers(boxes: Sequence[Boxes], placement: Placement) -> Tensor:
    """Return how much of each pixel of a map every instance covers, (n, H, W) in [0, 1]."""
    covers = torch.zeros(placement.inside.shape)
    masks = (part for each in boxes for part in _cut_masks(each))
    for mask, (index, _, _, rows, columns) in zip(masks, placement.regions(), strict=True):
        size = (rows.stop - rows.start, columns.stop - columns.start)
        small = functional.interpolate(mask[None, None].float(), size, mode="bilinear", antialias=True)
        covers[index, rows, columns] = small[0, 0]
    return covers.to(placement.inside.device)


def _cut_masks(boxes: Boxes) -> list[Tensor]:
    """Return what lies of each instance's mask in its box."""
    if len(boxes) and boxes.mask is None:
        raise ValueError(
            f"weighting by mask needs the masks of {len(boxes)} instances, but their boxes have none: take boxes from "
            "annotations with segmentations or from a detector that gives masks, or set weighting to box or learned"
        )
    cuts = [cut_box(box, boxes.image_size) for box in boxes.xyxy.tolist()]
    masks = () if boxes.mask is None else boxes.mask
    return [mask[top:bottom, left:right] for mask, (left, top, right, bottom) in zip(masks, cuts, strict=True)]


def blend(crops: Tensor, background: Tensor, shares: Tensor, placement: Placement) -> Tensor:
    """Return the sum of background and resized instance features, each times its share.

    Boxes are added one after the other inside their own pixels, so that memory does not grow with their number.

    Args:
        crops: (n, C, h, w).
        background: (B, C, H, W).
        shares: (B, most + 1, H, W), as `softmax_shares` gives them.
        placement: of the n boxes on maps of (H, W).
    """
    with _as_given(background.device):  # where autocast's resizing would go through float32
        blended: Tensor = _Blend.apply(crops.to(background.dtype), background, shares, placement)
    return blended


class _Blend(torch.autograd.Function):
    """Paste in place with a gradient that is written down: autograd's own copies the whole map for every box."""

    @staticmethod
    def forward(ctx: Any, crops: Tensor, background: Tensor, shares: Tensor, placement: Placement) -> Tensor:
        ctx.save_for_backward(crops, background, shares)
        ctx.placement = placement
        blended = background * shares[:, -1:].to(background.dtype)
        for index, picture, slot, rows, columns in placement.regions():
            target = blended[picture, :, rows, columns]
            target.addcmul_(_stretch(crops[index], target), shares[picture, slot, rows, columns].to(target.dtype))
        return blended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        crops, background, shares = ctx.saved_tensors
        to_crops = torch.zeros_like(crops) if ctx.needs_input_grad[0] else None
        to_shares = torch.zeros_like(shares)
        to_shares[:, -1] = (gradient * background).sum(dim=1)
        for index, picture, slot, rows, columns in ctx.placement.regions():
            part = gradient[picture, :, rows, columns]
            to_shares[picture, slot, rows, columns] = (_stretch(crops[index], part) * part).sum(dim=0)
            if to_crops is not None:
                share = shares[picture, slot, rows, columns].to(part.dtype)
                to_crops[index] = _stretch_gradient(crops[index], part * share)
        to_background = gradient * shares[:, -1:].to(gradient.dtype) if ctx.needs_input_grad[1] else None
        return to_crops, to_background, to_shares, None


def _stretch(crop: Tensor, target: Tensor) -> Tensor:
    """Resize one crop's map (C, h, w) to the size and type of its box (C, height, width)."""
    size = target.shape[-2:]
    return functional.interpolate(crop[None], size, mode="bilinear", align_corners=False)[0].to(target.dtype)


def _stretch_gradient(crop: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of the crop's map before `_stretch`, given the one after it."""
    with torch.enable_grad():
        leaf = crop.detach().requires_grad_()
        stretched = _stretch(leaf, gradient)
    return torch.autograd.grad(stretched, leaf, gradient)[0]
