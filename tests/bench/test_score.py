"""Scoring folders: the same numbers as a run and as scikit-image, every refusal, resuming, hostile files."""

import getpass
import json
import os
import re
import shlex
import shutil
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from bench import cli, runner
from bench.errors import CommandError, MissingError, UsageError
from bench.execute import Effort
from bench.plan import Places
from bench.portion import Portion
from bench.prepare import Options
from bench.record import RunRecord
from bench.rows import read_rows
from bench.runner import run
from bench.score import score
from bench.scoring import scorer
from bench.scoring.classification import Classifier
from bench.scoring.features import FEATURES
from bench.scoring.folders import FolderShare
from bench.scoring.networks import Networks
from bench.scoring.scorer import Scorer
from bench.status import read_status
from bench.submission import Submission, find_pairs
from bench.suite import Suite, load_suite
from bench.work import do_work, read_work
from datamodules.protocol import PROTOCOLS
from datamodules.sources.coco import CocoSource
from datamodules.sources.folder import FolderSource

StoppedAfter = Callable[[int], AbstractContextManager[None]]

METRICS = ("psnr", "ssim")
TABLES = ("images.csv", "instances.csv")
PAGES = ("leaderboard.md", "leaderboard.csv", "leaderboard.html", "report.html")
SIDES = ("ours", "truth")


