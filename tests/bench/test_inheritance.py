"""What a training begins from: stages that are taken over, networks that are a start, and what fits neither."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench.build import build_method
from bench.catalog import data_tree, with_settings
from bench.errors import MissingError, UsageError
from bench.inheritance import TAKEN, check_alone
from bench.manifest import MANIFEST, WeightsManifest, load_manifest, save_weights
from bench.recipe import Recipe, Stage, load_recipe
from bench.training import TrainingOptions, train

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "optimizer": "adam"}
STAGES = ("instcolor-full", "instcolor-instance", "instcolor-fusion", "zhang-eccv16")
RECIPE = Recipe(
    id="tiny",
    train_size=32,
    batch_size=4,
    model=SMALL,
    stages={stage: Stage(steps=1, learning_rate=1e-3) for stage in STAGES},
)
SCENES = with_settings(data_tree("synthetic"), {"size": 48, "train": 8, "val": 1, "test": 1})


def options(out: Path, **changes: Any) -> TrainingOptions:
    return replace(TrainingOptions(out, SCENES, RECIPE, loggers=("none",)), **changes)


def tensors(folder: Path, name: str) -> Mapping[str, torch.Tensor]:
    return load_file(folder / "weights" / f"{name}.safetensors")


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training of `instcolor-instance`, which holds two stages."""
    out = tmp_path_factory.mktemp("before")
    train("instcolor-instance", options(out, seed=5))
    return out


def test_trained_stages_are_taken_over(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("instcolor-fusion", options(tmp_path, init=before))
    assert "instcolor-full: trained already" in capsys.readouterr().err
    for name in ("full", "instance"):
        assert equal(tensors(before, name), tensors(tmp_path, name))
    there, here = load_manifest(before / "weights"), load_manifest(tmp_path / "weights")
    taken = here.training["instcolor-instance"]
    assert taken[TAKEN] == {name: there.networks[name].sha256 for name in ("full", "instance")}
    assert taken["seed"] == 5
    assert TAKEN not in here.training["instcolor-fusion"]
    trunk = tensors(before, "full")["model1.0.weight"]
    assert torch.equal(tensors(tmp_path, "fusion")["model1.0.weight"], trunk)


def test_a_training_goes_on_with_the_stages_it_took_over(before: Path, tmp_path: Path) -> None:
    train("instcolor-full", options(tmp_path, init=before / "weights"))
    train("instcolor-full", options(tmp_path, init=before))
    train("instcolor-full", options(tmp_path))
    other = tmp_path / "other"
    train("instcolor-full", options(other))
    with pytest.raises(UsageError, match="from other weights than those"):
        train("instcolor-full", options(tmp_path, init=other))
    with pytest.raises(UsageError, match="a training of its own"):
        train("instcolor-full", options(other, init=before))


def untrained(out: Path, method: str = "instcolor-full", seed: int = 3, **settings: Any) -> Path:
    """Save a method as an import does, without a word on training."""
    tree = RECIPE.with_settings(settings, [method]).tree(method)
    torch.manual_seed(seed)
    save_weights(method, tree, build_method(tree).networks(), out)
    return out


def test_networks_of_an_import_are_a_start(tmp_path: Path) -> None:
    start = untrained(tmp_path / "import")
    train("instcolor-full", options(tmp_path, init=start))
    began, ended = load_file(start / "full.safetensors"), tensors(tmp_path, "full")
    far = (ended["model1.0.weight"] - began["model1.0.weight"]).abs().max()
    assert 0 < far <= 1.01e-3, "one step of Adam, whose length is the learning rate"
    assert load_manifest(tmp_path / "weights").training["instcolor-full"]["init"]
    with pytest.raises(UsageError, match=r"init was .*now None\); give another --out"):
        train("instcolor-full", options(tmp_path))


def test_what_does_not_fit_is_named(before: Path, tmp_path: Path) -> None:
    wide = untrained(tmp_path / "wide", width=0.125)
    with pytest.raises(UsageError, match=r"full cannot begin from .*wide.*'full': full\.safetensors .*size mismatch"):
        train("instcolor-full", options(tmp_path / "out", init=wide))
    with pytest.raises(UsageError, match=r"zhang-eccv16: it has full, instance, zhang-eccv16 has network, prior"):
        train("zhang-eccv16", options(tmp_path / "out", init=before))
    with pytest.raises(UsageError, match=r"instcolor-full cannot begin from .*size mismatch"):
        train("instcolor-fusion", options(tmp_path / "out", init=before, settings={"width": 0.125}))
    with pytest.raises(MissingError, match=r"nowhere holds no weights\.json: give --init"):
        train("instcolor-full", options(tmp_path / "out", init=tmp_path / "nowhere"))
    assert not (tmp_path / "out" / "weights").exists()


def trained(out: Path, *stages: str) -> Path:
    """Save a manifest alone that calls these stages trained, and return its folder."""
    manifest = WeightsManifest(method=stages[-1], models={}, networks={}, training={stage: {} for stage in stages})
    out.mkdir()
    (out / MANIFEST).write_text(manifest.model_dump_json(by_alias=True))
    return out


def test_stages_of_one_method_share_a_folder(tmp_path: Path) -> None:
    check_alone(STAGES[:3], tmp_path / "nothing")
    check_alone(STAGES[:3], trained(tmp_path / "first", *STAGES[:1]))
    check_alone(STAGES[:2], trained(tmp_path / "all", *STAGES[:3]))


def test_another_method_is_not_replaced(tmp_path: Path) -> None:
    fusion = trained(tmp_path / "weights", *STAGES[:3])
    before = (fusion / MANIFEST).read_bytes()
    with pytest.raises(UsageError, match=r"holds instcolor-fusion trained, .*masked would .*--init .*weights to begin"):
        train("instcolor-fusion-masked", options(tmp_path, recipe=load_recipe("small")))
    with pytest.raises(UsageError, match=r"holds instcolor-full and .*, whose networks zhang-eccv16 would begin from"):
        train("zhang-eccv16", options(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    assert (fusion / MANIFEST).read_bytes() == before


def test_settings_are_part_of_what_a_training_is(tmp_path: Path) -> None:
    train("zhang-eccv16", options(tmp_path, settings={"rebalance": False}))
    manifest = load_manifest(tmp_path / "weights")
    assert manifest.training["zhang-eccv16"]["settings"] == {"rebalance": False}
    assert manifest.models["zhang-eccv16"]["init_args"]["rebalance"] is False
    with pytest.raises(UsageError, match=r"settings was .*rebal.*, now None"):
        train("zhang-eccv16", options(tmp_path))


def test_a_wrong_value_for_a_late_stage_is_found_before_the_first_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot build .*InstanceColorizer"):
        train("instcolor-fusion", options(tmp_path, settings={"chunk": "many"}))
    assert not tmp_path.joinpath("checkpoints").exists()
