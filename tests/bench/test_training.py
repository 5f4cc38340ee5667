"""Training: stages in order, frozen parts frozen, a stopped training that goes on as if it had never stopped."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import BatchSampler

from bench import callbacks, training
from bench.build import build_data, build_method
from bench.callbacks import KeepLast, SameOnAllProcesses, StopOnNaN
from bench.catalog import data_tree, with_settings
from bench.errors import CommandError, UsageError
from bench.identity import portable_tree
from bench.interrupt import Interrupted
from bench.manifest import load_manifest
from bench.recipe import Recipe, Stage
from bench.training import TrainingOptions, steps_an_epoch, train
from datamodules.samplers import EpochSampler
from datamodules.types import Boxes, GrayBatch

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "global_size": 32, "optimizer": "adam"}
ONE_BOX = {"boxes_only": True, "box_choice": "random", "max_boxes": 1}
RECIPE = Recipe(
    id="tiny",
    train_size=32,
    batch_size=4,
    model=SMALL,
    stages={
        "instcolor-full": Stage(steps=6, learning_rate=1e-3),
        "instcolor-instance": Stage(steps=2, learning_rate=1e-3, data=ONE_BOX),
        "instcolor-fusion": Stage(steps=2, learning_rate=1e-3),
        "zhang-eccv16": Stage(steps=2, learning_rate=1e-3),
        "iizuka-siggraph16": Stage(steps=2, learning_rate=1e-3),
        "colorgan": Stage(steps=6, learning_rate=1e-3, drops={3: 1e-4}, model={"shape": "cifar10"}),
    },
)
SCENES = with_settings(data_tree("synthetic"), {"size": 48, "train": 12, "val": 2, "test": 2})


def options(out: Path, **changes: Any) -> TrainingOptions:
    return replace(TrainingOptions(out, SCENES, RECIPE, loggers=("none",)), **changes)


def recipe(**stages: Stage) -> Recipe:
    """Return the recipe with other stages; names with `_` for `-`."""
    return RECIPE.model_copy(
        update={"stages": {**RECIPE.stages, **{name.replace("_", "-"): stage for name, stage in stages.items()}}}
    )


def tensors(folder: Path, name: str) -> Mapping[str, torch.Tensor]:
    return load_file(folder / f"{name}.safetensors")


def checkpoint(out: Path, stage: str) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a method as a training's last checkpoint holds them."""
    last = torch.load(out / "checkpoints" / stage / "last.ckpt", weights_only=True)
    state: Mapping[str, torch.Tensor] = last["state_dict"]
    return state


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("method", ["zhang-eccv16", "iizuka-siggraph16"])
def test_baselines_train(method: str, tmp_path: Path) -> None:
    folder = train(method, options(tmp_path))
    manifest = load_manifest(folder)
    assert manifest.method == method
    assert manifest.training[method]["steps"] == 2


def test_stages_run_in_order_and_freeze_what_came_before(tmp_path: Path) -> None:
    train("instcolor-full", options(tmp_path))
    full = tensors(tmp_path / "weights", "full")
    train("instcolor-instance", options(tmp_path))
    instance = tensors(tmp_path / "weights", "instance")
    assert equal(full, tensors(tmp_path / "weights", "full"))
    assert not equal(full, instance)
    closeness = (instance["model1.0.weight"] - full["model1.0.weight"]).abs().max()
    assert closeness < 0.01, "two steps of 1e-3 away from the network it began as"
    folder = train("instcolor-fusion", options(tmp_path))
    assert equal(full, tensors(folder, "full"))
    assert equal(instance, tensors(folder, "instance"))
    fusion = tensors(folder, "fusion")
    frozen = [key for key in full if not key.startswith(("model10.", "model_out."))]
    assert equal({key: full[key] for key in frozen}, fusion)
    assert not torch.equal(fusion["model_out.0.weight"], full["model_out.0.weight"])
    assert sorted(load_manifest(folder).training) == ["instcolor-full", "instcolor-fusion", "instcolor-instance"]


