"""The boxes of a set of photos, from its annotators or from a detector that looks at the photos' light."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import catalog
from bench.downloads import file_sha256
from bench.errors import MissingError, UsageError
from bench.weights import find_weights
from datamodules.boxfile import BoxFile, BoxInfo, collect_boxes
from datamodules.images import ImageError
from datamodules.photos import Annotation, Photo, PhotoSource, Segmentation

if TYPE_CHECKING:
    from datamodules.types import Boxes, Detector

DETECTOR_FILES: Mapping[str, tuple[str, ...]] = {
    "yolo": ("yolov8n-seg-coco.pt", "yolov8n-seg.pt"),
    "mask-rcnn": ("maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
}
"""The detectors that are networks, and the weight files that they look for, the best first."""

WHOLE_IMAGE = {0: "whole image"}
Find = Callable[[Photo, NDArray[np.uint8]], list[Annotation]]


def detect(
    source: PhotoSource,
    detector: str,
    *,
    weights: str | Path | None = None,
    score_threshold: float = 0.7,
    max_boxes: int = 8,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
    annotated: BoxFile | None = None,
) -> BoxFile:
    """Find the instances of all photos, in this process.

    A photo that cannot be read is left out and noted in the file's `info.failed`; the others are looked at. Boxes are
    rounded to a thousandth of a pixel, scores to a millionth. Masks that annotators or the detector give are kept.

    Args:
        source: the photos.
        detector: its id. `annotations` copies the source's own boxes without scores, crowds left out.
        weights: file of a detector that is a network; looked for by name if left out.
        score_threshold: findings of this score or below are dropped.
        max_boxes: the most boxes a photo; of annotations the first ones.
        limit: look at the first so many photos only.
        progress: called with the number of photos that are done since the last call.
        annotated: boxes that `annotations` copies instead of the source's own.

    Raises:
        MissingError: The weights or ultralytics are not there.
        UsageError: The detector is unknown, or the weights are not its own.
    """
    catalog.known("detector", detector, catalog.detectors())
    info: dict[str, Any] = {"detector": detector, "max_boxes": max_boxes}
    find: Find
    if detector == "annotations":
        find = _Copier(annotated, max_boxes)
        categories = source.categories if annotated is None else {one.id: one.name for one in annotated.categories}
    else:
        names = [weights] if weights else DETECTOR_FILES.get(detector, ())
        path = find_weights(*names) if names and is_network(detector) else None
        find = _Finder(build_detector(detector, path, score_threshold=score_threshold, max_boxes=max_boxes))
        categories = _categories(detector)
        if is_network(detector):
            digest = None if path is None else file_sha256(path)
            info |= {"weights_sha256": digest, "score_threshold": score_threshold, "luminance": "lab_of_rgb"}
    found, failed = [], []
    for photo in source.photos[:limit]:
        try:
            rgb = source.read(photo.key)
            found.append((photo, (rgb.shape[0], rgb.shape[1]), find(photo, rgb)))
        except ImageError as error:
            failed.append({"image": photo.key, "status": error.status, "reason": error.reason})
        if progress is not None:
            progress(1)
    if failed:
        info["failed"] = failed
    return collect_boxes(BoxInfo.model_validate(info), found, categories)


def is_network(detector: str) -> bool:
    """Tell whether a detector is a network, or a plug-in, which may be one, and is to have a process of its own."""
    return detector in DETECTOR_FILES or catalog.detectors().plugin(detector) is not None


def _categories(detector: str) -> Mapping[int, str]:
    from lightning_modules.detectors.categories import COCO_CATEGORIES

    if is_network(detector):
        return COCO_CATEGORIES
    return WHOLE_IMAGE if detector == "whole-image" else {}


class _Copier:
    """Copy annotations as the boxes of a photo: those with an area inside of it, without scores, crowds left out."""

    def __init__(self, annotated: BoxFile | None, max_boxes: int) -> None:
        self.annotated = annotated
        self.max_boxes = max_boxes

    def __call__(self, photo: Photo, rgb: NDArray[np.uint8]) -> list[Annotation]:
        from datamodules.boxes import clip_box

        whole = (0, 0, rgb.shape[1], rgb.shape[0])
        given = photo.annotations if self.annotated is None else self.annotated.boxes(photo.key)
        usable = [one for one in given if not one.crowd and clip_box(one.bbox, whole) is not None]
        return [replace(one, score=None) for one in usable[: self.max_boxes]]


class _Finder:
    """Let a detector look at the light of a photo."""

    def __init__(self, detector: "Detector") -> None:
        self.detector = detector

    def __call__(self, photo: Photo, rgb: NDArray[np.uint8]) -> list[Annotation]:
        from lightning_modules.detectors.light import rgb_to_light8

        return _annotations(self.detector.detect([rgb_to_light8(rgb)])[0])


def _annotations(boxes: "Boxes") -> list[Annotation]:
    from datamodules.masks import mask_to_segmentation

    found = []
    for place, (left, top, right, bottom) in enumerate(boxes.xyxy.tolist()):
        x, y, width, height = (round(value, 3) for value in (left, top, right - left, bottom - top))
        region = None if boxes.mask is None else mask_to_segmentation(boxes.mask[place].numpy())
        found.append(
            Annotation(
                id=0,
                category_id=int(boxes.label[place]),
                bbox=(x, y, width, height),
                area=round(width * height, 3),
                score=round(float(boxes.score[place]), 6),
                segmentation=None if region is None else Segmentation.pack(region),
            )
        )
    return found


def build_detector(detector: str, weights: Path | None = None, *, score_threshold: float, max_boxes: int) -> "Detector":
    """Build a detector by its id, on the GPU where there is one; one that is a network with the weights of a file.

    Raises:
        MissingError: The weights or ultralytics are not there.
        UsageError: The weights are not those of the detector, or a setting is out of its range.
    """
    import torch

    from lightning_modules.detectors.none import NoDetector
    from lightning_modules.detectors.whole_image import WholeImageDetector

    plugin = catalog.detectors().plugin(detector)
    if plugin is None and (weights is None or detector not in DETECTOR_FILES):
        return WholeImageDetector() if detector == "whole-image" else NoDetector()
    settings: dict[str, Any] = {"score_threshold": score_threshold, "max_boxes": max_boxes}
    try:
        if plugin is not None:
            from bench.plugin_detector import PluginDetector

            return PluginDetector(plugin, weights, **settings)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return _build_network(detector, weights or Path(), **settings, device=device)
    except (ImportError, FileNotFoundError) as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _build_network(detector: str, weights: Path, **settings: Any) -> "Detector":
    if detector == "yolo":
        from lightning_modules.detectors.yolo import YoloDetector

        return YoloDetector(weights, **settings)
    from lightning_modules.detectors.mask_rcnn import MaskRcnnDetector

    return MaskRcnnDetector(weights, **settings)
