"""Runs from end to end: files, resuming, refusals, failing methods and pictures."""

import getpass
import json
import re
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench import workers
from bench.build import build_method
from bench.catalog import model_tree, with_settings
from bench.dashboards.tensorboard import TensorBoard
from bench.errors import CommandError, MissingError, UsageError
from bench.leaderboard import format_boards, rank_runs, read_runs
from bench.locks import Lock
from bench.manifest import save_weights
from bench.plan import Places
from bench.prepare import Options
from bench.record import RunRecord
from bench.runner import run
from bench.suite import Suite, load_suite
from datamodules.boxfile import read_boxes
from datamodules.types import GrayBatch
from lightning_modules.baselines.gray import GrayColorizer

StoppedAfter = Callable[[int], AbstractContextManager[None]]

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32}
ONE_SCENE = [{"id": "synthetic", "count": 1, "size": 64}]
TEXTS = ("images.csv", "instances.csv", "config.yaml")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of tiny instcolor weights, drawn from a seed."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    tree = with_settings(model_tree("instcolor-fusion"), SMALL)
    save_weights("instcolor-fusion", tree, build_method(tree).networks(), folder)
    return folder


def suite(weights: Path | None = None, **changes: Any) -> Suite:
    fields: dict[str, Any] = {
        "name": "test-v1",
        "methods": ["gray", "random"],
        "detectors": ["annotations", "whole-image"],
        "datasets": [{"id": "synthetic", "count": 5, "size": 64}],
        "metrics": ["psnr", "ssim"],
        "batch_size": 2,
    }
    if weights is not None:
        fields["methods"] = ["gray", "random", {"id": "instcolor-fusion", "weights": str(weights)}]
    return Suite.model_validate({**fields, **changes})


def options(out: Path, **changes: Any) -> Options:
    return Options(**{"out": out, "places": Places(out), "download": False, **changes})


def contents(out: Path) -> dict[str, bytes]:
    """Return all tables below a folder, and of each record what does not hang on the clock or the machine's load."""
    found = {str(path.relative_to(out)): path.read_bytes() for name in TEXTS for path in sorted(out.rglob(name))}
    for path in sorted(out.rglob("record.json")):
        record = json.loads(path.read_text())
        for key in ("started_utc", "seconds", "images_per_second", "peak_memory_mb"):
            del record[key]
        found[str(path.relative_to(out))] = json.dumps(record).encode()
    return found | boards_without_clock(out)


def boards_without_clock(out: Path) -> dict[str, bytes]:
    """Return the leaderboards as they would be had all runs taken the same time on the same machine."""
    alike = {"images_per_second": 1.0, "processes": 1}
    boards = rank_runs([(folder, record.model_copy(update=alike)) for folder, record in read_runs([out])])
    return {form: format_boards(boards, form).encode() for form in ("md", "csv", "html")}


