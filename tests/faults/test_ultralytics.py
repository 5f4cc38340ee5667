"""ultralytics changes the process that imports it: scores stay what they were, and no other process waits for ever."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics: the extra [yolo]"),
]

SAME = """
import hashlib, json, subprocess, sys
from pathlib import Path

import numpy as np
from PIL import Image

import bench.runner, lightning_modules.detectors.yolo
from bench.plan import Places
from bench.prepare import Options
from bench.suite import Suite
from datamodules.images import ImageError, find_images, read_image

Path("photos").mkdir()
random = np.random.default_rng(0)
for name in "abc":
    Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(f"photos/{name}.png")
heic = b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic" + bytes(99)
Path("photos/apple.heic").write_bytes(heic)
Path("photos/renamed.jpg").write_bytes(heic)

def tables(out):
    data = [{"id": "folder", "root": "photos"}]
    fields = {"name": "same-v1", "methods": ["gray", "random"], "metrics": ["psnr", "ssim"]}
    suite = Suite.model_validate({**fields, "datasets": data})
    bench.runner.run(suite, Options(Path(out), Places(Path()), download=False))
    return {str(path.relative_to(out)): path.read_text() for path in sorted(Path(out).rglob("images.csv"))}

assert "ultralytics" not in sys.modules, "the core does not import it"
before = tables("before")
lightning_modules.detectors.yolo.import_yolo()
assert "ultralytics" in sys.modules
started = []
subprocess.Popen.__init__ = lambda self, *arguments, **options: started.append(repr(arguments))
assert tables("after") == before
try:
    read_image(Path("photos/renamed.jpg"))
except ImageError as error:
    assert "known format" in str(error)
assert "apple" not in find_images(Path("photos"))
assert started == [], started
print("the same")
"""

TOGETHER = """
import sys, time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as processes
from PIL import Image


def work(rank):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{Path('rendezvous').absolute()}", rank=rank, world_size=2,
        timeout=timedelta(seconds=200))
    if rank == 0:
        from bench.detection import detect_folder
        from bench.suite import DetectorChoice

        choice = DetectorChoice(id="yolo", weights=str(Path("drawn.pt").absolute()), score_threshold=0.9)
        found = detect_folder(Path("photos"), choice, Path("boxes.json"))
        assert len(found.images) == 1
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    from lightning_modules.detectors.yolo import import_yolo

    torch.manual_seed(0)
    import_yolo()("yolov8n-seg.yaml", verbose=False).save("drawn.pt")
    Path("photos").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save("photos/a.png")
    processes.spawn(work, nprocs=2)
    print("nobody waits")
"""


@pytest.mark.parametrize(
    ("script", "words"), [(SAME, "the same"), (TOGETHER, "nobody waits")], ids=["same", "together"]
)
def test_ultralytics_costs_nobody_else(script: str, words: str, alone: Any, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script)
    done = alone.python("script.py")
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, [words]), done.stderr[-3000:]
    assert alone.calls == ""
    assert not [path for path in (tmp_path / "home").rglob("*") if "ltralytics" in str(path.relative_to(tmp_path))]