def photo(seed: int, size: tuple[int, int] = (48, 40)) -> NDArray[np.uint8]:
    """Return a smooth coloured picture of (width, height)."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def save(pixels: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def disturbed(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 12, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def write_coco(path: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Write a COCO file of pictures by file name and (width, height): a box that is scored, a small one, a crowd."""
    images = [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(sizes.items())
    ]
    boxes = [([3.5, 2.2, 30.0, 25.5], 0), ([1, 1, 4, 4], 0), ([0, 0, 20, 20], 1)]
    annotations = [
        {"id": 10 * number + place, "image_id": number, "category_id": 1, "bbox": box, "area": 500.0, "iscrowd": crowd}
        for number in range(len(sizes))
        for place, (box, crowd) in enumerate(boxes)
    ]
    content = {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": annotations}
    path.write_text(json.dumps(content))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a folder with `truth`, `ours` and `instances.json`: five pictures of three sizes, in sub-folders."""
    sizes = {"a": (48, 40), "b": (48, 40), "sub/c": (40, 48), "sub/d": (48, 40), "e": (64, 33)}
    for seed, (name, size) in enumerate(sizes.items()):
        save(photo(seed, size), tmp_path / "truth" / f"{name}.png")
        save(disturbed(photo(seed, size), seed), tmp_path / "ours" / f"{name}.png")
    write_coco(tmp_path / "instances.json", {f"{name}.png": size for name, size in sizes.items()})
    return tmp_path


def submit(root: Path, **changes: Any) -> int:
    """Score `root/ours` against `root/truth`."""
    given: dict[str, Any] = {
        "predictions": root / "ours",
        "truth": root / "truth",
        "out": root / "out",
        "name": "ours",
        "dataset": "folder",
        "protocol": "native-v1",
        "metrics": METRICS,
    }
    submission = Submission(**{**given, **changes})
    return score(submission, find_pairs(submission))


def place(out: Path, name: str = "ours", dataset: str = "folder") -> Path:
    return out / "runs" / dataset / f"{name}--none--s0"


def record(folder: Path) -> RunRecord:
    return RunRecord.model_validate_json((folder / "record.json").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (*TABLES, "config.yaml")} | {
        "digests": record(folder).digests.model_dump_json().encode()
    }


def test_scores_are_those_of_scikit_image(folders: Path) -> None:
    assert submit(folders, instances=folders / "instances.json") == 0
    found = place(folders / "out")
    images = pd.read_csv(found / "images.csv").set_index("image")
    assert list(images.index) == ["a", "b", "e", "sub/c", "sub/d"]
    for key, line in images.iterrows():
        ours, truth = (np.asarray(Image.open(folders / name / f"{key}.png")) for name in SIDES)
        assert (line["height"], line["width"]) == truth.shape[:2]
        assert line["psnr"] == pytest.approx(noise_ratio(truth, ours), abs=1e-9)
        assert line["ssim"] == pytest.approx(similarity(truth, ours), abs=1e-6)
    instances = pd.read_csv(found / "instances.csv")
    assert len(instances) == 5
    for _, line in instances.iterrows():
        box = slice(line["y"], line["y"] + line["height"]), slice(line["x"], line["x"] + line["width"])
        ours, truth = (
            np.asarray(Image.open(folders / name / f"{line['image']}.png"))[box] for name in ("ours", "truth")
        )
        assert line["psnr"] == pytest.approx(noise_ratio(truth, ours), abs=1e-9)
        assert line["ssim"] == pytest.approx(similarity(truth, ours), abs=1e-6)
    counts = record(found).counts
    assert (counts.images, counts.instances, counts.left_out_small, counts.left_out_crowd) == (5, 5, 5, 5)


def noise_ratio(truth: NDArray[np.uint8], ours: NDArray[np.uint8]) -> float:
    """Return scikit-image's PSNR."""
    return float(peak_signal_noise_ratio(truth, ours))  # type: ignore[no-untyped-call]  # it is untyped there


def similarity(truth: NDArray[np.uint8], ours: NDArray[np.uint8]) -> float:
    """Return scikit-image's SSIM with windows that lie inside only."""
    _, values = structural_similarity(  # type: ignore[no-untyped-call]  # it is untyped there
        truth, ours, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return float(values[5:-5, 5:-5].mean())


def test_real_photos_score_as_scikit_image_says(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "data/coco/val2017").glob("*.jpg"))[:2]:
        (tmp_path / "truth").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "truth")
        save(np.asarray(Image.open(path).convert("L").convert("RGB")), tmp_path / "ours" / f"{path.stem}.png")
    assert submit(tmp_path, instances=shared / "data/coco/annotations/instances_val2017.json") == 0
    for row in read_rows(place(tmp_path / "out")).values():
        truth = np.asarray(Image.open(tmp_path / "truth" / f"{row.image}.jpg").convert("RGB"))
        ours = np.asarray(Image.open(tmp_path / "ours" / f"{row.image}.png"))
        assert row.gray_prediction
        assert row.scores["psnr"] == pytest.approx(noise_ratio(truth, ours), abs=1e-9)
        assert row.scores["ssim"] == pytest.approx(similarity(truth, ours), abs=1e-5)
        assert row.instances


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_saved_pictures_of_a_run_score_as_the_run_did(protocol: str, folders: Path) -> None:
    dataset = {"id": "coco", "name": "set", "root": "truth", "annotations": "instances.json"}
    fields = {"name": "test-v1", "methods": ["random"], "datasets": [dataset], "metrics": METRICS}
    suite = Suite.model_validate({**fields, "protocol": protocol})
    out = folders / "out"
    assert run(suite, Options(out, Places(folders), save_images=True, download=False)) == 0
    theirs = place(out, "random", "set")
    given = {"name": "again", "dataset": "set", "protocol": protocol, "instances": folders / "instances.json"}
    assert submit(folders, predictions=theirs / "images", **given) == 0
    ours = place(out, "again", "set")
    assert {name: (ours / name).read_bytes() for name in TABLES} == {
        name: (theirs / name).read_bytes() for name in TABLES
    }
    first, second = record(theirs), record(ours)
    assert (first.image, first.instance) == (second.image, second.instance)
    assert first.digests.dataset == second.digests.dataset
    board = pd.read_csv(out / "leaderboard.csv")
    assert len(board) == 4
    assert set(board["dataset"]) == {"set"}, "one table, because it is one set"


