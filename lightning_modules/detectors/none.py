"""A detector that finds nothing: what instance-aware methods do on a photo without instances."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.types import Boxes
from lightning_modules.detectors.light import replicate


class NoDetector:
    """Find no instance in any picture."""

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return no box for each picture.

        Args:
            lights: (H, W) uint8 arrays, round(L* x 255 / 100); sizes may differ.
        """
        return [Boxes.empty(replicate(light).shape[:2]) for light in lights]
