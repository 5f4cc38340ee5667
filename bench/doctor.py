"""What this machine has of all that colorbench can use, and how to get the rest. Never imports ultralytics."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from bench import catalog
from bench.boxes import DETECTOR_FILES
from bench.downloads import KNOWN_FILES, METRIC_FILES, cache_folder, is_offline
from bench.errors import CommandError, MissingError
from bench.scoring.metrics import is_variant
from bench.weights import find_method_weights, found_at, weight_folders

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "lpips", "numpy", "scikit-image", "pillow", "pandas")
EXTRAS = {"ultralytics": "yolo", "mlflow": "mlflow", "submitit": "slurm"}
SAMPLE_PACKAGES = ("skimage", "matplotlib", "ultralytics")
GIB = 2**30
COLORS = {"ok": "green", "warn": "yellow", "missing": "red"}


class Finding(BaseModel):
    """Say of one thing whether it is there.

    Attributes:
        id: what it is, as `<kind>:<name>`.
        status: `missing` where something cannot be done without it, `warn` where it can, but worse or later.
        detail: what was found.
        remedy: what to do; empty where nothing has to be done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    status: Literal["ok", "missing", "warn"]
    detail: str
    remedy: str = ""


def examine() -> list[dict[str, Any]]:
    """Return all findings as plain values, `id`, `status`, `detail` and `remedy` each; nothing is fetched."""
    return [finding.model_dump() for finding in findings()]


def findings() -> Iterator[Finding]:
    """Look at versions, devices, folders, weights and data, one after another."""
    yield _machine()
    yield _device()
    yield from map(_package, PACKAGES)
    yield from map(_extra, EXTRAS)
    yield _network()
    yield from map(_folder, weight_folders())
    yield _cache()
    yield from (_weights("detector", name, files) for name, files in DETECTOR_FILES.items())
    yield from (_weights("metric", name, files) for name, files in METRIC_FILES.items() if not is_variant(name))
    yield from (_weights("metric", name, files) for name, files in METRIC_FILES.items() if _is_classifier_here(name))
    yield from (_method(card) for card in catalog.methods().values() if card.trainable)
    yield _samples()


def _machine() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    detail = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    low = free < 1
    return Finding(
        id="machine",
        status="warn" if low else "ok",
        detail=f"{detail}, {free:.0f} GiB free here",
        remedy="make room on this disk, or give another --out" if low else "",
    )


def _device() -> Finding:
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*"))
    if cards:
        import torch

        if torch.cuda.is_available():
            return Finding(id="device", status="ok", detail=f"{len(cards)} NVIDIA GPU: {torch.cuda.get_device_name(0)}")
        remedy = "install a torch that was built for this GPU's driver"
        return Finding(id="device", status="warn", detail="an NVIDIA GPU that torch cannot use", remedy=remedy)
    return Finding(id="device", status="ok", detail="CPU only; networks at their published size need seconds a photo")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    version = _version(name)
    if version is None:
        return Finding(id=f"package:{name}", status="missing", detail="not installed", remedy=f"pip install {name}")
    return Finding(id=f"package:{name}", status="ok", detail=version)


def _extra(name: str) -> Finding:
    version = _version(name)
    if version is not None and importlib.util.find_spec(name) is not None:
        return Finding(id=f"extra:{EXTRAS[name]}", status="ok", detail=f"{name} {version}")
    remedy = f"pip install 'colorbench[{EXTRAS[name]}]'"
    return Finding(id=f"extra:{EXTRAS[name]}", status="warn", detail=f"{name} is not installed", remedy=remedy)


def _network() -> Finding:
    if is_offline():
        remedy = "unset COLORBENCH_OFFLINE to fetch weights"
        return Finding(id="network", status="warn", detail="forbidden by COLORBENCH_OFFLINE", remedy=remedy)
    return Finding(id="network", status="ok", detail="may be used to fetch weights, when they are needed")


def _folder(folder: Path) -> Finding:
    if folder.is_dir():
        return Finding(id=f"weights-folder:{folder}", status="ok", detail="named in COLORBENCH_WEIGHTS")
    remedy = "correct COLORBENCH_WEIGHTS; its folders are parted by ':'"
    return Finding(id=f"weights-folder:{folder}", status="missing", detail="there is no such folder", remedy=remedy)


def _cache() -> Finding:
    count = sum(1 for path in cache_folder().glob("[!.]*") if path.is_file())
    return Finding(id="cache", status="ok", detail=f"{count} files in {cache_folder()}")


def _weights(kind: str, name: str, files: tuple[str, ...]) -> Finding:
    for file in files:
        path = found_at(KNOWN_FILES[file])
        if path is not None:
            return Finding(id=f"{kind}:{name}", status="ok", detail=path)
    published = next(file for file in files if KNOWN_FILES[file].url)
    return Finding(
        id=f"{kind}:{name}",
        status="missing",
        detail=f"its weights {' or '.join(files)} were not found",
        remedy=f"colorbench weights fetch {published}, or put one of them into a folder of COLORBENCH_WEIGHTS",
    )


def _is_classifier_here(metric: str) -> bool:
    """Whether a network of `classification_top1` that nobody has to have is on this machine."""
    return is_variant(metric) and any(found_at(KNOWN_FILES[file]) for file in METRIC_FILES[metric])


def _method(card: catalog.MethodCard) -> Finding:
    try:
        folder = find_method_weights(None, card.id)
    except MissingError:
        fetch = f"colorbench weights fetch {card.id}, or " if card.weights and card.weights.file else ""
        remedy = f"{fetch}colorbench train {card.id} --out DIR, then name DIR as its weights"
        return Finding(id=f"method:{card.id}", status="warn", detail="no weights were found", remedy=remedy)
    except CommandError as error:
        return Finding(id=f"method:{card.id}", status="warn", detail=str(error), remedy="train or import it again")
    return Finding(id=f"method:{card.id}", status="ok", detail=str(folder))


def _samples() -> Finding:
    absent = [name for name in SAMPLE_PACKAGES if importlib.util.find_spec(name) is None]
    if not absent:
        return Finding(id="dataset:samples", status="ok", detail=f"photos inside {', '.join(SAMPLE_PACKAGES)}")
    remedy = "pip install 'colorbench[yolo]'" if absent == ["ultralytics"] else f"pip install {' '.join(absent)}"
    detail = f"without {', '.join(absent)} it is samples-core, which has fewer photos"
    return Finding(id="dataset:samples", status="warn", detail=detail, remedy=remedy)


def print_examination() -> None:
    """Print all findings as a table on standard output."""
    table = Table("what", "status", "found", "what to do")
    for column in table.columns:
        column.overflow = "fold"
    for finding in findings():
        color = COLORS[finding.status]
        table.add_row(finding.id, f"[{color}]{finding.status}[/]", _escaped(finding.detail), _escaped(finding.remedy))
    Console().print(table)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