@pytest.mark.parametrize(
    ("method", "precision"),
    [("instcolor-full", "fp32"), ("colorgan", "fp32"), pytest.param("colorgan", "bf16", marks=pytest.mark.slow)],
)
def test_a_stopped_training_ends_at_the_same_weights(
    method: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is of a GAN, with two optimisers, dropout, and a rate that drops."""
    monkeypatch.setattr(training, "CHECKPOINTS_A_STAGE", 3)
    train(method, options(tmp_path / "unbroken", precision=precision))

    def stop_at_five(self: StopOnNaN, trainer: Any, *_: object) -> None:
        if trainer.global_step == 5:
            raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(StopOnNaN, "on_train_batch_end", stop_at_five)
        with pytest.raises(Interrupted):
            train(method, options(tmp_path / "stopped", precision=precision))
    assert not (tmp_path / "stopped" / "weights").exists()
    train(method, options(tmp_path / "stopped", precision=precision))
    unbroken, resumed = (checkpoint(tmp_path / name, method) for name in ("unbroken", "stopped"))
    assert equal(unbroken, resumed)


def test_a_discriminator_keeps_its_ratio_to_the_rate_of_the_recipe(tmp_path: Path) -> None:
    folder = train("colorgan", options(tmp_path))
    assert [path.name for path in folder.glob("*.safetensors")] == ["generator.safetensors"]
    assert load_manifest(folder).training["colorgan"]["steps_done"] == 6
    optimizers = torch.load(tmp_path / "checkpoints" / "colorgan" / "last.ckpt", weights_only=True)["optimizer_states"]
    rates = [group["lr"] for optimizer in optimizers for group in optimizer["param_groups"]]
    assert rates == pytest.approx([1e-4, 1e-5])
    taken = [{float(state["step"]) for state in optimizer["state"].values()} for optimizer in optimizers]
    assert taken == [{12}, {6}]


def test_a_trained_stage_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train("zhang-eccv16", options(tmp_path))
    before = (folder / "network.safetensors").stat().st_mtime_ns
    train("zhang-eccv16", options(tmp_path))
    assert (folder / "network.safetensors").stat().st_mtime_ns == before
    assert "trained already" in capsys.readouterr().err


OTHERWISE: dict[str, Any] = {
    "seed": {"seed": 1},
    "steps": {"max_steps": 1},
    "batch_size": {"batch_size": 3},
    "precision": {"precision": "bf16"},
    "data": {"data": with_settings(SCENES, {"data_seed": 5})},
    "learning_rate": {"recipe": recipe(zhang_eccv16=Stage(steps=2, learning_rate=2e-3))},
    "schedule": {"recipe": recipe(zhang_eccv16=Stage(steps=2, learning_rate=1e-3, schedule="cosine"))},
    "model": {"recipe": RECIPE.model_copy(update={"model": {**SMALL, "temperature": 1.0}})},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished training of `zhang-eccv16`."""
    out = tmp_path_factory.mktemp("trained")
    train("zhang-eccv16", options(out))
    return out


@pytest.mark.parametrize("changed", sorted(OTHERWISE))
def test_another_training_in_the_same_folder_is_refused(changed: str, trained: Path) -> None:
    with pytest.raises(UsageError, match=rf"\b{changed} was .*give another --out"):
        train("zhang-eccv16", options(trained, **OTHERWISE[changed]))


@pytest.mark.parametrize("dataset", ["demo-training", "synthetic"])
def test_building_leaves_the_tree_as_it_was(dataset: str) -> None:
    tree = data_tree(dataset)
    build_data(tree)
    assert tree == data_tree(dataset)


def test_moved_photos_are_the_same_photos(tmp_path: Path) -> None:
    one, other = ({"init_args": {"root": f"{tmp_path}/{place}/photos"}} for place in ("here", "there"))
    assert portable_tree(one) == portable_tree(other)


def test_a_stopped_training_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: StopOnNaN, trainer: Any, *_: object) -> None:
        if trainer.global_step == 5:
            raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(StopOnNaN, "on_train_batch_end", stop)
        with pytest.raises(Interrupted):
            train("instcolor-full", options(tmp_path))
    with pytest.raises(UsageError, match="seed was 0, now 1"):
        train("instcolor-full", options(tmp_path, seed=1))


def test_a_batch_that_devices_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="batch of 4 cannot be shared by 3 devices"):
        train("zhang-eccv16", options(tmp_path, devices=3))


def test_curves_and_panels_are_kept(tmp_path: Path) -> None:
    train("instcolor-full", options(tmp_path, loggers=()))
    curves = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "train/loss" in curves
    assert "val/loss" in curves
    assert list(tmp_path.rglob("*.png"))


def test_curves_are_kept_without_dashboards_and_validation(tmp_path: Path) -> None:
    train("instcolor-full", options(tmp_path))
    curves = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "train/loss" in curves
    assert "val/loss" not in curves
    assert not list(tmp_path.rglob("*.png"))


def test_nan_names_step_pictures_and_checkpoint(tmp_path: Path) -> None:
    wild = recipe(instcolor_full=Stage(steps=6, learning_rate=1e30))
    words = r"loss is (nan|inf) at step \d, on the pictures train-\d+, .*; last good checkpoint: .*last\.ckpt"
    with pytest.raises(CommandError, match=words):
        train("instcolor-full", options(tmp_path, recipe=wild))


class Trainer:
    """Stand for Lightning's on one process."""

    is_global_zero = True
    world_size = 1

    def __init__(self, step: int = 1) -> None:
        self.global_step = step
        self.saved: list[Path] = []
        self.strategy = self

    def reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
        return tensor

    def broadcast(self, value: bool) -> bool:
        return value

    def save_checkpoint(self, path: Path) -> None:
        self.saved.append(path)


