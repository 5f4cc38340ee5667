"""A detector that takes the whole picture for one instance: what instance-aware methods do without detection."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.types import Boxes
from lightning_modules.detectors.categories import UNKNOWN
from lightning_modules.detectors.light import replicate


class WholeImageDetector:
    """Find one instance that covers the picture; its score is 1, its category unknown."""

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return one box a picture.

        Args:
            lights: (H, W) uint8 arrays, round(L* x 255 / 100); sizes may differ.
        """
        return [_whole(*replicate(light).shape[:2]) for light in lights]


def _whole(height: int, width: int) -> Boxes:
    return Boxes(
        xyxy=torch.tensor([[0.0, 0.0, width, height]]),
        score=torch.ones(1),
        label=torch.full((1,), UNKNOWN, dtype=torch.int64),
        image_size=(height, width),
        mask=torch.ones(1, height, width, dtype=torch.bool),
    )
