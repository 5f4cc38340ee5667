"""Heads of other tasks on a backbone: what is present, where it is, and which pixels it covers."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.ops import MultiScaleRoIAlign

from bench.probing.backbone import Backbone
from bench.probing.photos import Batch
from bench.probing.precision import Objects, box_precision, count_pixels, mean_union, presence_precision
from bench.probing.targets import Target
from datamodules.sources.voc import CLASSES, VOID

ANCHORS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
"""Sides of the boxes that detection begins from, as shares of the picture's side."""

BOXES_LEARNT, BOXES_TESTED = 64, 300
"""Proposals of a picture that the head learns from, as in Fast R-CNN, and that it judges, as in Faster R-CNN."""

Scores = dict[str, float]
"""The mean under `mean`, and that of each class by its name."""


class Tuned(Protocol):
    """Do one task with a backbone."""

    metric: str

    def loss(self, lab: Tensor, targets: Sequence[Target]) -> Tensor:
        """Return the training loss of pictures, (B, 3, H, W) in Lab."""
        ...

    def score(self, batches: Iterable[Batch]) -> Scores:
        """Return the scores of pictures, in percent."""
        ...


def device_of_module(module: nn.Module) -> torch.device:
    """Return where the parameters of a module are."""
    return next(module.parameters()).device


class PresenceModel(nn.Module):
    """Say of each class whether a picture shows it, by a linear layer on the mean of a map."""

    metric = "map"

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.channels(backbone.names[0]), len(CLASSES))

    def forward(self, lab: Tensor) -> Tensor:
        """Return the logits, (B, 20), of pictures."""
        feature = self.backbone(lab)[self.backbone.names[0]]
        logits: Tensor = self.head(feature.mean(dim=(2, 3)))
        return logits

    def loss(self, lab: Tensor, targets: Sequence[Target]) -> Tensor:
        """Return the mean binary cross-entropy of the classes that count."""
        present = torch.stack([target["present"] for target in targets]).to(lab.device)
        return functional.binary_cross_entropy_with_logits(self(lab), present.clamp(min=0), (present >= 0).float())

    @torch.no_grad()
    def score(self, batches: Iterable[Batch]) -> Scores:
        """Return the average precision of each class and their mean."""
        logits, present = [], []
        for batch in batches:
            logits.append(self(batch.lab.to(device_of_module(self))).cpu().double())
            present += [target["present"].double() for target in batch.targets]
        found = presence_precision(torch.cat(logits).numpy(), torch.stack(present).numpy())
        return in_percent({CLASSES[place]: value for place, value in found.items()})


class SegmentationModel(nn.Module):
    """Give each pixel a class by torchvision's fully convolutional head."""

    metric = "mean_iu"

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = FCNHead(backbone.channels(backbone.names[0]), 1 + len(CLASSES))

    def forward(self, lab: Tensor) -> Tensor:
        """Return the logits, (B, 21, h, w), at the size of the map."""
        logits: Tensor = self.head(self.backbone(lab)[self.backbone.names[0]])
        return logits

    def loss(self, lab: Tensor, targets: Sequence[Target]) -> Tensor:
        """Return the mean cross-entropy of the pixels that are not void, at the size of the pictures."""
        size = lab.shape[-2:]
        maps = [target["map"][None, None].float() for target in targets]
        truth = torch.cat([functional.interpolate(each, size, mode="nearest-exact") for each in maps])[:, 0].long()
        logits = functional.interpolate(self(lab), size, mode="bilinear", align_corners=False)
        return functional.cross_entropy(logits, truth.to(lab.device), ignore_index=VOID)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch]) -> Scores:
        """Return the intersection over union of each class and their mean, over the pixels of the photos themselves."""
        counts = torch.zeros(1 + len(CLASSES), 1 + len(CLASSES), dtype=torch.int64)
        for batch in batches:
            for logits, target in zip(self(batch.lab.to(device_of_module(self))).cpu(), batch.targets, strict=True):
                size = target["map"].shape[-2:]
                answer = functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0].argmax(0)
                counts += count_pixels(answer, target["map"], len(counts), VOID)
        names = ("background", *CLASSES)
        return in_percent({names[place]: value for place, value in mean_union(counts)[1].items()})


