"""What every test may ask for, and what none may do: reach the network, or find the user's own settings."""

import math
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname(), "", None}

os.environ.pop("COLORBENCH_WEIGHTS", None)
if (workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
os.environ |= {"MPLBACKEND": "Agg", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """Refuse every connection to another machine, as a machine without a network would."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE:
            raise ConnectionRefusedError(f"tests reach no network: {address[0]}")
        connect(self, address)

    def look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
        if host not in HERE:
            raise socket.gaierror(socket.EAI_NONAME, f"tests reach no network: {host}")
        return look_up(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        patch.setattr(socket, "getaddrinfo", look_up_here)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real photos and weights that stands beside a checkout of the maintainers."""
    folder = Path(os.environ.get("COLORBENCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no photos at {folder}: set COLORBENCH_SHARED to a folder that holds data/ and weights/")
    return folder


VOC_NAMES = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}
"""COCO's names of what VOC calls otherwise; other names are the same, or unknown to VOC."""


@pytest.fixture(scope="session")
def write_voc(shared: Path) -> Callable[[Path, int, int], Path]:
    """Return a function that writes a VOC-style folder of real photos with their annotators' boxes and masks."""
    import numpy as np
    from PIL import Image

    from datamodules.masks import segmentation_to_mask
    from datamodules.photos import Photo
    from datamodules.sources.coco import CocoSource
    from datamodules.sources.voc import NUMBERS

    def number(source: CocoSource, category: int) -> int:
        name = source.categories[category]
        return NUMBERS.get(VOC_NAMES.get(name, name), 0)

    def write_photo(root: Path, source: CocoSource, photo: Photo) -> None:
        height, width = source.sizes[photo.key]
        labels = np.zeros((height, width), np.uint8)
        objects = ""
        for each in photo.annotations:
            found = number(source, each.category_id)
            if not found:
                continue
            x, y, w, h = each.bbox
            corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + w, "ymax": y + h}
            box = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
            name = next(name for name, place in NUMBERS.items() if place == found)
            difficult = int(each.crowd)
            objects += f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>"
            assert each.segmentation is not None
            labels[segmentation_to_mask(each.segmentation.unpack(), (height, width))] = 255 if each.crowd else found
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        (root / "Annotations" / f"{photo.key}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
        shutil.copy(source.paths[photo.key], root / "JPEGImages" / f"{photo.key}.jpg")
        indexed = Image.fromarray(labels).convert("P")
        indexed.putdata(labels.ravel().tolist())
        indexed.save(root / "SegmentationClass" / f"{photo.key}.png")

    def write(root: Path, learnt: int, tested: int) -> Path:
        for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
            (root / name).mkdir(parents=True)
        for split, name, count in (("train2017", "trainval", learnt), ("val2017", "test", tested)):
            source = CocoSource(shared / "data" / "coco", split)
            known = [
                photo for photo in source.photos if any(number(source, each.category_id) for each in photo.annotations)
            ]
            for photo in known[:count]:
                write_photo(root, source, photo)
            for image_set in ("Main", "Segmentation"):
                lines = "".join(f"{photo.key}\n" for photo in known[:count])
                (root / "ImageSets" / image_set / f"{name}.txt").write_text(lines)
        return root

    return write


@pytest.fixture(scope="session")
def voc(write_voc: Callable[[Path, int, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a VOC-style folder of six photos to learn from and four to test."""
    return write_voc(tmp_path_factory.mktemp("voc") / "VOC2007", 6, 4)


@pytest.fixture
def colorbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line and gives its exit status, standard output and standard error."""
    from bench import cli

    monkeypatch.setattr(cli, "raise_on_signals", lambda: None)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["colorbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def write_big_run() -> Callable[..., None]:
    """Return a function that writes record and tables of a run with as many pictures and instances as one likes.

    Scores follow from their numbers; there are no rows, because reports read tables.
    """

    def write(out: Path, method: str, pictures: int, instances: int, shift: float) -> None:
        import numpy as np

        from bench.record import RunRecord

        draw = np.random.default_rng(round(shift * 100))
        folder = out / "runs" / "coco" / f"{method}--none--s0"
        folder.mkdir(parents=True)
        record: dict[str, Any] = {"image": {}, "instance": {}}
        for level, count in (("image", pictures), ("instance", instances)):
            scores = {
                "psnr": 20 + shift + draw.normal(0, 3, count),
                "ssim": 0.8 + draw.normal(0, 0.05, count),
                "lpips_alex": 0.2 + draw.normal(0, 0.02, count),
            }
            columns = {name: values.tolist() for name, values in scores.items()}
            for name, values in columns.items():
                ends = {"std": 1.0, "low": None, "high": None}
                record[level][name] = {"mean": math.fsum(values) / count, "n": count, **ends}
            lines = zip(*columns.values(), strict=True)
            cells = [",".join(map(repr, line)) for line in lines]
            if level == "image":
                head = "image,status,psnr,ssim,lpips_alex\n"
                body = "".join(f"val2017/{place:012},ok,{line}\n" for place, line in enumerate(cells))
            else:
                head = "image,instance,psnr,ssim,lpips_alex\n"
                body = "".join(f"val2017/{place % pictures:012},{place},{line}\n" for place, line in enumerate(cells))
            (folder / f"{level}s.csv").write_text(head + body)
        counts = dict.fromkeys(
            ("failed", "gray_truth", "without_instances", "without_detections", "left_out_small", "left_out_crowd"), 0
        )
        record |= {
            "run_id": method,
            "suite": "big-v1",
            "method": method,
            "detector": "none",
            "dataset": "coco",
            "protocol": "stretch256-v1",
            "protocol_sha256": "p" * 64,
            "seed": 0,
            "partial": False,
            "untrained": False,
            "counts": {"images": pictures, "instances": instances, "identical": 0, **counts},
            "digests": {"dataset": "d", "config": "c", "rows": "r"},
            "parameters": {},
            "git_commit": None,
            "git_dirty": None,
            "versions": {},
            "device": "cpu",
            "precision": "32",
            "processes": 1,
            "started_utc": "2026-01-02T03:04:05Z",
            "seconds": 1.0,
            "images_per_second": None,
            "peak_memory_mb": None,
        }
        (folder / "record.json").write_text(RunRecord.model_validate(record).to_json())

    return write


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Return a headless Chromium, the distribution's own; mark tests that ask for it with `browser`."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on the path: install the distribution's")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()
