"""YOLO through the package ultralytics, on the light channel.

ultralytics is AGPL-3.0 and optional. Its import replaces `torch.save` and `PIL.Image.open`, sets environment variables
and thread counts, and waits for ever where one process of a group imports it alone. So it is imported only when a
detector is made, with its network access, installations and usage reports switched off, and what it replaced is put
back; `bench` besides gives it a process of its own.
"""

import atexit
import importlib
import importlib.util
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from datamodules.types import Boxes
from lightning_modules.detectors.categories import coco_id
from lightning_modules.detectors.light import replicate
from lightning_modules.detectors.selection import best_boxes, candidates, check_settings

SWITCHES = {
    "ULTRALYTICS_SAFE_LOAD": "1",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
}

UNREADABLE = (
    AttributeError,
    EOFError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
"""What ultralytics raises on files that are damaged, not its own, or hold objects that it does not execute."""


class YoloDetector:
    """Find instances with a YOLO network; its class names are translated to COCO category ids.

    Args:
        weights: an existing `.pt` file that ultralytics wrote. Nothing in it is executed.
        score_threshold: findings of this score or below are dropped.
        max_boxes: the most findings that are kept, by score.
        image_size: the longer side is resized to this many pixels before the network sees it.
        device: where the network runs.

    Raises:
        ValueError: The file is no such checkpoint, or holds objects that a YOLO network does not need.
        FileNotFoundError: There is no such file. None is ever downloaded here.
        ImportError: ultralytics is not installed, or too old to load weights safely.

    Source:
        Jocher et al. 2023, Ultralytics YOLOv8.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        score_threshold: float = 0.7,
        max_boxes: int = 8,
        image_size: int = 640,
        device: str = "cpu",
    ) -> None:
        check_settings(score_threshold=score_threshold, max_boxes=max_boxes)
        self.score_threshold = score_threshold
        self.max_boxes = max_boxes
        self.settings = {"imgsz": image_size, "device": device, "conf": score_threshold}
        self.model = load_model(Path(weights))
        self.category = {index: coco_id(name) for index, name in self.model.names.items()}

    def detect(self, lights: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the instances of each picture, with masks of the picture's size.

        Pictures are looked at one by one: nothing depends on which of them come together. A network without masks
        gives none.

        Args:
            lights: (H, W) uint8 arrays, round(L* x 255 / 100); sizes may differ.
        """
        return [self._detect_one(light) for light in lights]

    def _detect_one(self, light: NDArray[np.uint8]) -> Boxes:
        (result,) = self.model.predict(
            [replicate(light)],
            max_det=candidates(self.max_boxes),
            retina_masks=True,
            save=False,
            verbose=False,
            **self.settings,
        )
        found = result.boxes.data.float().cpu().clone()
        boxes = Boxes(
            xyxy=found[:, :4],
            score=found[:, 4],
            label=torch.tensor([self.category[int(index)] for index in found[:, 5]], dtype=torch.int64),
            image_size=(light.shape[0], light.shape[1]),
            mask=self._mask(result, len(found), light.shape),
        )
        return best_boxes(boxes, score_threshold=self.score_threshold, max_boxes=self.max_boxes)

    def _mask(self, result: Any, count: int, shape: tuple[int, ...]) -> torch.Tensor | None:
        if self.model.task != "segment":
            return None
        if count == 0:
            return torch.zeros(0, *shape, dtype=torch.bool)
        mask: torch.Tensor = result.masks.data > 0
        return mask.cpu().clone()


def load_model(weights: Path) -> Any:
    """Open a checkpoint with ultralytics, so that nothing in it is executed and nothing is downloaded.

    Raises:
        ValueError: The file is no checkpoint that can be opened this way.
        FileNotFoundError: There is no such file.
        ImportError: ultralytics is not installed, or too old to load weights safely.
    """
    path = weights.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no YOLO weights at {weights}: give the path of an existing .pt file")
    if path.suffix != ".pt":
        raise ValueError(f"YOLO weights are a .pt file that ultralytics wrote, got {weights.name}")
    yolo = import_yolo()
    try:
        model = yolo(str(path), verbose=False)
        names = model.names
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{weights.name} is no YOLO checkpoint that can be opened safely: {reason}") from error
    if not isinstance(names, dict):
        raise ValueError(f"{weights.name} holds a model without class names: give a YOLO detection or segmentation one")
    return model


@cache
def import_yolo() -> Any:
    """Import ultralytics with network, installations and usage reports switched off, and return its class `YOLO`.

    Raises:
        ImportError: It is not installed, or too old to load weights without executing what is in them.
    """
    if importlib.util.find_spec("ultralytics") is None:
        raise ImportError("the detector `yolo` needs ultralytics: pip install 'colorbench[yolo]'")
    folder = tempfile.mkdtemp(prefix="colorbench-yolo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(SWITCHES, YOLO_CONFIG_DIR=folder)
    with _put_back():
        yolo: Any = importlib.import_module("ultralytics").YOLO
        tasks: Any = importlib.import_module("ultralytics.nn.tasks")
        settings: Any = importlib.import_module("ultralytics.utils").SETTINGS
    if not (getattr(tasks, "SAFE_LOAD", False) and getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False)):
        raise ImportError(
            "this ultralytics executes what it finds in weights, or was imported by something else before; "
            "pip install --upgrade 'colorbench[yolo]'"
        )
    settings.update({"sync": False})
    return yolo


@contextmanager
def _put_back() -> Iterator[None]:
    """Undo what the import in the block does to `torch.save`, `PIL.Image.open`, torch's threads and the environment."""
    save, open_image, threads, environment = torch.save, Image.open, torch.get_num_threads(), dict(os.environ)
    try:
        yield
    finally:
        torch.save, Image.open = save, open_image
        torch.set_num_threads(threads)
        os.environ.clear()
        os.environ.update(environment)
