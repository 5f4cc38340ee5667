"""Stage 2 of Su et al. 2020: a network that colours instances, here pasted over the coloured picture."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.global_batch import mean_count
from lightning_modules.losses.huber import HuberLoss, colorful, mean_over
from lightning_modules.networks.boxtables import Corners, box_table


class InstanceColorizer(Colorizer):
    """Colour each instance by itself and paste it over the coloured picture; training touches the instances alone.

    Args:
        full: colours whole pictures; frozen, always in eval mode.
        instance: colours crops (K, 1, S, S); starts as a copy of `full` unless it has weights of its own.
        loss: chroma and truth to a scalar; the authors' `HuberLoss` where none is given.
        input_size: side in pixels of the light that `full` sees.
        crop_size: side in pixels of the crops.
        learning_rate: of Adam.
        chunk: crops that are coloured at once when no gradient is wanted.
    """

    uses_boxes = True

    def __init__(
        self,
        *,
        full: nn.Module,
        instance: nn.Module,
        loss: nn.Module | None = None,
        input_size: int | None = 256,
        crop_size: int = 256,
        learning_rate: float = 5e-4,
        chunk: int = 8,
    ) -> None:
        super().__init__(input_size=input_size, crop_size=crop_size, learning_rate=learning_rate)
        self.full = full.requires_grad_(False)
        self.instance = instance
        self.objective = loss or HuberLoss()
        self.chunk = chunk
        self.train()

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the frozen network for the picture and the one for instances."""
        return {"full": self.full, "instance": self.instance}

    def inherit(self, loaded: frozenset[str]) -> None:
        """Begin the training of `instance` where that of `full` ended."""
        if "full" in loaded and "instance" not in loaded:
            self.instance.load_state_dict(self.full.state_dict())

    def train(self, mode: bool = True) -> Self:
        """Switch to training; the frozen network stays in eval mode, its BatchNorm at the learnt statistics."""
        super().train(mode)
        self.full.eval()
        return self

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Colour the picture, then its instances, which cover each other in the order of the boxes.

        Raises:
            ValueError: The batch has another number of crops than of boxes.
        """
        require_crops(gray)
        chroma: Tensor = self.full(gray.light).to(torch.float32, copy=True)
        size = (chroma.shape[-2], chroma.shape[-1])
        crops = (crop for part in torch.split(gray.crops, self.chunk) for crop in self.instance(part))
        for picture, (left, top, right, bottom) in _placed(gray.boxes, size):
            chroma[picture, :, top:bottom, left:right] = _shrunk(next(crops), (bottom - top, right - left))
        return chroma

    def counted(self, batch: ColorBatch) -> int:
        """Return how many crops of the batch are not grey."""
        return int(colorful(batch.crop_chroma).sum()) if len(batch.gray.crops) else 0

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the loss over the crops of the batch whose truth is not grey.

        Raises:
            ValueError: The batch has another number of crops than of boxes.
        """
        require_crops(batch.gray)
        if len(batch.gray.crops) == 0:
            return {"loss": idle_loss(self.instance)}
        chroma = self.instance(batch.gray.crops)
        return {"loss": mean_over(self.objective, colorful(batch.crop_chroma), chroma, batch.crop_chroma)}


def _shrunk(crop: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the chroma of one crop, (2, S, S), to the (height, width) of its box, with antialiasing, in float32.

    Antialiasing is not there for bfloat16.
    """
    return functional.interpolate(crop[None].float(), size, mode="bilinear", align_corners=False, antialias=True)[0]


def require_crops(gray: GrayBatch) -> None:
    """Check that every box has its crop.

    Raises:
        ValueError: The batch has another number of crops than of boxes.
    """
    boxes = sum(len(each) for each in gray.boxes)
    if len(gray.crops) != boxes:
        raise ValueError(
            f"the batch has {boxes} boxes but {len(gray.crops)} crops: give the datamodule the crop_size of the method"
        )


def idle_loss(network: nn.Module) -> Tensor:
    """Return a loss of 0 that reaches every trained parameter, for a batch from which there is nothing to learn.

    The other training processes are told of the nothing, as `mean_over` tells them of what is kept.
    """
    mean_count(0)
    trained = [parameter.sum() * 0.0 for parameter in network.parameters() if parameter.requires_grad]
    return torch.stack(trained).sum()


def _placed(boxes: Sequence[Boxes], size: tuple[int, int]) -> Iterator[tuple[int, Corners]]:
    for picture, each in enumerate(boxes):
        for corners in box_table(each, size):
            yield picture, corners
