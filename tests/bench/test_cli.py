"""The command line: what it prints, and the exit status that scripts rely on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.build import build_method
from bench.catalog import methods, model_tree, with_settings
from bench.demo import TRAINED
from bench.manifest import save_weights
from bench.rows import read_rows
from datamodules.color import rgb8_to_lab

Colorbench = Callable[..., tuple[int, str, str]]
SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "global_size": 32}


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a folder of tiny seeded weights."""

    def make(method: str) -> Path:
        torch.manual_seed(0)
        tree = with_settings(model_tree(method), SMALL)
        folder = tmp_path / f"weights-{method}"
        save_weights(method, tree, build_method(tree).networks(), folder)
        return folder

    return make


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photo of 50 x 37 pixels."""
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (37, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((50, 37)).save(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nosuch"], 2, "No such command"),
        (["run"], 2, "Missing argument"),
        (["run", "demo-v2"], 2, "did you mean demo-v1"),
        (["run", "nosuch.yaml"], 2, "no suite at nosuch.yaml"),
        (["run", "samples-v1", "--only", "grey"], 2, "did you mean gray"),
        (["run", "samples-v1", "--logger", "wandbb"], 2, "did you mean wandb"),
        (["list", "method"], 2, "did you mean methods"),
        (["train", "zhang-eccv17"], 2, "did you mean zhang-eccv16"),
        (["train", "gray", "--set", "width=0.5"], 2, "gray learns nothing, so there is nothing to train or to set"),
        (["train", "zhang-eccv16", "--recipe", "demi"], 2, "did you mean demo"),
        (["train", "zhang-eccv16", "--data", "nosuch.yaml"], 3, "no data configuration"),
        (["leaderboard", "nosuch"], 3, "no finished run"),
        (["leaderboard", "nosuch", "--by", "size", "--level", "image"], 2, "leave --level out"),
        (["compare", "nosuch", "gray", "random"], 3, "no finished run"),
        (["compare", "nosuch", "gray", "random", "--metric", "psrn"], 2, "did you mean psnr"),
        (["status", "nosuch"], 3, "nosuch"),
        (["report", "nosuch"], 3, "nosuch"),
        (["colorize", "nosuch.png", "--model", "gray"], 3, "no photo at nosuch.png"),
        (["colorize", "nosuch.png", "--model", "grey"], 2, "did you mean gray"),
        (["detect", "nosuch", "--detector", "whole-image"], 3, "nosuch"),
        (["detect", "nosuch", "--detector", "yolov8"], 2, "did you mean yolo"),
        (["colorize", ".", "--model", "gray"], 2, "is a folder: name its photos"),
        (["colorize", "a.png", "--model", "gray", "--detector", "yolo"], 2, "gray looks at no boxes"),
        (["colorize", "a.png", "--model", "instcolor-fusion"], 2, "--instances"),
        (["weights", "fetch", "nosuch.pth"], 2, "nosuch.pth"),
        (["weights", "fetch", "zhang-eccv16-l2"], 2, "colorbench train zhang-eccv16-l2"),
        (["weights", "fetch", "zhang-eccv16"], 3, "colorbench weights import zhang-eccv16"),
        (["weights", "import", "zhang-eccv17", "a.pth", "--out", "out"], 2, "did you mean zhang-eccv16"),
        (["weights", "import", "zhang-eccv16", "nosuch.pth", "--out", "out"], 3, "no file nosuch.pth"),
        (["weights", "import", "iizuka-t7", "colornet.t7", "--out", "out"], 2, "is a Torch7 file"),
        (["weights", "verify", "nosuch"], 3, "nosuch"),
        (["speed", "grey"], 2, "did you mean gray"),
    ],
)
def test_mistakes_are_explained(colorbench: Colorbench, arguments: list[str], status: int, words: str) -> None:
    found, _, err = colorbench(*arguments)
    assert words in " ".join(err.split())
    assert "Traceback" not in err
    assert found == status


@pytest.mark.parametrize("kind", ["methods", "detectors", "datasets", "metrics", "protocols", "suites", "recipes"])
def test_lists_are_json_and_tables(colorbench: Colorbench, kind: str) -> None:
    status, out, err = colorbench("list", kind, "--json")
    ids = [entry["id"] for entry in json.loads(out)]
    assert (status, err) == (0, "")
    assert ids
    table = colorbench("list", kind)[1]
    assert all(name in table for name in ids)


def test_dry_run_names_the_folders_without_making_any(colorbench: Colorbench, tmp_path: Path) -> None:
    status, out, _ = colorbench("run", "samples-v1", "--dry-run", "--out", tmp_path / "out")
    assert status == 0
    assert out.split() == ["runs/samples/gray--none--s0", "runs/samples/random--none--s0"]
    assert not (tmp_path / "out").exists()


def test_dry_run_names_what_is_missing(colorbench: Colorbench, tmp_path: Path) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text("{name: mine, methods: [gray, zhang-eccv16], datasets: [{id: coco, root: photos}]}")
    status, out, err = colorbench("run", suite, "--dry-run")
    assert status == 3
    assert len(out.split()) == 2
    assert "colorbench train zhang-eccv16" in err
    assert str(tmp_path / "photos") in err


def test_run_prints_both_tables_and_the_report(colorbench: Colorbench, tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(
        "{name: tiny, methods: [gray], datasets: [{id: synthetic, count: 2, size: 48}], metrics: [psnr, ssim]}"
    )
    out = tmp_path / "out"
    status, printed, err = colorbench("run", suite, "--out", out, "--seed", 3)
    assert status == 0, err
    assert "whole images" in printed
    assert "instances" in printed
    assert (out / "runs/synthetic/gray--none--s3/record.json").is_file()
    assert json.loads(colorbench("status", out, "--json")[1])
    board = json.loads(colorbench("leaderboard", out, "--format", "json", "--level", "image")[1])
    assert [line["method"] for line in board] == ["gray"]
    assert colorbench("leaderboard", out, "--out", tmp_path / "board.md")[0] == 0
    assert (tmp_path / "board.md").read_text().startswith("# ")
    assert colorbench("leaderboard", out, "--sort", "lpips_vgg")[0] == 3
    assert colorbench("report", out, "--out", tmp_path / "page.html")[0] == 0
    assert (tmp_path / "page.html").is_file()


def test_failed_pictures_end_with_status_1(colorbench: Colorbench, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    suite = tmp_path / "tiny.yaml"
    suite.write_text("{name: tiny, methods: [gray], datasets: [{id: folder, root: photos}], metrics: [psnr]}")
    out = tmp_path / "out"
    status, _, err = colorbench("run", suite, "--out", out)
    assert status == 1
    named, total = err.splitlines()[-2:]
    (row,) = read_rows(out / "runs/folder/gray--none--s0").values()
    assert named == f"runs/folder/gray--none--s0: broken: {row.message} (error-decode)"
    assert total == (
        f"1 picture failed; each is named in its run's images.csv, and `colorbench status {out}` lists them"
    )


def test_detection_names_photos_that_cannot_be_read(colorbench: Colorbench, photo: Path, tmp_path: Path) -> None:
    (photo.parent / "broken.png").write_bytes(b"no picture")
    boxes = tmp_path / "boxes.json"
    status, out, err = colorbench("detect", photo.parent, "--detector", "whole-image", "--out", boxes)
    assert status == 1
    assert "1 boxes on 1 photos" in out
    assert "broken" in err
    assert json.loads(boxes.read_text())["annotations"][0]["bbox"] == [0, 0, 50, 37]


def light_of(picture: Image.Image) -> torch.Tensor:
    return rgb8_to_lab(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])[0, 0]


def test_a_method_that_needs_hints_colours_no_single_photos(colorbench: Colorbench, photo: Path) -> None:
    status, _, err = colorbench("colorize", photo, "--model", "levin-2004")
    assert status == 2
    assert "levin-2004 spreads the colours of hints, which `colorize` has none of" in err
    assert "{id: levin-2004, hints: 10}" in err


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=[pytest.mark.slow] if card.track == "reference" else [])
        for name, card in sorted(methods().items())
        if card.track != "hints"
    ],
)
def test_every_method_colours_a_photo_at_its_own_size(
    colorbench: Colorbench, weights: Callable[[str], Path], photo: Path, tmp_path: Path, method: str
) -> None:
    options: list[object] = ["--weights", weights(method)] if methods()[method].trainable else []
    if methods()[method].uses_boxes:
        options += ["--detector", "whole-image"]
    status, _, err = colorbench("colorize", photo, "--model", method, *options, "--out", tmp_path / "out")
    assert status == 0, err
    with Image.open(tmp_path / "out" / "photo.png") as picture:
        assert picture.size == (50, 37)
        if method == "gray":
            with Image.open(photo) as original:
                assert (light_of(picture) - light_of(original)).abs().max() < 1.0


def test_published_size_and_given_boxes(
    colorbench: Colorbench, weights: Callable[[str], Path], photo: Path, tmp_path: Path
) -> None:
    boxes = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 50, "height": 37}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [3.5, 4.5, 20, 20]}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    options: list[Any] = ["--weights", weights("instcolor-fusion"), "--size", "256", "--out", tmp_path / "out"]
    for given in (["--instances", tmp_path / "boxes.json"], ["--detector", "none"]):
        assert colorbench("colorize", photo, "--model", "instcolor-fusion", *options, *given)[0] == 0
        with Image.open(tmp_path / "out" / "photo.png") as picture:
            assert picture.size == (256, 256)
    status, _, err = colorbench("colorize", photo, "--model", "instcolor-fusion", *options)
    assert status == 2
    assert "--instances" in err


def test_speed_gives_what_scripts_read(colorbench: Colorbench, weights: Callable[[str], Path]) -> None:
    status, out, _ = colorbench(
        "speed", "instcolor-fusion", "--weights", weights("instcolor-fusion"), "--boxes", 2, "--repeats", 1, "--json"
    )
    measured = json.loads(out)
    assert status == 0
    assert set(measured["parameters"]) == {"full", "instance", "fusion"}
    assert all(measured[key] > 0 for key in ("images_per_second", "ms_per_image", "peak_memory_mb", "gmacs"))


def test_weights_are_compared_with_their_manifest(colorbench: Colorbench, weights: Callable[[str], Path]) -> None:
    folder = weights("zhang-eccv16")
    status, out, _ = colorbench("weights", "verify", folder)
    assert (status, out) == (0, "network, prior: as zhang-eccv16 was saved\n")
    with (folder / "prior.safetensors").open("ab") as file:
        file.write(b"x")
    status, _, err = colorbench("weights", "verify", folder)
    assert status == 2
    assert "prior.safetensors" in err


def test_the_help_of_the_demo_names_what_it_trains(colorbench: Colorbench) -> None:
    status, text, _ = colorbench("demo", "--help")
    assert status == 0
    assert set(methods()).intersection(re.findall(r"[\w-]+", text)) == set(TRAINED)


def test_version(colorbench: Colorbench) -> None:
    assert colorbench("--version")[1].strip() == "0.1.0"