@pytest.fixture(scope="module")
def finished(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of a run that was never stopped."""
    out = tmp_path_factory.mktemp("run")
    assert run(suite(weights), options(out, save_images=True)) == 0
    return out


def test_every_promised_file_is_there(finished: Path) -> None:
    runs = sorted(path.name for path in (finished / "runs" / "synthetic").iterdir())
    assert runs == [
        "gray--none--s0",
        "instcolor-fusion--annotations--s0",
        "instcolor-fusion--whole-image--s0",
        "random--none--s0",
    ]
    for name in runs:
        folder = finished / "runs" / "synthetic" / name
        assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
            "rows.rank0.jsonl",
            "images.csv",
            "instances.csv",
            "breakdown.csv",
            "record.json",
            "config.yaml",
            "images",
        }
        assert len(list((folder / "images").glob("*.png"))) == 5
    assert all((finished / f"leaderboard.{suffix}").is_file() for suffix in ("md", "csv", "html"))
    assert (finished / "report.html").is_file()


def test_records_say_what_was_run(finished: Path) -> None:
    path = finished / "runs" / "synthetic" / "instcolor-fusion--annotations--s0" / "record.json"
    record = RunRecord.model_validate_json(path.read_text())
    images = pd.read_csv(path.with_name("images.csv"))
    assert record.counts.images == len(images) == 5
    assert record.image["psnr"].mean == pytest.approx(images["psnr"].mean(), abs=1e-9)
    instances = pd.read_csv(path.with_name("instances.csv"))
    assert record.instance["ssim"].mean == pytest.approx(instances["ssim"].mean(), abs=1e-9)
    assert record.counts.instances == len(instances)
    assert set(record.parameters) == {"full", "instance", "fusion"}
    assert record.digests.boxes is not None
    assert record.digests.weights is not None
    assert not record.partial
    assert not record.untrained


def test_instances_of_all_methods_are_those_of_the_annotations(finished: Path) -> None:
    runs = finished / "runs" / "synthetic"
    columns = ["image", "instance", "x", "y", "width", "height"]
    tables = [pd.read_csv(path)[columns] for path in sorted(runs.rglob("instances.csv"))]
    assert len(tables) == 4
    assert all(table.equals(tables[0]) for table in tables)


def test_nothing_personal_stands_in_any_file(finished: Path, weights: Path) -> None:
    for path in finished.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".csv", ".yaml", ".jsonl", ".md", ".html"}:
            text = path.read_text(encoding="utf-8")
            for personal in (str(finished), str(weights.parent), f"{Path.home()}/", f"/{getpass.getuser()}/"):
                assert personal not in text, path.name
            if path.suffix != ".html":  # whose encoded pictures may hold any short word
                assert re.search(rf"\b{re.escape(socket.gethostname())}\b", text) is None, path.name


def test_a_stopped_run_finishes_with_the_same_files(
    finished: Path, weights: Path, tmp_path: Path, stopped_after: StoppedAfter
) -> None:
    with stopped_after(8):
        run(suite(weights), options(tmp_path, save_images=True))
    assert run(suite(weights), options(tmp_path, save_images=True)) == 0
    assert contents(tmp_path) == contents(finished)


def test_methods_see_the_boxes_of_their_detector(weights: Path, tmp_path: Path) -> None:
    limits = (1, 3, 50)
    first = [{"id": "annotations", "name": f"first-{most}", "max_boxes": most} for most in limits]
    drawn = [{**one, "name": f"drawn-{one['max_boxes']}", "choice": "random"} for one in first]
    detectors = [*first, *drawn, "whole-image", "none"]
    given = suite(weights, detectors=detectors, datasets=[{"id": "synthetic", "count": 2, "size": 128}])
    assert run(given, options(tmp_path)) == 0
    seen = {}
    for path in sorted(tmp_path.rglob("rows.rank0.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        seen[path.parent.name] = [row["n_boxes"] for row in rows]
        assert all(row["n_instances"] > 3 for row in rows)
    tables = contents(tmp_path)
    for most in limits:
        names = [f"instcolor-fusion--{kind}-{most}--s0" for kind in ("first", "drawn")]
        annotated, other = (seen.pop(name) for name in names)
        assert annotated == other
        one, two = (tables[f"runs/synthetic/{name}/images.csv"] for name in names)
        assert (one == two) == (most == 50), "of all boxes the same are drawn, of some others than the first"
        assert "choice: random" in (tmp_path / "runs/synthetic" / names[1] / "config.yaml").read_text()
        kept = read_boxes(tmp_path / f"boxes/synthetic--drawn-{most}.json")
        assert min(len(photo.annotations) for photo in kept.photos.values()) > 3
        assert max(annotated) == most if most < 50 else min(annotated) > 3
    assert seen == {
        "gray--none--s0": [0, 0],
        "random--none--s0": [0, 0],
        "instcolor-fusion--none--s0": [0, 0],
        "instcolor-fusion--whole-image--s0": [1, 1],
    }


@pytest.mark.slow
def test_errors_of_a_detector_reach_the_method_and_the_record(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(weights.parent))
    errors = [{"id": "annotations", "max_boxes": 2, kind: [size]} for kind, size in (("drop", 1), ("add", 5))]
    methods = [{"id": name, "weights": str(weights)} for name in ("instcolor-full", "instcolor-fusion")]
    scenes = [{"id": "synthetic", "count": 2, "size": 128}]
    fields: dict[str, Any] = {"methods": methods, "datasets": scenes, "metrics": ["psnr"], "batch_size": 2}
    exact = {"id": "annotations", "max_boxes": 2}
    assert run(suite(**fields, detectors=[exact, *errors]), options(tmp_path / "out")) == 0
    found = {path.parent.name: path.parent for path in tmp_path.rglob("record.json")}
    records = {name: RunRecord.model_validate_json((path / "record.json").read_bytes()) for name, path in found.items()}
    plain, dropped, added = (records[f"instcolor-fusion--annotations{end}--s0"] for end in ("", "-drop1", "-add5"))
    assert len({record.run_id for record in records.values()}) == 4
    assert (plain.perturbation, plain.hints) == (None, None)
    assert {record.detector_id for record in (plain, dropped, added)} == {"annotations"}
    assert dropped.perturbation is not None
    assert (dropped.perturbation.drop, dropped.perturbation.boxes) == (1, plain.digests.boxes)
    assert [record.detector_error and record.detector_error.boxes for record in (plain, dropped, added)] == [2, 0, 7]
    assert dropped.image == records["instcolor-full--none--s0"].image, "without a box a fusion is its full network"
    rows = (found["instcolor-fusion--annotations-add5--s0"] / "rows.rank0.jsonl").read_text().splitlines()
    assert [json.loads(row)["n_boxes"] for row in rows] == [7, 7]
    repeated, folder = load_suite(str(found["instcolor-fusion--annotations-add5--s0"] / "config.yaml"))
    assert run(repeated, options(tmp_path / "again", places=Places(folder))) == 0
    path = "runs/synthetic/instcolor-fusion--annotations-add5--s0/images.csv"
    assert (tmp_path / "again" / path).read_bytes() == (tmp_path / "out" / path).read_bytes()


def test_a_second_run_in_the_same_folder_is_kept_out(tmp_path: Path) -> None:
    with Lock(tmp_path / ".run.lock", "it"), pytest.raises(CommandError, match=r"writes .*; wait until it has ended"):
        run(suite(), options(tmp_path))


def test_pictures_that_were_not_kept_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(suite(methods=["gray"], datasets=ONE_SCENE), options(tmp_path)) == 0
    assert run(suite(methods=["gray"], datasets=ONE_SCENE), options(tmp_path, save_images=True)) == 0
    assert "1 pictures were scored before without --save-images" in capsys.readouterr().err


def test_strict_ends_with_the_first_failed_run(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    strict = suite(datasets=[{"id": "folder", "root": "photos"}])
    assert run(strict, options(out, places=Places(tmp_path), strict=True)) == 1
    assert (out / "runs/folder/gray--none--s0/record.json").is_file()
    assert not (out / "runs/folder/random--none--s0/record.json").exists()


def test_a_finished_run_is_left_as_it_is(finished: Path, weights: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("record.json")}
    assert run(suite(weights), options(finished, save_images=True)) == 0
    assert {path: path.read_bytes() for path in finished.rglob("record.json")} == before


def test_other_weights_in_the_same_folder_are_refused(finished: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    tree = with_settings(model_tree("instcolor-fusion"), SMALL)
    save_weights("instcolor-fusion", tree, build_method(tree).networks(), tmp_path)
    with pytest.raises(UsageError, match="weights changed"):
        run(suite(tmp_path), options(finished, save_images=True))


@pytest.mark.parametrize("changed", [{"batch_size": 3}, {"precision": "bf16"}, {"metrics": ["psnr"]}, {"limit": 2}])
def test_other_settings_in_the_same_folder_are_named(changed: dict[str, Any], finished: Path, weights: Path) -> None:
    with pytest.raises(UsageError, match=rf"{next(iter(changed))}.* changed"):
        run(suite(weights, **changed), options(finished, save_images=True))


def test_the_written_configuration_repeats_the_run(finished: Path, weights: Path, tmp_path: Path) -> None:
    folder = "runs/synthetic/instcolor-fusion--annotations--s0"
    single, _ = load_suite(str(finished / folder / "config.yaml"))
    assert run(single, options(tmp_path, places=Places(weights.parent), save_images=True)) == 0
    assert (tmp_path / folder / "images.csv").read_bytes() == (finished / folder / "images.csv").read_bytes()


def test_a_configuration_refuses_other_data(finished: Path, weights: Path, tmp_path: Path) -> None:
    single, _ = load_suite(str(finished / "runs/synthetic/gray--none--s0/config.yaml"))
    other = single.model_copy(
        update={"datasets": suite(datasets=[{"id": "synthetic", "count": 4, "size": 64}]).datasets}
    )
    with pytest.raises(UsageError, match="dataset differ"):
        run(other, options(tmp_path))


LOUD = """
import os
from bench.worker import main
from lightning_modules.baselines.gray import GrayColorizer

colorize = GrayColorizer.colorize

def shout(self, gray):
    print('{"rows": 100}', "x" * 100_000)
    os.write(1, b'{"failed": "no"}\\n')
    return colorize(self, gray)

GrayColorizer.colorize = shout
main()
"""


@pytest.mark.slow
def test_processes_give_the_same_rows(
    finished: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a method prints, in Python or below it, does not reach the parent as an answer."""
    (tmp_path / "loud.py").write_text(LOUD)
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, str(tmp_path / "loud.py")))
    assert run(suite(weights), options(tmp_path, devices=2)) == 0
    for table in ("images.csv", "instances.csv"):
        for path in sorted(finished.rglob(table)):
            assert (tmp_path / path.relative_to(finished)).read_bytes() == path.read_bytes()
    for path in sorted(tmp_path.rglob("record.json")):
        record = RunRecord.model_validate_json(path.read_text())
        assert record.processes == 2
        assert record.images_per_second == pytest.approx(5 / record.seconds, rel=0.01)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with three good photos, a grey one and a broken one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(generator.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(generator.integers(0, 255, (40, 50), dtype=np.uint8)).save(folder / "gray.png")
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:300])
    return folder


