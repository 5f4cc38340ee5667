"""How fast a method is here, and how large: images per second, memory, parameters, GMACs."""

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from bench import catalog
from bench.build import build_method, lend_photos
from bench.device import device_name, peak_memory_mb
from bench.suite import MethodChoice
from bench.weights import find_method_weights, load_manifest, load_networks
from datamodules.types import Boxes, GrayBatch
from lightning_modules.base import Colorizer

SIDE = 256


def random_batch(batch_size: int, boxes: int, crop_size: int | None) -> GrayBatch:
    """Return seeded noise as light, with `boxes` boxes a picture of a quarter to a half of its side."""
    draw = torch.Generator().manual_seed(0)
    corner = torch.rand(batch_size, boxes, 2, generator=draw) * SIDE / 2
    side = SIDE / 4 + torch.rand(batch_size, boxes, 2, generator=draw) * SIDE / 4
    size = (SIDE, SIDE)
    each = tuple(
        Boxes(torch.cat([a, a + b], 1), torch.ones(boxes), torch.ones(boxes, dtype=torch.int64), size)
        for a, b in zip(corner, side, strict=True)
    )
    crop = crop_size or 1
    crops = torch.rand(batch_size * boxes if crop_size else 0, 1, crop, crop, generator=draw) * 100
    light = torch.rand(batch_size, 1, SIDE, SIDE, generator=draw) * 100
    return GrayBatch(tuple(f"noise-{i}" for i in range(batch_size)), light, each, crops)


def measure(
    method: str, weights: str | None, batch_size: int, boxes: int, precision: str, repeats: int
) -> dict[str, Any]:
    """Measure one method on noise of 256 x 256 pixels.

    Args:
        method: id.
        weights: folder of weights; the published size with random weights where it is None.
        batch_size: pictures a pass.
        boxes: boxes a picture, for a method that looks at boxes.
        precision: `32` or `bf16`.
        repeats: timed passes after one that warms up; their median counts.

    Returns:
        What `speed --json` prints: counts, milliseconds an image, images a second, MB, and 10^9 multiply-adds an image.
    """
    choice = MethodChoice.model_validate({"id": method})
    folder = find_method_weights(weights, choice.id) if weights else None
    model = _load(choice.id, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    uses_boxes = catalog.methods()[method].uses_boxes
    batch = random_batch(batch_size, boxes if uses_boxes else 0, model.crop_size if uses_boxes else None).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        counter = FlopCounterMode(display=False)
        with counter:
            model(batch)
        seconds = statistics.median(_timed(model, batch, device) for _ in range(repeats))
    return {
        "method": method,
        "weights": None if weights is None else Path(weights).name,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "batch_size": batch_size,
        "boxes": boxes if uses_boxes else 0,
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in model.networks().items()
        },
        "images_per_second": round(batch_size / seconds, 3),
        "ms_per_image": round(1000 * seconds / batch_size, 3),
        "peak_memory_mb": peak_memory_mb(),
        "gmacs": round(counter.get_total_flops() / 2 / batch_size / 1e9, 3),
    }


def _load(method: str, folder: Path | None) -> Colorizer:
    tree = catalog.model_tree(method)
    if folder is None:
        return lend_photos(build_method(tree))
    model = build_method(load_manifest(folder).tree(method))
    load_networks(model.networks(), folder)
    return model


def _timed(model: Colorizer, batch: GrayBatch, device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    model(batch)
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def print_speed(measured: dict[str, Any]) -> None:
    """Print a measurement as a table."""
    table = Table(box=None, show_header=False)
    parameters = measured.pop("parameters")
    for name, value in measured.items():
        table.add_row(name.replace("_", " "), str(value))
    for name, count in parameters.items():
        table.add_row(f"parameters of {name}", f"{count:,}")
    Console().print(table)