def test_digests_are_those_of_the_sources(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(folders, instances=folders / "instances.json") == 0
    assert "tables of their own" not in capsys.readouterr().err
    assert submit(folders, name="plain") == 0
    assert "with other annotations, that are called folder too" in capsys.readouterr().err
    annotated, plain = (record(place(folders / "out", name)).digests for name in ("ours", "plain"))
    coco = CocoSource(folders / "truth", annotations=folders / "instances.json")
    assert annotated.dataset == coco.digest()
    assert plain.dataset == FolderSource(folders / "truth").digest()
    assert annotated.predictions == plain.predictions is not None


def test_what_a_run_writes_is_written(folders: Path) -> None:
    assert submit(folders) == 0
    out = folders / "out"
    assert {path.name for path in place(out).iterdir() if not path.name.startswith(".")} == {
        "rows.rank0.jsonl", "images.csv", "instances.csv", "breakdown.csv", "record.json", "config.yaml",
    }  # fmt: skip
    assert all(
        (out / name).is_file() for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.html", "report.html")
    )
    status = read_status(out)
    assert (status["finished"], status["total_runs"], status["total"]) == (1, 1, 5)
    found = record(place(out))
    assert (found.method, found.detector, found.seed, found.protocol) == ("ours", "none", 0, "native-v1")
    assert (found.parameters, found.precision, found.partial, found.untrained) == ({}, "32", False, False)
    assert found.images_per_second is not None
    assert (found.counts.without_instances, found.counts.without_detections) == (5, None)
    assert "without boxes" not in (out / "report.html").read_text(), "of a folder's making nothing is known"
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".csv", ".yaml", ".jsonl", ".md"}:
            text = path.read_text()
            assert str(folders) not in text, path.name
            assert f"/{getpass.getuser()}/" not in text, path.name


def test_identical_and_grey_predictions_are_counted(folders: Path) -> None:
    shutil.copy(folders / "truth/a.png", folders / "ours/a.png")
    save(np.repeat(photo(1)[..., :1], 3, axis=2), folders / "ours/b.png")
    assert submit(folders) == 0
    rows = read_rows(place(folders / "out"))
    assert rows["a"].identical
    assert rows["a"].scores == {"psnr": 100.0, "ssim": 1.0}
    assert [key for key, row in rows.items() if row.gray_prediction] == ["b"]
    counts = record(place(folders / "out")).counts
    assert (counts.identical, counts.gray_prediction) == (1, 1)


def test_predictions_may_have_the_size_of_the_protocol(folders: Path) -> None:
    protocol = PROTOCOLS["centercrop256-v1"]
    for path in sorted((folders / "ours").rglob("*.png")):
        save(np.asarray(protocol.apply(Image.open(path))), folders / "prepared" / path.relative_to(folders / "ours"))
    given = {"protocol": protocol.id, "instances": folders / "instances.json"}
    assert submit(folders, **given) == submit(folders, predictions=folders / "prepared", name="prepared", **given) == 0
    ours, prepared = (place(folders / "out", name) for name in ("ours", "prepared"))
    assert all((ours / name).read_bytes() == (prepared / name).read_bytes() for name in TABLES)


MISMATCHES = {
    "missing": (lambda root: (root / "ours/a.png").unlink(), "missing, truth without prediction: 1: 'a'"),
    "surplus": (lambda root: save(photo(9), root / "ours/z.png"), "surplus, prediction without truth: 1: 'z'"),
    "ambiguous": (lambda root: save(photo(0), root / "ours/a.bmp"), r"ambiguous, .*: 1: 'a' \(a.bmp, a.png\)"),
    "resized": (lambda root: save(photo(0, (40, 48)), root / "ours/a.png"), r"1: 'a' \(40 x 48, truth 48 x 40\)"),
    "capitals": (lambda root: (root / "ours/a.png").rename(root / "ours/A.png"), "alike .*: prediction 'A', truth 'a'"),
}


