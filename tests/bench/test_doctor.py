"""The doctor: what is here, what is missing, and what to do about it."""

import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from bench import doctor
from bench.doctor import examine, print_examination
from bench.downloads import KNOWN_FILES, METRIC_FILES
from bench.scoring.comparison import PIXEL_METRICS
from bench.scoring.metrics import METRICS, is_variant


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLORBENCH_WEIGHTS", f"{tmp_path}:{tmp_path / 'absent'}")
    monkeypatch.chdir(tmp_path)


def _by_id() -> dict[str, dict[str, str]]:
    return {finding["id"]: finding for finding in examine()}


def test_what_is_missing_comes_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "yolov8n-seg-coco.pt").write_bytes(b"x")
    found = _by_id()
    assert len(found) == len(examine())
    assert json.loads(json.dumps(list(found.values())))
    for finding in found.values():
        assert bool(finding["remedy"]) == (finding["status"] != "ok"), finding
    assert found["detector:yolo"]["status"] == "ok"
    assert "colorbench weights fetch maskrcnn" in found["detector:mask-rcnn"]["remedy"]
    assert found[f"weights-folder:{tmp_path / 'absent'}"]["status"] == "missing"
    assert found["package:torch"]["detail"] == metadata.version("torch")


def test_every_lpips_is_looked_for() -> None:
    assert set(METRIC_FILES) == set(METRICS) - set(PIXEL_METRICS)
    assert {f"metric:{metric}" for metric in METRIC_FILES if not is_variant(metric)} <= set(_by_id())
    assert {name for files in METRIC_FILES.values() for name in files} <= set(KNOWN_FILES)


def test_a_classifier_that_nobody_has_to_have_is_told_of_where_it_is(tmp_path: Path) -> None:
    assert not [name for name in _by_id() if name.startswith("metric:classification_top1_")]
    (tmp_path / "resnet18-f37072fd.pth").write_bytes(b"x")
    assert [name for name in _by_id() if "top1_" in name] == ["metric:classification_top1_resnet18"]


def test_without_the_extra_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ultralytics" else real(name))
    found = _by_id()
    assert found["extra:yolo"]["remedy"] == "pip install 'colorbench[yolo]'"
    assert "samples-core" in found["dataset:samples"]["detail"]


def test_the_table_shows_brackets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    monkeypatch.setenv("COLUMNS", "200")
    print_examination()
    assert "colorbench[slurm]" in capsys.readouterr().out


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from bench.doctor import examine; examine(); "
        "assert not {'ultralytics', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
