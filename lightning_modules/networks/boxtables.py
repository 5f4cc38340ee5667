"""Where boxes of a photo lie on feature maps of any size, with the authors' truncation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from datamodules.types import Boxes

Corners = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of a map, the last two exclusive."""
Region = tuple[int, int, int, slice, slice]


def box_span(low: float, high: float, length: int, size: int) -> tuple[int, int]:
    """Return the pixels [start, end) that one side of a box covers on a map.

    Convention:
        Truncated twice, to whole pixels of the photo and to whole pixels of the map. A side that vanishes gets one
        pixel: the next one, or at the last pixels of the map the one before.

    Args:
        low: left or upper edge of the box in pixels of the photo.
        high: its right or lower edge.
        length: width or height of the photo.
        size: width or height of the map.

    Source:
        `get_box_info` of the authors; the division comes before the product, which decides some truncations.
    """
    start, end = (int(min(max(int(edge), 0), length) / length * size) for edge in (low, high))
    if end - start < 1:
        start, end = (start, end + 1) if size - end > 1 else (start - 1, end)
    return (start, end) if start >= 0 else (0, 1)


def box_table(boxes: Boxes, size: tuple[int, int]) -> list[Corners]:
    """Return left, top, right, bottom (the last two exclusive) of each box on a map of (height, width)."""
    photo_height, photo_width = boxes.image_size
    table: list[Corners] = []
    for left, top, right, bottom in boxes.xyxy.tolist():
        columns = box_span(left, right, photo_width, size[1])
        rows = box_span(top, bottom, photo_height, size[0])
        table.append((columns[0], rows[0], columns[1], rows[1]))
    return table


@dataclass(frozen=True, slots=True)
class Placement:
    """Hold where the n boxes of B pictures go on maps of one size.

    Attributes:
        corners: of each box, picture after picture.
        pictures: the picture that each box belongs to.
        slots: the place of each box among those of its picture.
        owners: both as tensors, (n,) int64 each, to index with.
        most: the largest number of boxes that a picture has.
        inside: (n, H, W) bool, the pixels of each box.
        union: (B, 1, H, W) bool, the pixels that any box of the picture covers.
        rows: (n, H, h) float32, resize the h rows of a crop's map to those of its box, zeros outside.
        columns: (n, W, w) float32, the same from left to right.
    """

    corners: tuple[Corners, ...]
    pictures: tuple[int, ...]
    slots: tuple[int, ...]
    owners: tuple[Tensor, Tensor]
    most: int
    inside: Tensor
    union: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(
        cls, boxes: Sequence[Boxes], size: tuple[int, int], crop_size: tuple[int, int], device: torch.device
    ) -> Self:
        """Place the boxes of some pictures.

        Args:
            boxes: one `Boxes` a picture.
            size: (H, W) of the pictures' maps.
            crop_size: (h, w) of the crops' maps.
            device: where the tensors are wanted.
        """
        tables = [box_table(each, size) for each in boxes]
        corners = tuple(corner for table in tables for corner in table)
        pictures = tuple(picture for picture, table in enumerate(tables) for _ in table)
        slots = tuple(slot for table in tables for slot in range(len(table)))
        edges = torch.tensor(corners, dtype=torch.int64).reshape(-1, 4)
        row_inside, rows = _resize_matrix(edges[:, 1::2], size[0], crop_size[0])
        column_inside, columns = _resize_matrix(edges[:, 0::2], size[1], crop_size[1])
        inside = row_inside[:, :, None] & column_inside[:, None, :]
        union = torch.zeros(len(boxes), 1, *size, dtype=torch.bool)
        for picture, own in zip(pictures, inside, strict=True):
            union[picture] |= own
        most = max((len(table) for table in tables), default=0)
        tensors = (tensor.to(device) for tensor in (inside, union, rows, columns))
        owners = (torch.tensor(pictures, device=device).long(), torch.tensor(slots, device=device).long())
        return cls(corners, pictures, slots, owners, most, *tensors)

    def regions(self) -> Iterator[Region]:
        """Name each box as (its number, picture, slot, rows, columns)."""
        owners = enumerate(zip(self.pictures, self.slots, self.corners, strict=True))
        for index, (picture, slot, (left, top, right, bottom)) in owners:
            yield index, picture, slot, slice(top, bottom), slice(left, right)

    def resize(self, maps: Tensor) -> Tensor:
        """Resize (n, h, w) maps of the crops to their boxes: (n, H, W), zeros outside."""
        return self.rows.to(maps.dtype) @ maps @ self.columns.to(maps.dtype).mT

    def by_slot(self, planes: Tensor, absent: float) -> Tensor:
        """Order (n, H, W) planes by picture, (B, most, H, W), with `absent` where a picture has fewer boxes."""
        batch, _, height, width = self.union.shape
        return planes.new_full((batch, self.most, height, width), absent).index_put(self.owners, planes)


def _resize_matrix(spans: Tensor, size: int, crop_size: int) -> tuple[Tensor, Tensor]:
    """Write bilinear resizing (corners not aligned, no antialiasing) into spans of a line as a matrix.

    Args:
        spans: (n, 2) int64, start and end of each span.
        size: of the line.
        crop_size: number of samples that are resized.

    Returns:
        (n, size) bool, which pixels of the line lie in the span; (n, size, crop_size) float32, zeros outside.
    """
    start, end = spans[:, :1], spans[:, 1:]
    pixel = torch.arange(size)
    inside = (pixel >= start) & (pixel < end)
    position = (pixel - start + 0.5) * (crop_size / (end - start).float()) - 0.5
    distance = position.clamp(0, crop_size - 1)[..., None] - torch.arange(crop_size)
    return inside, (1 - distance.abs()).clamp(min=0) * inside[..., None]
