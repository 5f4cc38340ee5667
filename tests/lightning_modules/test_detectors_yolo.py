"""YOLO, in a process of its own: importing ultralytics changes the process that does it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics: the extra [yolo]"
)

LOOK = """
import json, os, socket, sys
from pathlib import Path

calls = []
def refuse(*arguments, **settings):
    calls.append(repr(arguments))
    raise OSError("no network in this test")
socket.getaddrinfo = socket.socket.connect = refuse

import numpy as np
import torch
from PIL import Image
from lightning_modules.detectors.yolo import YoloDetector, import_yolo
assert "ultralytics" not in sys.modules
functions = torch.save, Image.open
threads, environment = torch.get_num_threads(), dict(os.environ)

yolo = import_yolo()
assert (torch.save, Image.open) == functions
assert torch.get_num_threads() == threads
changed = {name for name in os.environ if os.environ[name] != environment.get(name)}

class Payload:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)

def refusal(path):
    try:
        YoloDetector(path)
    except (ValueError, FileNotFoundError) as error:
        return f"{type(error).__name__}: {error}"

torch.save({"model": Payload()}, "evil.pt")
Path("text.pt").write_text("hello")
Path("model.yaml").write_text("nc: 80")
torch.manual_seed(0)
drawn = yolo("yolov8n-seg.yaml", verbose=False)
drawn.model.names = {index: name for index, name in enumerate(["person", "zebra", "toothbrush", "pothole"] * 20)}
drawn.save("drawn.pt")

def describe(boxes):
    return {"xyxy": boxes.xyxy.tolist(), "score": boxes.score.tolist(), "label": boxes.label.tolist(),
            "mask": list(boxes.mask.shape), "type": str(boxes.mask.dtype), "size": boxes.image_size}

noise = np.random.default_rng(0).integers(0, 256, (97, 131), dtype=np.uint8)
report = {
    "changed": sorted(changed),
    "refused": {path: refusal(path) for path in ("evil.pt", "text.pt", "model.yaml", "yolov8n-seg.pt")},
    "executed": Path("executed").exists(),
    "many": describe(YoloDetector("drawn.pt", score_threshold=0.0).detect([noise])[0]),
    "few": [describe(boxes) for boxes in YoloDetector("drawn.pt", score_threshold=0.99).detect([noise, noise[:1, :1]])],
}
if len(sys.argv) > 1:
    light = np.asarray(Image.open(sys.argv[2]).convert("L"))
    report["photo"] = describe(YoloDetector(sys.argv[1], score_threshold=0.5).detect([light])[0])
report["calls"] = calls
Path("report.json").write_text(json.dumps(report))
"""


def _photo(shared: Path) -> tuple[Path, set[int]]:
    """Return the photo whose annotations cover most of it, and their categories."""
    entries = json.loads((shared / "data/coco/annotations/instances_val2017.json").read_text())
    one = max((entry for entry in entries["annotations"] if not entry["iscrowd"]), key=lambda entry: entry["area"])
    image = next(entry for entry in entries["images"] if entry["id"] == one["image_id"])
    categories = {entry["category_id"] for entry in entries["annotations"] if entry["image_id"] == image["id"]}
    return shared / "data/coco/val2017" / image["file_name"], categories


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yolo")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    root = Path(__file__).resolve().parent.parent.parent
    shared = Path(os.environ.get("COLORBENCH_SHARED", root.parent / "shared"))
    weights = shared / "weights" / "yolov8n-seg-coco.pt"
    given = [str(weights), str(_photo(shared)[0])] if weights.is_file() else []
    environment = {**os.environ, "HOME": str(folder / "home"), "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "YOLO_CONFIG_DIR", "MPLCONFIGDIR"):
        environment.pop(name, None)
    (folder / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *given], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def test_import_leaves_the_process_as_it_was(report: dict[str, Any]) -> None:
    assert report["changed"] == [
        "ULTRALYTICS_SAFE_LOAD",
        "YOLO_AUTOINSTALL",
        "YOLO_CONFIG_DIR",
        "YOLO_OFFLINE",
        "YOLO_VERBOSE",
    ]


def test_nothing_reaches_the_network_or_the_home_folder(report: dict[str, Any], folder: Path) -> None:
    assert report["calls"] == []
    written = {path.relative_to(folder).parts[:3] for path in (folder / "home").rglob("*") if path.is_file()}
    assert not [parts for parts in written if "ltralytics" in "/".join(parts)]
    assert not (folder / "runs").exists()


def test_weights_are_not_executed(report: dict[str, Any]) -> None:
    assert not report["executed"]
    refused = report["refused"]
    assert "evil.pt is no YOLO checkpoint that can be opened safely" in refused["evil.pt"]
    assert "text.pt is no YOLO checkpoint" in refused["text.pt"]
    assert "a .pt file that ultralytics wrote" in refused["model.yaml"]
    assert refused["yolov8n-seg.pt"].startswith("FileNotFoundError: no YOLO weights at yolov8n-seg.pt")


def test_findings_have_the_pictures_size_and_coco_ids(report: dict[str, Any]) -> None:
    many = report["many"]
    assert 1 <= len(many["xyxy"]) <= 8
    assert many["mask"] == [len(many["xyxy"]), 97, 131]
    assert many["type"] == "torch.bool"
    assert many["size"] == [97, 131]
    assert set(many["label"]) <= {1, 24, 90, 0}
    assert all(0 <= left < right <= 131 and 0 <= top < low <= 97 for left, top, right, low in many["xyxy"])


def test_without_findings_all_is_empty_and_typed(report: dict[str, Any]) -> None:
    assert [boxes["mask"] for boxes in report["few"]] == [[0, 97, 131], [0, 1, 1]]
    assert [boxes["xyxy"] for boxes in report["few"]] == [[], []]


def test_a_real_photo_shows_what_its_annotators_saw(report: dict[str, Any], shared: Path) -> None:
    if "photo" not in report:
        pytest.skip("no weights/yolov8n-seg-coco.pt in the shared folder")
    found = report["photo"]
    assert found["score"] == sorted(found["score"], reverse=True)
    assert set(found["label"]) & _photo(shared)[1]
    assert found["mask"] == [len(found["xyxy"]), *found["size"]]
