"""A plug-in's detector behind the rule that all detectors follow: which of its findings are kept, in which order."""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.plugins import Plugin
from datamodules.types import Boxes, Detector
from lightning_modules.detectors.selection import best_boxes, check_settings


class PluginDetector:
    """Let a plug-in's detector look at pictures.

    Its class is called with those of `weights`, `score_threshold`, `max_boxes` and `device` that its constructor names.

    Args:
        plugin: brings the class.
        weights: file that the suite or command line names; None where it names none.
        score_threshold: findings of this score or below are dropped.
        max_boxes: the most boxes a photo, the best ones.

    Raises:
        UsageError: The class is no detector, or cannot be called so.
        ValueError: A setting is out of its range.
    """

    def __init__(self, plugin: Plugin, weights: Path | None, *, score_threshold: float, max_boxes: int) -> None:
        check_settings(score_threshold=score_threshold, max_boxes=max_boxes)
        self.plugin = plugin
        self.score_threshold = score_threshold
        self.max_boxes = max_boxes
        self.detector = self._build(weights)

    def _build(self, weights: Path | None) -> Detector:
        kind = self.plugin.load()
        if not (isinstance(kind, type) and callable(getattr(kind, "detect", None))):
            raise self.plugin.fault("is no class with a method detect(lights), as datamodules.types.Detector says")
        known = {
            "weights": weights,
            "score_threshold": self.score_threshold,
            "max_boxes": self.max_boxes,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        }
        taken = inspect.signature(kind).parameters
        try:
            built: Detector = kind(**{name: value for name, value in known.items() if name in taken})
        except TypeError as error:
            raise self.plugin.fault(f"cannot be built with {', '.join(known)}: {error}") from error
        return built

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the findings that are used, one `Boxes` a picture.

        Args:
            lights: (H, W) uint8 arrays, round(L* x 255 / 100); sizes may differ.

        Raises:
            UsageError: The answer is no list of `Boxes`, or they are of other pictures.
        """
        found = self.detector.detect(lights)
        if [getattr(boxes, "image_size", None) for boxes in found] != [light.shape for light in lights]:
            raise self.plugin.fault("did not answer with one Boxes a picture, whose image_size is (height, width)")
        return [best_boxes(boxes, score_threshold=self.score_threshold, max_boxes=self.max_boxes) for boxes in found]
