"""Trainings in real processes: several that step as one, one that is killed, all that stop together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from bench.catalog import read_yaml
from bench.errors import UsageError
from bench.inheritance import TAKEN
from bench.manifest import MANIFEST, load_manifest
from bench.recipe import load_recipe
from bench.training import TrainingOptions, train
from datamodules.samplers import EpochSampler
from lightning_modules.adversarial import RATE_RATIO, AdversarialTraining
from lightning_modules.base import Colorizer
from lightning_modules.baselines.colorgan import ColorGanColorizer
from lightning_modules.baselines.zhang import ZhangColorizer
from lightning_modules.stages.full import FullColorizer

BATCH, STEPS, SIDE = 8, 10, 48
PHOTOS = BATCH * STEPS
RECIPE: dict[str, Any] = {
    "id": "tiny",
    "train_size": 32,
    "batch_size": BATCH,
    "model": {"width": 0.0625, "input_size": 32, "crop_size": 32, "optimizer": "adam", "prior_photos": 8},
    "stages": {
        "instcolor-full": {"steps": 120, "learning_rate": 1.0e-3},
        "instcolor-instance": {
            "steps": 2,
            "learning_rate": 1.0e-3,
            "data": {"boxes_only": True, "box_choice": "random", "max_boxes": 1},
        },
        "instcolor-fusion": {"steps": STEPS, "learning_rate": 1.0e-3},
        "zhang-eccv16": {"steps": STEPS, "learning_rate": 1.0e-3},
        "colorgan": {"steps": STEPS, "learning_rate": 1.0e-3},
    },
}


class Place:
    """Hold the files of a training and run it, here or in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe, self.data = folder / "recipe.yaml", folder / "data.yaml"
        self.recipe.write_text(yaml.safe_dump(RECIPE))
        photos = {"root": str(folder / "photos"), "annotations": str(folder / "coco.json"), "val_fraction": 0.0}
        self.data.write_text(yaml.safe_dump({"class_path": "datamodules.coco.CocoDataModule", "init_args": photos}))

    def command(self, method: str, out: str, *more: str, program: str | None = None) -> list[str]:
        """Return a command line that trains."""
        start = [str(Path(sys.executable).with_name("colorbench"))] if program is None else [sys.executable, program]
        places = ["--recipe", str(self.recipe), "--data", str(self.data), "--out", str(self.folder / out)]
        return [*start, "train", method, *places, "--logger", "none", *more]

    def options(self, out: str, **changes: Any) -> TrainingOptions:
        """Return what the command line says, for a training in this process."""
        recipe, data = load_recipe(str(self.recipe)), read_yaml(self.data)
        return TrainingOptions(self.folder / out, data, recipe, loggers=("none",), **changes)

    def weights(self, out: str, name: str) -> Mapping[str, torch.Tensor]:
        """Return the tensors of a network."""
        return load_file(self.folder / out / "weights" / f"{name}.safetensors")


def environment() -> dict[str, str]:
    """Return that of a process with as many threads as this one, so that sums have the same order."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def run(command: list[str], timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=timeout, check=False)


def kinds() -> list[str]:
    """Say what each photo is: in the first epoch all that teach nothing fall to the second of two processes."""
    kinds = ["plain"] * PHOTOS
    for place, (_, position) in enumerate(EpochSampler(PHOTOS, rank=1, world=2)):
        kinds[position] = ("gray", "boxless", "plain", "plain")[place % 4]
    return kinds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return COCO photos of soft colours, some grey, some without a box, and a recipe for them."""
    folder = tmp_path_factory.mktemp("place")
    pictures = folder / "photos"
    pictures.mkdir()
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number, kind in enumerate(kinds()):
        corners = random.integers(0, 256, (3, 3, 1 if kind == "gray" else 3), dtype=np.uint8)
        small = Image.fromarray(np.broadcast_to(corners, (3, 3, 3)).copy())
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(pictures / f"{number:03}.png")
        images.append({"id": number, "file_name": f"{number:03}.png", "width": SIDE, "height": SIDE})
        for box in range(0 if kind == "boxless" else 1 + number % 3):
            bbox = [2 + 5 * box, 4, 20, 30 - 6 * box]
            one = {"id": 10 * number + box, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**one, "bbox": bbox, "area": bbox[2] * bbox[3]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "coco.json").write_text(json.dumps(content))
    return Place(folder)


