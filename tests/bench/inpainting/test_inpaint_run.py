"""A suite of inpainting from photos to tables: whole, resumed, with failures, and with a training on real photos."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench.callbacks import Steps
from bench.catalog import data_tree, with_settings
from bench.errors import UsageError
from bench.inpainting.record import read_inpaint_records
from bench.inpainting.runner import InpaintOptions, run_inpainting
from bench.inpainting.suite import InpaintSuite, load_suite
from bench.inpainting.training import InpaintTraining, train
from bench.interrupt import Interrupted
from bench.manifest import load_manifest
from bench.plan import Places
from bench.recipe import Recipe, Stage
from bench.tables import read_table
from datamodules.inpaint_batch import Filling, HoledBatch
from lightning_modules.inpainting.mean_fill import MeanFill

TINY: dict[str, Any] = {
    "name": "tiny-v1",
    "dataset": {"id": "synthetic", "count": 3, "size": 64},
    "size": 56,
    "holes": ["10-20", "fixed"],
    "methods": ["mean-fill", "biharmonic"],
    "batch_size": 2,
}


@pytest.fixture(autouse=True)
def no_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test look for the network of FID."""
    from bench.inpainting import runner
    from bench.scoring.networks import Networks

    monkeypatch.setattr(runner, "find_networks", lambda metrics: (Networks(), (), ["fid is left out: not at hand"]))


def options(out: Path, **changes: Any) -> InpaintOptions:
    return InpaintOptions(out, Places(Path()), **changes)


def rows(out: Path, run: str) -> list[dict[str, Any]]:
    lines = (out / "inpainting" / "synthetic" / run / "rows.rank0.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda row: str(row["image"]))


def test_a_run_leaves_rows_records_tables_and_a_picture(tmp_path: Path) -> None:
    suite = InpaintSuite.model_validate(TINY)
    assert run_inpainting(suite, options(tmp_path)) == 0
    records = [record for _, record in read_inpaint_records(tmp_path)]
    assert {(record.method, record.holes) for record in records} == {
        (method, holes) for method in ("mean-fill", "biharmonic") for holes in ("10-20", "fixed")
    }
    by_name = {(record.method, record.holes): record for record in records}
    smooth, flat = by_name["biharmonic", "10-20"], by_name["mean-fill", "10-20"]
    assert 0.1 < (smooth.hole_share or 0) <= 0.2
    assert by_name["mean-fill", "fixed"].hole_share == 0.25
    assert smooth.protocol == "centercrop256-v1@56"
    assert (smooth.images, smooth.failed, smooth.scores["psnr"].n) == (3, 0, 3)
    assert (smooth.scores["psnr"].mean or 0) > (flat.scores["psnr"].mean or 0)
    table = read_table(tmp_path / "inpainting/synthetic/mean-fill--fixed--s0/images.csv")
    assert [line["status"] for line in table] == ["ok"] * 3
    assert {"leaderboard.md", "leaderboard.csv", "leaderboard.html"} <= {path.name for path in tmp_path.iterdir()}
    with Image.open(tmp_path / "comparison.png") as picture:
        assert picture.size == (4 * 60 + 4, 14 + 2 * 60 + 4)


def test_a_stopped_run_goes_on_and_gives_the_same_numbers(tmp_path: Path) -> None:
    suite = InpaintSuite.model_validate({**TINY, "methods": ["mean-fill"]})
    run_inpainting(suite, options(tmp_path))
    folder = tmp_path / "inpainting/synthetic/mean-fill--10-20--s0"
    whole, record = rows(tmp_path, folder.name), json.loads((folder / "record.json").read_text())
    lines = (folder / "rows.rank0.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.rank0.jsonl").write_text(lines[0] + lines[1][:40])
    (folder / "record.json").unlink()
    with pytest.warns(UserWarning, match="torn last line"):
        run_inpainting(suite, options(tmp_path))
    assert rows(tmp_path, folder.name) == whole
    assert json.loads((folder / "record.json").read_text())["digests"] == record["digests"]
    before = (folder / "record.json").read_bytes()
    run_inpainting(suite, options(tmp_path))
    assert (folder / "record.json").read_bytes() == before


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    suite = InpaintSuite.model_validate({**TINY, "methods": ["mean-fill"], "holes": ["fixed"]})
    run_inpainting(suite, options(tmp_path))
    with pytest.raises(UsageError, match="sigma changed; give another --out"):
        run_inpainting(suite.model_copy(update={"sigma": 3.0}), options(tmp_path))


def test_what_a_method_fails_on_becomes_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = MeanFill.fill

    def fragile(self: MeanFill, holed: HoledBatch) -> Filling:
        if any(key.endswith("0") for key in holed.key):
            raise RuntimeError("it broke")
        filling = fill(self, holed)
        wrong = torch.tensor([key.endswith("1") for key in holed.key])[:, None, None, None]
        return Filling(torch.where(wrong, torch.nan, filling.rgb))

    monkeypatch.setattr(MeanFill, "fill", fragile)
    suite = InpaintSuite.model_validate({**TINY, "methods": ["mean-fill"], "holes": ["fixed"]})
    assert run_inpainting(suite, options(tmp_path)) == 2
    found = rows(tmp_path, "mean-fill--fixed--s0")
    assert [row["status"] for row in found] == ["error-method", "error-nonfinite", "ok"]
    assert found[0]["message"] == "RuntimeError: it broke"
    (record,) = (record for _, record in read_inpaint_records(tmp_path))
    assert (record.images, record.failed, record.scores["psnr"].n) == (3, 2, 1)


def test_the_command_says_what_it_would_run_and_what_is_missing(
    tmp_path: Path, colorbench: Callable[..., tuple[int, str, str]]
) -> None:
    status, printed, _ = colorbench("inpaint", "--dry-run")
    assert status == 0
    assert "inpainting/samples-core/edgeconnect-no-edges--fixed--s0" in printed.splitlines()
    lacking = {**TINY, "dataset": {"id": "folder", "root": "nowhere"}, "masks": "no-masks"}
    (tmp_path / "lacking.yaml").write_text(yaml.safe_dump(lacking))
    status, _, said = colorbench("inpaint", tmp_path / "lacking.yaml", "--dry-run")
    assert status == 3
    assert "nowhere" in said
    assert "the folder of masks 'no-masks' is not at" in said
    status, _, said = colorbench("inpaint", "inpainting-v2")
    assert status == 2
    assert "did you mean inpainting-v1" in said


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_as_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(steps=9, learning_rate=1e-3, pretrained=False, model={"uses_edges": True})
    model = {"width": 0.0625, "perceptual_weight": 0.0, "style_weight": 0.0}
    recipe = Recipe(id="tiny", train_size=32, batch_size=2, model=model, stages={"edgeconnect-inpainting": stage})
    suite = InpaintSuite.model_validate({**TINY, "methods": ["edgeconnect-inpainting"]})
    scenes = with_settings(data_tree("synthetic"), {"size": 48, "train": 5, "val": 1, "test": 2})
    whole, broken = (
        InpaintTraining(tmp_path / name, suite.methods[0], suite, recipe, scenes) for name in ("whole", "broken")
    )
    expected = load_manifest(train(whole)).networks
    count = Steps.on_train_batch_end

    def stop(self: Steps, trainer: Any, *rest: Any) -> None:
        count(self, trainer, *rest)
        if trainer.global_step == 7:
            raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "on_train_batch_end", stop)
        with pytest.raises(Interrupted):
            train(broken)
    assert load_manifest(train(broken)).networks == expected
    assert train(broken) == broken.weights
    with pytest.raises(UsageError, match="max_steps was None, now 3"):
        train(replace(broken, max_steps=3))


