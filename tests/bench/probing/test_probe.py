import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import catalog
from bench.build import build_method
from bench.manifest import save_weights
from bench.probing import probe as probing
from bench.probing.cells import FOLDER, read_cell
from bench.probing.photos import label_photos, parts
from datamodules.coco import CocoDataModule
from datamodules.folder import FolderDataModule
from datamodules.images import read_image

Command = Callable[..., tuple[int, str, str]]
COUNT = 12


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of real photos in two classes, darkened and bright ones, and the configuration that reads it."""
    root = tmp_path_factory.mktemp("photos")
    pictures = sorted((shared / "data" / "imagenet1000-256").glob("*/*"))
    for name, chosen, level in (("dark", pictures[:COUNT], 0.2), ("light", pictures[-COUNT:], 1.0)):
        (root / "classes" / name).mkdir(parents=True)
        for path in chosen:
            dimmed = Image.fromarray((read_image(path) * level).astype(np.uint8))
            dimmed.resize((64, 64)).save(root / "classes" / name / f"{path.stem}.png")
    (root / "data.yaml").write_text(
        "class_path: datamodules.folder.FolderDataModule\ninit_args: {root: classes, num_workers: 0}\n"
    )
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training of a narrow network, which a test need not wait for."""
    torch.manual_seed(5)
    tree = catalog.with_settings(catalog.model_tree("zhang-eccv16-class"), {"width": 1 / 16})
    folder = tmp_path_factory.mktemp("weights") / "zhang-eccv16-class"
    save_weights("zhang-eccv16-class", tree, build_method(tree).networks(), folder)
    return folder.parent


@pytest.fixture
def call(colorbench: Command, photos: Path, weights: Path, tmp_path: Path) -> Command:
    """Return a function that probes the narrow network, with further options."""

    def run(*more: object, method: str = "zhang-eccv16-class") -> tuple[int, str, str]:
        fixed = ["--data", photos / "data.yaml", "--data-root", photos, "--size", 32, "--steps", 5]
        return colorbench("probe", method, "--weights", weights / "{method}", *fixed, "--out", tmp_path, *more)

    return run


def table(out: Path) -> list[dict[str, str]]:
    with (out / "probe.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_a_line_for_each_network_and_layer(call: Command, tmp_path: Path) -> None:
    status, printed, _ = call("--layers", "conv1,conv4")
    assert status == 0, printed
    found = table(tmp_path)
    names = [(line["method"], line["initialisation"], line["layer"]) for line in found]
    assert names == [("zhang-eccv16-class", begun, f"conv{n}") for begun in ("random", "trained") for n in (1, 4)]
    assert {line["metric"] for line in found} == {"accuracy"}
    assert all(float(line["low"]) <= float(line["score"]) <= float(line["high"]) for line in found)
    assert {(line["classes"], line["learnt"], line["n"]) for line in found} == {("2", "18", "6")}
    assert json.loads((tmp_path / "probe.json").read_text())[0]["cell"] == found[0]["cell"]
    text = (tmp_path / "probe.md").read_text()
    assert "| method | begun | seed | conv1 | conv4 |" in text
    assert "18 photos to learn from, 6 tested, 2 classes; recipe small, 32 px" in text
    cell = read_cell(next((tmp_path / FOLDER).glob("*trained*")))
    assert cell.identity.weights is not None
    assert cell.parameters > 0
    assert {"torch", "python"} <= cell.versions.keys()


def test_finished_cells_are_found_again_and_others_computed(
    call: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    compute = probing._compute

    def count(network: Any, *rest: Any) -> Any:
        asked.append(network.initialisation)
        return compute(network, *rest)

    monkeypatch.setattr(probing, "_compute", count)
    call("--layers", "conv1")
    before = {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()}
    next((tmp_path / FOLDER).glob("*random*")).unlink()
    _, _, told = call("--layers", "conv1")
    assert asked == ["random", "trained", "random"]
    assert "trained (2 of 2): there already" in told
    after = {path.name: read_cell(path) for path in (tmp_path / FOLDER).iterdir()}
    assert {name: cell.id for name, cell in after.items()} == {
        name: json.loads(content)["id"] for name, content in before.items()
    }
    assert {name: [each.model_dump() for each in cell.scores] for name, cell in after.items()} == {
        name: json.loads(content)["scores"] for name, content in before.items()
    }
    _, _, told = call("--layers", "conv2")
    assert "other settings" in told
    assert asked[3:] == ["random", "trained"]
    assert {line["layer"] for line in table(tmp_path)} == {"conv2"}


@pytest.mark.slow
def test_json_is_all_that_is_printed(call: Command) -> None:
    status, printed, _ = call("--layers", "conv1", "--input", "color", "--limit", 16, "--json")
    lines = json.loads(printed)
    assert status == 0
    assert [(line["input"], line["partial"], line["learnt"]) for line in lines] == [("color", True, 16)] * 2


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (("--layers", "conv99"), 2, "no layer 'conv99'"),
        (("--task", "detection"), 2, "VOC-style folder"),
        (("--recipe", "papers"), 2, "did you mean paper"),
        (("--limit", 4), 2, "two classes with 5 photos"),
        (("--weights", "nowhere"), 3, "nowhere"),
        (("--data-root", "nowhere"), 3, "--data-root"),
    ],
)
def test_what_does_not_fit_is_said(call: Command, more: tuple[object, ...], status: int, message: str) -> None:
    given, _, told = call(*more)
    assert (given, message in told) == (status, True), told


