"""No colour at all."""

import torch

from datamodules.types import Boxes, GrayBatch
from lightning_modules.baselines.gray import GrayColorizer


def test_every_pixel_has_zero_chroma() -> None:
    boxes = tuple(Boxes.empty((7, 5)) for _ in range(2))
    gray = GrayBatch(("a", "b"), torch.rand(2, 1, 7, 5) * 100, boxes, torch.zeros(0, 1, 8, 8))
    method = GrayColorizer()
    assert torch.equal(method(gray), torch.zeros(2, 2, 7, 5))
    assert not list(method.parameters())
    assert not method.networks()