def without(place: Place, out: str, stage: str, network: str) -> Path:
    """Return a copy of the weights of a training that lacks its last stage."""
    source, copy = place.folder / out / "weights", place.folder / f"{out}-without" / "weights"
    copy.mkdir(parents=True)
    manifest = json.loads((source / MANIFEST).read_text())
    del manifest["networks"][network], manifest["training"][stage]
    for name in manifest["networks"]:
        (copy / f"{name}.safetensors").write_bytes((source / f"{name}.safetensors").read_bytes())
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


def farthest(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[key].float() - other[key].float()).abs().max()) for key in one)


def checkpoint(out: Path, stage: str) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a method as a training's last checkpoint holds them."""
    last = torch.load(out / "checkpoints" / stage / "last.ckpt", weights_only=True)
    state: Mapping[str, torch.Tensor] = last["state_dict"]
    return state


def test_two_ranks_share_out_the_batch_of_one() -> None:
    one = list(EpochSampler(PHOTOS))
    two = [list(EpochSampler(PHOTOS, rank=rank, world=2)) for rank in (0, 1)]
    for step in range(STEPS):
        halves = [order[step * BATCH // 2 : (step + 1) * BATCH // 2] for order in two]
        assert sorted(chain.from_iterable(halves)) == sorted(one[step * BATCH : (step + 1) * BATCH])


@pytest.mark.slow
def test_two_processes_train_as_one(place: Place) -> None:
    """Stage 1 is taken over, stage 2 has BatchNorm in train mode, stage 3 has it in eval mode, as published.

    The command itself checks after each stage that both processes have the same weights, and fails where not.
    """
    train("instcolor-full", place.options("before", max_steps=1))
    brought = ["--init", str(place.folder / "before")]
    done = run(place.command("instcolor-fusion", "two", "--devices", "2", *brought))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"weights: {place.folder / 'two' / 'weights'}"]
    training = load_manifest(place.folder / "two" / "weights").training
    assert TAKEN in training["instcolor-full"]
    assert [training[stage]["devices"] for stage in ("instcolor-instance", "instcolor-fusion")] == [2, 2]
    start = without(place, "two", "instcolor-fusion", "fusion")
    train("instcolor-fusion", place.options("one", init=start))
    assert farthest(place.weights("one", "full"), place.weights("two", "full")) == 0
    assert farthest(place.weights("one", "instance"), place.weights("two", "instance")) == 0
    assert farthest(place.weights("one", "fusion"), place.weights("two", "fusion")) < 1e-5
    trunk = place.weights("one", "full")
    learnt = {key: value for key, value in place.weights("one", "fusion").items() if key in trunk}
    assert farthest(learnt, trunk) > 1e-3, "it has moved by much more than both differ"


def freeze(kind: type[Colorizer], patch: pytest.MonkeyPatch) -> None:
    """Train a method with BatchNorm in eval mode, and a GAN by plain gradient descent.

    Its Adam has no momentum: of a gradient that is 0 but for rounding it makes a whole step.
    """

    def on_train_start(self: Colorizer) -> None:
        for module in self.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()

    def descend(self: AdversarialTraining) -> list[torch.optim.Optimizer]:
        sides = [optimizer.param_groups for optimizer in AdversarialTraining.configure_optimizers(self)]
        kept = ("params", RATE_RATIO)
        return [torch.optim.SGD([{key: group[key] for key in kept} for group in side], lr=1.0) for side in sides]

    patch.setattr(kind, "on_train_start", on_train_start)
    if issubclass(kind, AdversarialTraining):
        patch.setattr(kind, "configure_optimizers", descend)


PROGRAM = """
import pytest
from bench.cli import main
from lightning_modules.baselines.{room} import {kind}
from {module} import freeze

freeze({kind}, pytest.MonkeyPatch())
main()
"""


def train_frozen(place: Place, method: str, kind: type[Colorizer], name: str, patch: pytest.MonkeyPatch) -> None:
    """Train a method with BatchNorm in eval mode, as `<name>-two` by two processes and as `<name>-one` by this."""
    program, room = place.folder / "program.py", kind.__module__.rpartition(".")[2]
    program.write_text(PROGRAM.format(module=Path(__file__).stem, room=room, kind=kind.__name__))
    patch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = run(place.command(method, f"{name}-two", "--devices", "2", program=str(program)))
    assert done.returncode == 0, done.stderr
    freeze(kind, patch)
    train(method, place.options(f"{name}-one"))


@pytest.mark.slow
def test_two_processes_train_zhang_as_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    train_frozen(place, "zhang-eccv16", ZhangColorizer, "zhang", monkeypatch)
    assert farthest(place.weights("zhang-one", "prior"), place.weights("zhang-two", "prior")) == 0
    assert farthest(place.weights("zhang-one", "network"), place.weights("zhang-two", "network")) < 1e-5


@pytest.mark.slow
def test_two_processes_train_both_sides_of_a_gan_as_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    train_frozen(place, "colorgan", ColorGanColorizer, "gan", monkeypatch)
    one, two = (checkpoint(place.folder / f"gan-{count}", "colorgan") for count in ("one", "two"))
    assert {key.partition(".")[0] for key in one} == {"generator", "discriminator"}
    assert farthest(one, two) < 5e-4


@pytest.mark.slow
def test_a_killed_training_ends_at_the_same_weights(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    loss = FullColorizer.loss

    def watched(self: FullColorizer, batch: Any) -> Any:
        seen.append(batch.gray.key)
        return loss(self, batch)

    monkeypatch.setattr(FullColorizer, "loss", watched)
    train("instcolor-full", place.options("unbroken"))
    whole, seen[:] = list(seen), []
    kill_at_first_checkpoint(place.command("instcolor-full", "killed"), place.folder / "killed")
    train("instcolor-full", place.options("killed"))
    steps = 120 - len(seen)
    assert 0 < steps < 120
    assert steps % STEPS != 0, "killed within an epoch"
    assert seen == whole[steps:]
    unbroken, killed = (place.weights(out, "full") for out in ("unbroken", "killed"))
    assert all(torch.equal(unbroken[key], killed[key]) for key in unbroken)


def kill_at_first_checkpoint(command: list[str], out: Path) -> None:
    """Start a training and end it by SIGKILL as soon as it has left a checkpoint."""
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list(out.rglob("last.ckpt")) and time.monotonic() < until:
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_nan_in_one_process_stops_all(place: Place) -> None:
    wild = ["--devices", "2", "--set", "learning_rate=1e30"]
    done = run(place.command("instcolor-full", "wild", *wild))
    assert done.returncode == 1
    assert done.stderr.count("the loss is") == 1
    assert re.search(r"at step \d+, on the pictures \d{3}, .*last good checkpoint: none yet", done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_stopped_training_says_how_to_go_on(place: Place, number: signal.Signals, status: int, devices: str) -> None:
    name = f"stopped-{number.name}-{devices}"
    command = place.command("instcolor-full", name, "--devices", devices)
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while not list((place.folder / name).rglob("last.ckpt")):
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"stopped by {number.name}" in said
    assert f"Go on with: colorbench train instcolor-full --recipe {place.recipe}" in said
    assert list((place.folder / name).rglob("last.ckpt"))


def test_another_number_of_processes_than_of_devices_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="4 processes were started, but --devices 2 on --nodes 1 are 2"):
        train("zhang-eccv16", place.options("torchrun", devices=2))
