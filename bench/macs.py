"""How much a method computes for one picture: multiply-adds, counted without computing anything."""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from bench.build import build_method
from bench.catalog import Tree
from bench.progress import say
from bench.speed import random_batch
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer


def count_gmacs(method: Tree, boxes: int) -> float | None:
    """Count the multiply-adds of a method's networks for one picture of 256 x 256.

    Convolutions and matrix products are counted, as `colorbench speed` does. The tensors have shapes but no content, so
    that it takes no memory, a fraction of a second, and no random number of the run.

    Args:
        method: `class_path` tree.
        boxes: of the picture, for a method that looks at boxes.

    Returns:
        10^9 multiply-adds; 0 for a method without networks, None for one that cannot do without the content.
    """
    return _count(json.dumps(method, sort_keys=True), boxes)


@cache
def _count(method: str, boxes: int) -> float | None:
    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            built = build_method(json.loads(method)).eval()
        if not built.networks():
            return 0.0
        try:
            return _counted(built, random_batch(1, boxes if built.uses_boxes else 0, built.crop_size))
        except Exception as error:
            say(f"{type(built).__name__}: multiply-adds are not counted: {type(error).__name__}: {error}")
            return None


def _counted(method: Colorizer, batch: GrayBatch) -> float:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), _ShapeOfResized(), counter:
        method(batch.to("meta"))
    return round(float(counter.get_total_flops()) / 2 / 1e9, 3)


class _ShapeOfResized(TorchFunctionMode):
    """Resize to a given size by the shape alone: nothing of it is counted, and hundreds of boxes would take seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or MappingProxyType({})
        size = given.get("size", args[1] if len(args) > 1 else None)
        if func is functional.interpolate and args and isinstance(size, tuple | list):
            return args[0].new_empty((*args[0].shape[:2], *size))
        return func(*args, **given)