@pytest.mark.slow
def test_the_command_trains_fills_and_ranks_on_real_photos(
    tmp_path: Path, shared: Path, colorbench: Callable[..., tuple[int, str, str]]
) -> None:
    suite, _ = load_suite("inpainting-v1")
    content = suite.model_dump(mode="json")
    content |= {"pictures": 6, "size": 64, "holes": ["10-20", "fixed"], "recipe": "tiny.yaml", "name": "trial-v1"}
    content["methods"] = ["mean-fill", *content["methods"][2:5]]
    stage = {"steps": 200, "learning_rate": 1e-3, "pretrained": False, "data": {"cache": True, "num_workers": 0}}
    recipe = {
        "id": "tiny",
        "train_size": 32,
        "batch_size": 4,
        "model": {"width": 0.125, "perceptual_weight": 0.0, "style_weight": 0.0},
        "stages": {"edgeconnect-inpainting": stage},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(content))
    command = ("inpaint", tmp_path / "trial.yaml", "--out", tmp_path / "out", "--data-root", shared / "data")
    status, printed, said = colorbench(*command)
    assert (status, "Traceback" in said) == (0, False)
    assert "edgeconnect-no-edges" in printed
    records = [record for _, record in read_inpaint_records(tmp_path / "out")]
    assert {record.steps for record in records if record.method_id == "edgeconnect-inpainting"} == {200}
    assert {record.method for record in records if record.ranked} == {
        "mean-fill",
        "edgeconnect-inpainting",
        "edgeconnect-no-edges",
    }
    (curve,) = (tmp_path / "out/trained/edgeconnect-inpainting--s0/logs/csv").glob("*/*/metrics.csv")
    error = [float(line["train/l1"]) for line in read_table(curve) if line["train/l1"] and int(line["step"]) >= 67]
    assert np.mean(error[-4:]) < 0.8 * np.mean(error[:2])
    assert colorbench(*command)[0] == 0, "started again, it finds all done"
