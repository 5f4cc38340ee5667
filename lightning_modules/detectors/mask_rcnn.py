"""Mask R-CNN with a ResNet-50 FPN backbone, as torchvision has it, on the light channel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import detection

from datamodules.types import Boxes
from lightning_modules.detectors.light import replicate
from lightning_modules.detectors.selection import best_boxes, candidates, check_settings
from lightning_modules.state_dicts import load_strictly, read_state_dict

Architecture = Literal["v1", "v2"]
MASK_THRESHOLD = 0.5
V2_KEY = "backbone.fpn.inner_blocks.0.1.weight"
"""A tensor that only the improved network has: its feature pyramid is normalised."""


class MaskRcnnDetector:
    """Find instances with torchvision's Mask R-CNN; its labels are COCO category ids already.

    Args:
        weights: a state dict of `maskrcnn_resnet50_fpn` (v1) or `maskrcnn_resnet50_fpn_v2` with COCO's 91 classes,
            written by `torch.save` or as safetensors. Nothing in it is executed.
        architecture: which of the two; None tells them apart by the file's content.
        score_threshold: findings of this score or below are dropped.
        max_boxes: the most findings that are kept, by score.
        min_size: the shorter side is resized to this many pixels before the network sees it, ...
        max_size: ... unless the longer one would exceed this.
        device: where the network runs.

    Raises:
        ValueError: The file is no such state dict; the message names the tensors that do not fit.
        OSError: The file cannot be read.

    Source:
        He et al. 2017, Mask R-CNN; Li et al. 2021, Benchmarking Detection Transfer Learning, for v2.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        architecture: Architecture | None = None,
        score_threshold: float = 0.7,
        max_boxes: int = 8,
        min_size: int = 800,
        max_size: int = 1333,
        device: str = "cpu",
    ) -> None:
        check_settings(score_threshold=score_threshold, max_boxes=max_boxes)
        self.score_threshold = score_threshold
        self.max_boxes = max_boxes
        self.device = torch.device(device)
        state = read_state_dict(Path(weights))
        network = build_network(
            architecture or architecture_of(state),
            min_size=min_size,
            max_size=max_size,
            box_score_thresh=score_threshold,
            box_detections_per_img=candidates(max_boxes),
        )
        load_strictly(network, state, Path(weights).name)
        self.network = network.eval().to(self.device)

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the instances of each picture, with masks of the picture's size.

        Pictures are looked at one by one: nothing depends on which of them come together.

        Args:
            lights: (H, W) uint8 arrays, round(L* x 255 / 100); sizes may differ.
        """
        return [self._detect_one(light) for light in lights]

    def _detect_one(self, light: NDArray[np.uint8]) -> Boxes:
        picture = torch.from_numpy(replicate(light)).permute(2, 0, 1).to(self.device) / 255
        with torch.inference_mode():
            found: dict[str, Tensor] = self.network([picture])[0]
        boxes = Boxes(
            xyxy=found["boxes"].float().cpu().clone(),
            score=found["scores"].float().cpu().clone(),
            label=found["labels"].long().cpu().clone(),
            image_size=(light.shape[0], light.shape[1]),
            mask=(found["masks"][:, 0] >= MASK_THRESHOLD).cpu().clone(),
        )
        return best_boxes(boxes, score_threshold=self.score_threshold, max_boxes=self.max_boxes)


def architecture_of(state: Mapping[str, Tensor]) -> Architecture:
    """Tell from the names of its tensors which of the two networks a state dict belongs to."""
    return "v2" if V2_KEY in state else "v1"


def build_network(architecture: Architecture, **settings: float) -> nn.Module:
    """Build the network without weights and without looking for any, with COCO's 91 outputs."""
    build = detection.maskrcnn_resnet50_fpn_v2 if architecture == "v2" else detection.maskrcnn_resnet50_fpn
    network: nn.Module = build(weights=None, weights_backbone=None, num_classes=91, **settings)
    return network