class _SingleMap(nn.Module):
    """Give torchvision's detector the one map of a backbone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels = backbone.channels(backbone.names[0])

    def forward(self, lab: Tensor) -> "OrderedDict[str, Tensor]":
        return OrderedDict({"0": self.backbone(lab)[self.backbone.names[0]]})


class DetectionModel(nn.Module):
    """Find objects by torchvision's Faster R-CNN on a single map.

    Convention:
        Answers of every score count, 100 a photo at most: average precision looks at all that is found, and
        torchvision's threshold of 0.05 would leave a detector that has learnt little without any.
    """

    metric = "map"

    def __init__(self, backbone: Backbone, size: int) -> None:
        super().__init__()
        anchors = tuple(round(share * size) for share in ANCHORS)
        self.detector = FasterRCNN(
            _SingleMap(backbone),
            1 + len(CLASSES),
            min_size=size,
            max_size=size,
            image_mean=[0.0, 0.0, 0.0],
            image_std=[1.0, 1.0, 1.0],
            rpn_anchor_generator=AnchorGenerator((anchors,), ((0.5, 1.0, 2.0),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
            box_batch_size_per_image=BOXES_LEARNT,
            rpn_post_nms_top_n_test=BOXES_TESTED,
            box_score_thresh=0.0,
        )

    def loss(self, lab: Tensor, targets: Sequence[Target]) -> Tensor:
        """Return the sum of the four losses of Faster R-CNN; difficult objects are not learnt."""
        self.detector.train()
        wanted = [_wanted(target, lab.shape[-1], lab.device) for target in targets]
        losses: dict[str, Tensor] = self.detector(list(lab), wanted)
        return torch.stack(list(losses.values())).sum()

    @torch.no_grad()
    def score(self, batches: Iterable[Batch]) -> Scores:
        """Return the average precision of each class and their mean, boxes being measured in the photo."""
        self.detector.eval()
        answers: list[Objects] = []
        truths: list[Objects] = []
        for batch in batches:
            found = self.detector(list(batch.lab.to(device_of_module(self))))
            for answer, target in zip(found, batch.targets, strict=True):
                scale = _scale(target)
                boxes = answer["boxes"].cpu() / batch.lab.shape[-1] * scale
                none = torch.zeros(len(boxes), dtype=torch.bool)
                answers.append(Objects(boxes, answer["labels"].cpu(), answer["scores"].cpu(), none))
                labels = target["labels"]
                zeros = torch.zeros(len(labels))
                truths.append(Objects(target["boxes"] * scale, labels, zeros, target["difficult"]))
        return in_percent({CLASSES[label - 1]: value for label, value in box_precision(answers, truths).items()})


def _scale(target: Target) -> Tensor:
    """Return width, height, width, height of a photo."""
    height, width = target["size"].tolist()
    return torch.tensor([width, height, width, height], dtype=torch.float32)


def _wanted(target: Target, side: int, device: torch.device) -> dict[str, Tensor]:
    """Return the objects to be learnt, in pixels of the square; those that are difficult or have no area are not."""
    left, top, right, bottom = target["boxes"].unbind(1)
    kept = ~target["difficult"] & (right > left) & (bottom > top)
    return {"boxes": (target["boxes"][kept] * side).to(device), "labels": target["labels"][kept].to(device)}


def in_percent(shares: dict[str, float]) -> Scores:
    """Return shares of one in percent, with their mean."""
    mean = float(np.mean(list(shares.values()))) if shares else 0.0
    return {"mean": 100 * mean, **{name: 100 * value for name, value in shares.items()}}