def test_methods_without_a_network_are_refused(call: Command) -> None:
    status, _, told = call(method="gray")
    assert (status, "gray learns nothing" in told) == (2, True)


@pytest.mark.slow
def test_broken_photos_are_named_and_left_out(call: Command, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "classes", tmp_path / "classes")
    (tmp_path / "classes" / "light" / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(photos / "data.yaml", tmp_path / "data.yaml")
    status, _, told = call("--layers", "conv1", "--data", tmp_path / "data.yaml", "--data-root", tmp_path)
    assert status == 1
    assert "1 picture failed" in told
    cell = read_cell(next((tmp_path / FOLDER).glob("*trained*")))
    assert list(cell.failed) == ["light/broken"]


def test_photos_without_a_folder_have_the_class_of_their_largest_object(shared: Path) -> None:
    data = CocoDataModule(shared / "data" / "coco")
    learnt, tested = parts(data, None)
    assert (len(learnt.photos), len(tested.photos)) == (294, 124)
    labelled = label_photos(learnt, tested)
    assert "person" in labelled.classes
    assert labelled.left_out == 418 - len(labelled.learnt) - len(labelled.tested)
    photo = labelled.learnt[0]
    largest = max((each for each in photo.annotations if not each.crowd), key=lambda each: each.area)
    assert labelled.classes[photo.label] == learnt.categories[largest.category_id]


def test_folder_without_a_training_split_is_parted_by_keys(photos: Path) -> None:
    learnt, tested = parts(FolderDataModule(photos / "classes"), None)
    assert (len(learnt.photos), len(tested.photos)) == (18, 6)
    assert not {photo.key for photo in learnt.photos} & {photo.key for photo in tested.photos}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_fine_tuning_runs_by_one_command(
    task: str, colorbench: Command, voc: Path, weights: Path, tmp_path: Path
) -> None:
    settings = "class_path: datamodules.voc.VocDataModule\ninit_args: {root: ., num_workers: 0}\n"
    (tmp_path / "data.yaml").write_text(settings)
    status, printed, told = colorbench(
        *("probe", "zhang-eccv16-class", "--weights", weights / "{method}", "--task", task, "--input", "color"),
        *("--data", tmp_path / "data.yaml", "--data-root", voc, "--size", 64, "--steps", 4, "--batch-size", 2),
        *("--out", tmp_path),
    )
    assert status == 0, told
    found = table(tmp_path)
    assert [(line["initialisation"], line["layer"]) for line in found] == [("random", "conv7"), ("trained", "conv7")]
    assert {line["metric"] for line in found} == {"mean_iu" if task == "segmentation" else "map"}
    assert all(0 <= float(line["score"]) <= 100 for line in found)
    assert f"Fine-tuned for {task}" in printed