def folder_suite(**changes: Any) -> Suite:
    return suite(datasets=[{"id": "folder", "root": "photos"}], methods=["gray"], **changes)


def test_a_broken_photo_is_a_row(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder_suite(), options(out, places=Places(tmp_path))) == 1
    images = pd.read_csv(out / "runs/folder/gray--none--s0/images.csv").set_index("image")
    assert images["status"].to_dict() == {
        "a": "ok", "b": "ok", "c": "ok", "gray": "gray-truth", "torn": "error-decode",
    }  # fmt: skip
    record = RunRecord.model_validate_json((out / "runs/folder/gray--none--s0/record.json").read_text())
    assert (record.counts.failed, record.counts.gray_truth, record.image["psnr"].n) == (1, 1, 3)


def test_native_sizes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder_suite(protocol="native-v1"), options(out, places=Places(tmp_path))) == 1
    images = pd.read_csv(out / "runs/folder/gray--none--s0/images.csv").set_index("image")
    assert (images.loc["a", "width"], images.loc["a", "height"]) == (50, 40)


def test_a_failing_method_does_not_stop_the_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colorize = GrayColorizer.colorize

    def fail_on_b(self: GrayColorizer, gray: GrayBatch) -> torch.Tensor:
        if "b" in gray.key:
            raise RuntimeError("no colour for b")
        chroma = colorize(self, gray)
        chroma[[place for place, key in enumerate(gray.key) if key == "c"]] = torch.nan
        return chroma

    monkeypatch.setattr(GrayColorizer, "colorize", fail_on_b)
    out = tmp_path / "out"
    assert run(folder_suite(), options(out, places=Places(tmp_path))) == 3
    images = pd.read_csv(out / "runs/folder/gray--none--s0/images.csv").set_index("image")
    assert images["status"].to_dict() == {
        "a": "ok", "b": "error-method", "c": "error-nonfinite", "gray": "gray-truth", "torn": "error-decode",
    }  # fmt: skip


