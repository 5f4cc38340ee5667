"""How fast a method is here, and how large: images per second, memory, parameters, GMACs."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from bench import catalog
from bench.build import build_method, lend_photos
from bench.device import device_name, peak_memory_mb
from bench.errors import CommandError
from bench.weights import find_method_weights, load_manifest, load_networks
from datamodules.hints import made_guide
from datamodules.types import Boxes, GrayBatch
from lightning_modules.base import Colorizer

SIDE = 256
HINTS = 10
READY = "ready\n"


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


def with_hints(batch: GrayBatch, model: Colorizer) -> GrayBatch:
    """Return a batch with `HINTS` hints a picture for a method that has no other colours, else as it is."""
    return replace(batch, guide=made_guide(batch.light, HINTS)) if model.needs_hints else batch


def measure(
    method: str,
    weights: str | None,
    batch_size: int,
    boxes: int,
    precision: str,
    repeats: int,
    warmed_up: Callable[[], object] = bool,
) -> dict[str, Any]:
    """Measure one method on noise of 256 x 256 pixels.

    Args:
        method: id.
        weights: folder of weights; the published size with random weights where it is None.
        batch_size: pictures a pass.
        boxes: boxes a picture, for a method that looks at boxes.
        precision: `32` or `bf16`.
        repeats: timed passes after one that warms up; their median counts.
        warmed_up: called between the two.

    Returns:
        What `speed --json` prints: counts, milliseconds an image, images a second, MB, and 10^9 multiply-adds an image.
    """
    catalog.known("method", method, catalog.methods())
    folder = find_method_weights(weights, method) if weights else None
    model = _load(method, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    uses_boxes = catalog.methods()[method].uses_boxes
    batch = random_batch(batch_size, boxes if uses_boxes else 0, model.crop_size if uses_boxes else None)
    batch = with_hints(batch, model).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        counter = FlopCounterMode(display=False)
        with counter:
            model(batch)
        warmed_up()
        seconds = statistics.median(_timed(model, batch, device) for _ in range(repeats))
    return {
        "method": method,
        "weights": None if weights is None else Path(weights).name,
        "device": device_name(),
        "devices": 1,
        "size": SIDE,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "batch_size": batch_size,
        "boxes": boxes if uses_boxes else 0,
        "hints": HINTS if model.needs_hints else 0,
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in model.networks().items()
        },
        "images_per_second": round(batch_size / seconds, 3),
        "ms_per_image": round(1000 * seconds / batch_size, 3),
        "peak_memory_mb": peak_memory_mb(),
        "gmacs": round(counter.get_total_flops() / 2 / batch_size / 1e9, 3),
    }


def measure_together(devices: int, **arguments: Any) -> dict[str, Any]:
    """Measure one method in several processes that pass their pictures at the same time, each on a GPU of its own.

    Args:
        devices: number of processes.
        **arguments: those of `measure`.

    Returns:
        The same: images a second of all together, the slowest process's milliseconds, the largest memory.

    Raises:
        CommandError: A process failed; its own words stand above.
    """
    children = [_start(rank, devices, arguments) for rank in range(devices)]
    try:
        ready = [child.stdout is not None and child.stdout.readline() == READY for child in children]
        for child in children:
            if all(ready) and child.stdin is not None:
                child.stdin.write("go\n")
                child.stdin.flush()
        found = [json.loads(child.stdout.read() or "{}") if child.stdout is not None else {} for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    if not all(ready) or not all(found):
        raise CommandError(f"one of {devices} processes could not measure {arguments['method']}; see above")
    together: dict[str, Any] = found[0] | {
        "devices": devices,
        "images_per_second": round(sum(each["images_per_second"] for each in found), 3),
        "ms_per_image": max(each["ms_per_image"] for each in found),
        "peak_memory_mb": max(each["peak_memory_mb"] for each in found),
    }
    return together


def _start(rank: int, devices: int, arguments: Mapping[str, Any]) -> "subprocess.Popen[str]":
    own = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // devices))}
    if torch.cuda.is_available():
        own["CUDA_VISIBLE_DEVICES"] = str(rank % torch.cuda.device_count())
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.speed"],
        env={**os.environ, **own},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if child.stdin is not None:
        child.stdin.write(json.dumps(dict(arguments)) + "\n")
        child.stdin.flush()
    return child


def main() -> None:
    """Measure what standard input says, waiting for a second line there before the passes that count."""

    def wait() -> None:
        sys.stdout.write(READY)
        sys.stdout.flush()
        sys.stdin.readline()

    arguments = json.loads(sys.stdin.readline())
    try:
        sys.stdout.write(json.dumps(measure(**arguments, warmed_up=wait)))
    except CommandError as error:
        sys.exit(str(error))


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
        table.add_row(name.replace("_", " "), "none: published size, random" if value is None else str(value))
    for name, count in parameters.items():
        table.add_row(f"parameters of {name}", f"{count:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