@pytest.mark.parametrize(("damage", "told"), MISMATCHES.values(), ids=MISMATCHES)
def test_what_does_not_match_is_named_and_nothing_is_scored(
    damage: Callable[[Path], None], told: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(folders)
    with pytest.raises(CommandError, match=rf"(?s)nothing is scored.*--partial.*{told}") as refused:
        submit(folders)
    assert refused.value.exit_status == 1
    assert not (folders / "out").exists()
    assert submit(folders, partial=True) == 0
    assert re.search(told, capsys.readouterr().err)
    found = record(place(folders / "out"))
    assert found.partial
    assert found.counts.images == (5 if "surplus" in told else 4)
    assert pd.read_csv(folders / "out/leaderboard.csv")["rank"].isna().all()


def test_partial_is_whole_where_everything_matches(folders: Path) -> None:
    assert submit(folders, partial=True) == 0
    assert not record(place(folders / "out")).partial


def test_folders_without_pictures_are_missing(folders: Path) -> None:
    (folders / "empty").mkdir()
    with pytest.raises(MissingError, match=r"no picture in .*empty"):
        submit(folders, predictions=folders / "empty", partial=True)
    with pytest.raises(MissingError, match=r"no folder of pictures at .*nowhere"):
        submit(folders, truth=folders / "nowhere")
    with pytest.raises(MissingError, match=r"no COCO file at .*nowhere"):
        submit(folders, instances=folders / "nowhere.json")


def test_a_coco_file_of_other_pictures_is_refused(folders: Path) -> None:
    write_coco(folders / "other.json", {"x.png": (48, 40)})
    with pytest.raises(UsageError, match="lists none of the 5 pictures"):
        submit(folders, instances=folders / "other.json")


def test_listed_pictures_that_are_not_there_are_counted(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folders / "other.json", {"x.png": (48, 40), "a.png": (48, 40), "b.png": (40, 48)})
    assert submit(folders, instances=folders / "other.json") == 1, (
        "a photo of another size than its boxes are meant for"
    )
    told = capsys.readouterr().err
    assert "1 of the 3 pictures that other.json lists are not in" in told
    assert "3 of the 5 pictures in" in told
    rows = read_rows(place(folders / "out"))
    assert rows["b"].status == "error-size"
    assert "its JSON says 40 x 48" in rows["b"].message
    assert {key: row.n_instances for key, row in rows.items() if not row.failed} == {
        "a": 1,
        "e": 0,
        "sub/c": 0,
        "sub/d": 0,
    }


def test_weights_that_were_asked_for_must_be_there(folders: Path) -> None:
    with pytest.raises(MissingError, match=r"alexnet|lpips_alex"):
        submit(folders, metrics=("psnr", "lpips_alex"), download=False)


def test_the_usual_metrics_are_those_that_can_be_computed(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(folders, metrics=None, download=False) == 0
    assert "lpips_squeeze is left out" in capsys.readouterr().err
    assert list(record(place(folders / "out")).image) == ["psnr", "ssim"]


def hostile(folder: Path) -> dict[str, str]:
    """Replace pictures of a folder by hostile files; return the status of each row that comes of it."""
    content = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(content[: len(content) * 2 // 3])
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + content[24:29]
    bomb = content[:12] + head + zlib.crc32(head).to_bytes(4, "big") + content[33:]
    (folder / "b.png").write_bytes(bomb)
    (folder / "e.png").unlink()
    os.mkfifo(folder / "e.png")
    shutil.move(folder / "sub/c.png", folder.parent / "c.png")
    (folder / "sub/c.png").symlink_to(folder.parent / "c.png")
    return {"a": "error-decode", "b": "error-size", "e": "error-decode", "sub/c": "error-decode"}


@pytest.mark.parametrize("which", ["ours", "truth"])
def test_hostile_files_become_rows(which: str, folders: Path) -> None:
    expected = hostile(folders / which)
    assert submit(folders) == 4
    rows = read_rows(place(folders / "out"))
    assert {key: row.status for key, row in rows.items() if row.failed} == expected
    what = "prediction" if which == "ours" else "truth"
    assert all(row.message.startswith(f"the {what}: ") for row in rows.values() if row.failed)
    assert rows["sub/d"].status == "ok"
    assert record(place(folders / "out")).counts.failed == 4


def test_strict_ends_at_the_first_picture_that_fails(folders: Path) -> None:
    (folders / "ours/b.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(CommandError, match=r"b: the prediction: the file is empty \(error-decode\); --strict"):
            submit(folders, strict=True)
        assert not (place(folders / "out") / "record.json").exists()
    assert submit(folders) == 1


def test_the_same_again_does_nothing(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert submit(folders) == 0
    before = {path: path.read_bytes() for path in place(folders / "out").iterdir()}
    monkeypatch.setattr(FolderShare, "score", None)
    shutil.copytree(folders / "ours", folders / "moved")
    assert submit(folders, predictions=folders / "moved") == 0
    assert {path: path.read_bytes() for path in place(folders / "out").iterdir()} == before


def test_other_inputs_under_the_same_name_are_refused(folders: Path) -> None:
    assert submit(folders) == 0
    save(photo(7), folders / "ours/a.png")
    with pytest.raises(UsageError, match=r"ours--none--s0 holds another run: predictions changed"):
        submit(folders)
    with pytest.raises(UsageError, match="holds another run: metrics, predictions changed"):
        submit(folders, metrics=("psnr",))
    assert submit(folders, name="other") == 0
    assert len(read_status(folders / "out")["runs"]) == 2
    assert set(pd.read_csv(folders / "out/leaderboard.csv")["method"]) == {"ours", "other"}


def in_turn(tasks: Sequence[Any], processes: int, timeout: float | None = None) -> list[Effort]:
    """Do what several processes would do, one after the other; requests travel as JSON."""
    efforts = []
    for request, done in tasks:
        for rank in range(processes):
            sent = json.loads(json.dumps(request.model_dump(mode="json")))
            efforts.append(do_work(read_work(sent), Portion(rank, processes, done)))
    return efforts[-1:]


@pytest.fixture
def unbroken(folders: Path) -> dict[str, bytes]:
    """Return what a run leaves that was never stopped."""
    assert submit(folders, out=folders / "unbroken", instances=folders / "instances.json") == 0
    return contents(place(folders / "unbroken"))


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_any_number_of_processes_leaves_the_same(
    processes: int, folders: Path, unbroken: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "execute_in_processes", in_turn)
    assert submit(folders, instances=folders / "instances.json", devices=processes) == 0
    assert contents(place(folders / "out")) == unbroken
    assert len(list(place(folders / "out").glob("rows.rank*.jsonl"))) == processes


@pytest.mark.slow
def test_real_processes_leave_the_same(folders: Path, unbroken: dict[str, bytes]) -> None:
    assert submit(folders, instances=folders / "instances.json", devices=2) == 0
    assert contents(place(folders / "out")) == unbroken


@pytest.mark.parametrize("rows", range(5))
def test_a_stopped_run_goes_on_with_another_number_of_processes(
    rows: int, folders: Path, unbroken: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, stopped_after: StoppedAfter
) -> None:
    with stopped_after(rows):
        submit(folders, instances=folders / "instances.json")
    assert len(read_rows(place(folders / "out"))) == rows
    monkeypatch.setattr(runner, "execute_in_processes", in_turn)
    assert submit(folders, instances=folders / "instances.json", devices=2) == 0
    assert contents(place(folders / "out")) == unbroken


def test_without_enough_memory_pictures_are_scored_one_by_one(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Scorer.score

    def needing(self: Any, prediction: Any, truth: Any, pictures: Any) -> Any:
        if len(pictures) > 1 or pictures[0].key == "b":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5000000000 bytes")
        return real(self, prediction, truth, pictures)

    monkeypatch.setattr(Scorer, "score", needing)
    assert submit(folders) == 1
    assert {key: row.status for key, row in read_rows(place(folders / "out")).items() if row.status != "ok"} == {
        "b": "error-memory"
    }


def test_metrics_of_sets_and_of_classes_are_those_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("n01443537/x", "n01443537/y", "n01440764/x", "loose")):
        save(photo(seed), tmp_path / "truth" / f"{name}.png")
        save(disturbed(photo(seed), seed), tmp_path / "ours" / f"{name}.png")
    asked: list[list[int]] = []
    waves = torch.arange(1, FEATURES + 1) / 97

    def top1(classifier: Classifier, rgb: torch.Tensor, labels: list[int]) -> list[float | None]:
        asked.append(labels)
        return [None if label < 0 else 100.0 for label in labels]

    monkeypatch.setattr(
        scorer, "inception_features", lambda _, rgb: torch.sin(rgb.float().mean((1, 2, 3))[:, None] * waves)
    )
    monkeypatch.setattr(scorer, "top1", top1)
    classifiers = {"classification_top1": Classifier(nn.Identity(), nn.Identity())}
    networks = Networks(classifiers=classifiers, inception=nn.Identity())
    fetching: list[bool] = []

    def find(metrics: Sequence[str], *, download: bool = True) -> tuple[Networks, Sequence[str], list[str]]:
        fetching.append(download)
        return networks, metrics, []

    for module in ("bench.score", "bench.scoring.folders"):
        monkeypatch.setattr(f"{module}.find_networks", find)
    monkeypatch.setattr("bench.score.METRIC_FILES", {})
    monkeypatch.setattr(runner, "execute_in_processes", in_turn)
    given = ("psnr", "fid", "classification_top1")
    assert submit(tmp_path, metrics=given) == submit(tmp_path, metrics=given, devices=3, out=tmp_path / "again") == 0
    assert fetching == [True, False, True, False, False, False], "processes take what was found before them"
    assert asked[0] == [-1, 0, 1, 1], "the numbers of ImageNet, in order of name"
    first, second = record(place(tmp_path / "out")).image, record(place(tmp_path / "again")).image
    assert first == second
    assert first["classification_top1"].n == 3
    assert first["fid"].n == 4
    assert first["fid"].mean is not None
    assert "stays empty" not in capsys.readouterr().err
    flat = {"predictions": tmp_path / "ours/n01443537", "truth": tmp_path / "truth/n01443537"}
    assert submit(tmp_path, metrics=("classification_top1",), name="flat", **flat) == 0
    assert "folder: classification_top1 stays empty, since no picture has an ImageNet class" in capsys.readouterr().err


def colorbench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(cli, "raise_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["colorbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_the_command_prints_the_table_and_can_be_repeated_as_it_says(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folders)
    command = [
        "score",
        "ours",
        "truth",
        "--metrics",
        "psnr, ssim,psnr",
        "--instances",
        "instances.json",
        "--out",
        "out",
    ]
    assert colorbench(monkeypatch, *command) == 0
    printed = capsys.readouterr().out
    assert "folder, native-v1, whole images" in printed
    assert printed.endswith("report: out/report.html\n")
    config = place(Path("out")) / "config.yaml"
    with pytest.raises(
        UsageError, match="says how a folder was scored: repeat it by `colorbench score ours truth"
    ) as told:
        load_suite(str(config))
    repeated = str(told.value).split("`")[1].split()
    before = contents(place(Path("out")))
    assert colorbench(monkeypatch, *repeated[1:], "--out", "out") == 0
    assert contents(place(Path("out"))) == before


def test_the_command_names_what_failed_in_this_folder_with_the_reason(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folders)
    shutil.copytree("ours", "others")
    for path in ("ours/b.png", "others/a.png"):
        Path(path).write_bytes(b"")
    for name in ("others", "ours"):
        assert colorbench(monkeypatch, "score", name, "truth", "--metrics", "psnr", "--out", "out") == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "runs/folder" in line]
    assert told == [
        f"runs/folder/{name}--none--s0: {key}: the prediction: the file is empty (error-decode)"
        for name, key in (("others", "a"), ("ours", "b"))
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--protocol", "native"], 2, "native-v1"),
        (["--metrics", "psnr,lpips"], 2, "lpips"),
        (["--metrics", ""], 2, "no metric is called ''"),
        (["--name", "a b"], 2, "cannot be a name"),
        (["--dataset", "../x"], 2, "cannot be a name"),
        (["--instances", "nowhere.json"], 3, "no COCO file at nowhere.json"),
        ([], 1, "missing, truth without prediction: 1: 'a'"),
    ],
)
def test_refusals_of_the_command(
    arguments: list[str],
    status: int,
    told: str,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folders)
    (folders / "ours/a.png").unlink()
    assert colorbench(monkeypatch, "score", "ours", "truth", *arguments) == status
    assert told in capsys.readouterr().err
    assert not Path("colorbench-scored").exists()


def test_a_folder_that_cannot_be_a_name_needs_one(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "ours").rename(folders / "our pictures")
    assert colorbench(monkeypatch, "score", folders / "our pictures", folders / "truth") == 2
    assert "--name" in capsys.readouterr().err


def colour_elsewhere(truth: Path, out: Path, called: str, size: tuple[int, int] | None = None) -> None:
    """Leave what programs of others leave: JPEGs of names of their own, and their grey pictures among them."""
    out.mkdir()
    for path in sorted(truth.rglob("*.png")):
        name = path.relative_to(truth).with_suffix("").as_posix()
        folder, _, stem = name.rpartition("/")
        (out / folder).mkdir(exist_ok=True)
        picture = Image.open(path).convert("RGB")
        sepia = Image.merge(
            "RGB", [picture.convert("L").point(lambda value, k=k: min(255, value * k // 10)) for k in (11, 10, 8)]
        )
        (sepia if size is None else sepia.resize(size)).save(out / folder / f"{called.replace('{name}', stem)}.JPEG")
        picture.convert("L").save(out / folder / f"{stem}_gray.png")


@pytest.mark.parametrize(
    ("called", "size", "protocol"),
    [("fake_{name}", None, "native-v1"), ("{name}_colorized", (256, 256), "stretch256-v1")],
)
def test_the_folders_that_other_programs_leave_are_scored_as_they_are(
    called: str,
    size: tuple[int, int] | None,
    protocol: str,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folders)
    colour_elsewhere(folders / "truth", folders / "theirs", called, size)
    command = ["score", "theirs", "truth", "--protocol", protocol, "--metrics", "psnr", "--out", "out"]
    assert colorbench(monkeypatch, *command) == 1
    assert re.search(rf"called after their truths: give .*--named '{re.escape(called)}'", capsys.readouterr().err)
    assert colorbench(monkeypatch, *command, "--named", called, "--save-images") == 0
    found = place(folders / "out", "theirs")
    config = yaml.safe_load((found / "config.yaml").read_text())
    assert shlex.split(config["command"])[-2:] == ["--named", called]
    rows = read_rows(found)
    assert len(rows) == record(found).counts.images == len(list((folders / "truth").rglob("*.png")))
    for key, row in rows.items():
        folder, _, stem = key.rpartition("/")
        ours = Image.open(folders / "theirs" / folder / f"{called.replace('{name}', stem)}.JPEG")
        truth = PROTOCOLS[protocol].apply(Image.open(folders / "truth" / f"{key}.png").convert("RGB"))
        assert row.scores["psnr"] == pytest.approx(noise_ratio(np.asarray(truth), np.asarray(ours)), abs=1e-9)
        assert np.array_equal(np.asarray(Image.open(found / "images" / f"{key}.png")), np.asarray(ours))
    assert colorbench(monkeypatch, *command, "--named", "fake") == 2
    assert "wanted {name} once" in capsys.readouterr().err