def test_a_method_that_never_gives_a_number_has_no_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture of all has a score, and of the other method none: no mean, no interval, no tie, no crash."""
    monkeypatch.setattr(
        GrayColorizer, "colorize", lambda self, gray: torch.full_like(gray.light, torch.nan).repeat(1, 2, 1, 1)
    )
    assert run(suite(datasets=ONE_SCENE), options(tmp_path)) == 1
    table = pd.read_csv(tmp_path / "leaderboard.csv").set_index(["level", "method"])
    assert table["rank"].to_dict() == {("image", "random"): 1, ("instance", "random"): 1} | {
        key: pytest.approx(float("nan"), nan_ok=True) for key in table.index if key[1] == "gray"
    }
    assert table.loc[("image", "random"), ["psnr_low", "psnr_high"]].isna().all()


def test_a_dead_dashboard_costs_a_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(*_: object) -> bool:
        raise ConnectionError("no dashboard today")

    monkeypatch.setattr(TensorBoard, "send", die)
    given = options(tmp_path, loggers=("tensorboard",))
    assert run(suite(methods=["gray", "random"], datasets=ONE_SCENE), given) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("tensorboard takes nothing more (no dashboard today); the run goes on") == 1
    assert (tmp_path / "runs/synthetic/gray--none--s0/record.json").is_file()
    assert (tmp_path / "leaderboard.csv").is_file()


def test_the_batch_of_a_picture_changes_last_digits_only(finished: Path, weights: Path, tmp_path: Path) -> None:
    only = suite(weights, batch_size=5, detectors=["annotations"])
    assert run(only, options(tmp_path, only=("instcolor-fusion",))) == 0
    for table, keys in (("images.csv", ["image"]), ("instances.csv", ["image", "instance"])):
        path = Path("runs/synthetic/instcolor-fusion--annotations--s0") / table
        twos, fives = (pd.read_csv(out / path).set_index(keys) for out in (finished, tmp_path))
        pd.testing.assert_series_equal(twos["psnr"], fives["psnr"], rtol=0, atol=1e-3)
        pd.testing.assert_series_equal(twos["ssim"], fives["ssim"], rtol=0, atol=1e-5)


def test_missing_weights_name_the_commands(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="colorbench train zhang-eccv16"):
        run(suite(methods=["zhang-eccv16"]), options(tmp_path))


def test_missing_data_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="--data-root"):
        run(folder_suite(), options(tmp_path / "out"))


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(MissingError, match="no picture in"):
        run(folder_suite(), options(tmp_path / "out", places=Places(tmp_path)))


def test_limited_runs_are_never_ranked(tmp_path: Path) -> None:
    assert run(suite(methods=["gray"], limit=1), options(tmp_path)) == 0
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    assert table["rank"].isna().all()
    assert table["partial"].all()


def test_untrained_runs_are_never_ranked(weights: Path, tmp_path: Path) -> None:
    tiny = suite(methods=["gray", {"id": "instcolor-full", "weights": "untrained"}], datasets=ONE_SCENE)
    assert run(tiny, options(tmp_path)) == 0
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    assert table.set_index("method")["rank"].notna().groupby(level=0).all().to_dict() == {
        "gray": True, "instcolor-full": False,
    }  # fmt: skip
    assert table.set_index("method")["untrained"].groupby(level=0).all().to_dict() == {
        "gray": False, "instcolor-full": True,
    }  # fmt: skip


def test_an_unwritable_folder_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="give another folder"):
        run(suite(), options(tmp_path / "file"))