def step(callback: Any, trainer: Any, *, network: torch.nn.Module | None = None, loss: float = 0.0) -> None:
    """Tell a callback of the end of a step on the pictures a and b."""
    gray = GrayBatch(("a", "b"), torch.zeros(2, 1, 4, 4), (Boxes.empty((4, 4)),) * 2, torch.zeros(0, 1, 0, 0))
    batch = SimpleNamespace(gray=gray)
    callback.on_train_batch_end(trainer, network or torch.nn.Linear(1, 1), {"loss": torch.tensor(loss)}, batch, 0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops(loss: float, tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    last.touch()
    step(StopOnNaN(last), Trainer())
    with pytest.raises(CommandError, match=rf"loss is {loss} at step 7, on the pictures a, b; last good .*last\.ckpt"):
        step(StopOnNaN(last), Trainer(7), loss=loss)


def test_other_processes_stop_without_a_word(tmp_path: Path) -> None:
    other = Trainer(7)
    other.is_global_zero = False
    with pytest.raises(SystemExit) as stopped:
        step(StopOnNaN(tmp_path), other, loss=float("nan"))
    assert stopped.value.code == 1


def test_a_checkpoint_is_kept_by_step_and_by_time(tmp_path: Path) -> None:
    patient, hasty = KeepLast(tmp_path, every=30), KeepLast(tmp_path, every=30, seconds=-1.0)
    for keeper, expected in ((patient, [30, 60]), (hasty, [20, 30, 40, 60])):
        trainers = [Trainer(number) for number in range(1, 61)]
        for trainer in trainers:
            step(keeper, trainer)
        assert [trainer.global_step for trainer in trainers if trainer.saved] == expected


@pytest.mark.parametrize("name", ["weight", "running_var"])
def test_weights_that_are_not_finite_are_not_kept(name: str, tmp_path: Path) -> None:
    broken = torch.nn.BatchNorm2d(1)
    broken.state_dict()[name].fill_(float("inf"))
    trainer = Trainer(30)
    with pytest.raises(CommandError, match="weights are not finite after step 30"):
        step(KeepLast(tmp_path, every=30), trainer, network=broken)
    assert not trainer.saved


def test_weights_that_differ_between_processes_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer: Any = Trainer()
    trainer.world_size = 2
    check, network = SameOnAllProcesses(), torch.nn.Linear(1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "gathered", lambda value: [value, value])
        check.on_train_end(trainer, network)  # type: ignore[arg-type]  # wider than its type
        patch.setattr(callbacks, "gathered", lambda value: [value, "another"])
        with pytest.raises(CommandError, match="weights differ between processes after step 1: nothing is saved"):
            check.on_train_end(trainer, network)  # type: ignore[arg-type]  # wider than its type


@pytest.mark.parametrize(("photos", "batch", "processes", "batches"), [(80, 4, 2, 10), (81, 4, 2, 10), (3, 4, 1, 1)])
def test_batches_of_an_epoch_are_those_of_the_loader(photos: int, batch: int, processes: int, batches: int) -> None:
    assert steps_an_epoch(photos, batch, processes) == batches
    sampler = EpochSampler(photos, world=processes)
    whole = BatchSampler(range(len(sampler)), batch, drop_last=len(sampler) >= batch)
    assert len(whole) == batches


@pytest.mark.parametrize("stage", ["instcolor-full", "instcolor-instance", "instcolor-fusion"])
def test_statistics_are_shared_only_where_every_process_has_some(stage: str, tmp_path: Path) -> None:
    shared = options(tmp_path, sync_batchnorm=True)
    method = build_method(shared.recipe.tree(stage))
    training.stage_data(stage, method, shared)
    loose = replace(shared, recipe=recipe(instcolor_instance=Stage(steps=2, learning_rate=1e-3)))
    if stage != "instcolor-instance":
        training.stage_data(stage, method, loose)
        return
    with pytest.raises(UsageError, match=r"waits for ever .* no boxes for instcolor-instance: leave it out, or set"):
        training.stage_data(stage, method, loose)


def test_a_stage_may_have_pictures_of_its_own_size(tmp_path: Path) -> None:
    changed = recipe(zhang_eccv16=Stage(steps=1, learning_rate=1e-3, data={"train_size": 16}))
    method = build_method(changed.tree("zhang-eccv16"))
    sizes = [
        training.stage_data("zhang-eccv16", method, options(tmp_path, recipe=each)).train_size
        for each in (RECIPE, changed)
    ]
    assert sizes == [32, 16]


def test_epochs_become_steps(tmp_path: Path) -> None:
    twice = recipe(instcolor_full=Stage(epochs=2, learning_rate=1e-3, schedule="linear", decay_from=1))
    folder = train("instcolor-full", options(tmp_path, recipe=twice))
    facts = load_manifest(folder).training["instcolor-full"]
    assert (facts["epochs"], facts["steps"], facts["steps_done"]) == (2, None, 6)
    train("instcolor-full", options(tmp_path, recipe=twice))
    with pytest.raises(UsageError, match="steps was None, now 1"):
        train("instcolor-full", options(tmp_path, recipe=twice, max_steps=1))


def test_untrainable_and_unknown_methods(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="learns nothing"):
        train("gray", options(tmp_path))
    with pytest.raises(UsageError, match="did you mean zhang-eccv16"):
        train("zhang-eccv17", options(tmp_path))
