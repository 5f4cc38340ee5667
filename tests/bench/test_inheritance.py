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
STAGES = (
    "instcolor-full",
    "instcolor-instance",
    "instcolor-fusion",
    "instcolor-fusion-masked",
    "zhang-eccv16",
    "zhang-eccv16-l2",
    "zhang-eccv16-l2-ft",
    "zhang-siggraph17",
)
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
    train("instcolor-instance", options(tmp_path, init=before / "weights"))
    train("instcolor-instance", options(tmp_path, init=before))
    train("instcolor-instance", options(tmp_path))
    other = tmp_path / "other"
    train("instcolor-full", options(other))
    with pytest.raises(UsageError, match="from other weights than those"):
        train("instcolor-instance", options(tmp_path, init=other))
    with pytest.raises(
        UsageError, match=r"holds instcolor-full trained otherwise \(init was None, now .*another --out"
    ):
        train("instcolor-instance", options(other, init=before))


def far(one: Path, other: Path, name: str, key: str = "model_out.0.weight") -> float:
    """Return the greatest difference of a weight; a step of Adam goes as far as its learning rate, here 1e-3."""
    return float((tensors(one, name)[key] - tensors(other, name)[key]).abs().max())


@pytest.mark.parametrize("method", ["instcolor-full", "zhang-eccv16"])
def test_the_last_stage_is_fine_tuned_on_other_photos(method: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    train(method, options(old, seed=5))
    train(method, options(new, init=old, data=with_settings(SCENES, {"seed": 7}), settings={"learning_rate": 1e-4}))
    network, key = ("full", "model_out.0.weight") if method == "instcolor-full" else ("network", "model1.0.weight")
    assert 0 < far(old, new, network, key) <= 1.01e-4
    manifest = load_manifest(new / "weights")
    assert TAKEN not in manifest.training[method]
    assert manifest.training[method]["steps_done"] == 1


def test_earlier_stages_are_taken_over_however_long_and_fast_they_were_trained(before: Path, tmp_path: Path) -> None:
    other = Recipe.model_validate(
        {**RECIPE.model_dump(), "stages": {each: {"steps": 2, "learning_rate": 1e-5} for each in STAGES}}
    )
    train("instcolor-instance", options(tmp_path, init=before, recipe=other, settings={"learning_rate": 1e-4}))
    assert equal(tensors(before, "full"), tensors(tmp_path, "full"))
    assert 0 < far(before, tmp_path, "instance") <= 2.01e-4


@pytest.fixture(scope="module")
def fused(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training of `instcolor-fusion`, whose fusion is far from its other networks."""
    out = tmp_path_factory.mktemp("fused")
    train("instcolor-fusion", options(out, init=before, seed=5, settings={"learning_rate": 0.3}))
    return out


def test_a_fusion_is_fine_tuned_from_a_fusion_of_the_same_kind(
    fused: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("instcolor-fusion", options(tmp_path, init=fused, data=with_settings(SCENES, {"seed": 7})))
    assert "instcolor-fusion: begins from fusion of" in capsys.readouterr().err
    assert 0 < far(fused, tmp_path, "fusion") <= 1.01e-3


@pytest.mark.parametrize(
    ("method", "settings"), [("instcolor-fusion-masked", {}), ("instcolor-fusion", {"weighting": "box"})]
)
def test_an_ablation_of_the_fusion_begins_as_after_the_stages_before_it(
    method: str, settings: dict[str, Any], fused: Path, tmp_path: Path
) -> None:
    train(method, options(tmp_path, init=fused, settings=settings))
    for name in ("full", "instance"):
        assert equal(tensors(fused, name), tensors(tmp_path, name))
    full, fusion = tensors(tmp_path, "full"), tensors(tmp_path, "fusion")
    assert 0 < (full["model_out.0.weight"] - fusion["model_out.0.weight"]).abs().max() <= 1.01e-3
    assert far(fused, tmp_path, "fusion") > 0.1


def test_each_stage_is_fine_tuned_in_turn(fused: Path, tmp_path: Path) -> None:
    for method in STAGES[:3]:
        train(method, options(tmp_path, init=fused, data=with_settings(SCENES, {"seed": 7})))
    for name in ("full", "instance", "fusion"):
        assert 0 < far(fused, tmp_path, name) <= 1.01e-3
    assert not any(TAKEN in facts for facts in load_manifest(tmp_path / "weights").training.values())


def test_a_regression_begins_from_a_classification(tmp_path: Path) -> None:
    train("zhang-eccv16", options(tmp_path / "old", seed=5))
    train("zhang-eccv16-l2", options(tmp_path / "new", init=tmp_path / "old"))
    assert 0 < far(tmp_path / "old", tmp_path / "new", "network", "model1.0.weight") <= 1.01e-3


def test_a_regression_is_fine_tuned_beside_the_classification_that_it_began_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("zhang-eccv16", options(tmp_path / "old", seed=5))
    for _ in range(2):
        train("zhang-eccv16-l2-ft", options(tmp_path / "new", init=tmp_path / "old"))
    assert "zhang-eccv16-l2-ft: trained already" in capsys.readouterr().err
    classification, regression = (tensors(tmp_path / "new", name) for name in ("network", "regression"))
    assert equal(tensors(tmp_path / "old", "network"), classification)
    trunk = {key for key in regression if key.startswith("model1.0.")}
    assert max(float((regression[key] - classification[key]).abs().max()) for key in trunk) <= 1.01e-3
    assert regression["model8.6.weight"].shape[0] == 2
    assert sorted(load_manifest(tmp_path / "new" / "weights").training) == ["zhang-eccv16", "zhang-eccv16-l2-ft"]


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
    train("instcolor-instance", options(tmp_path))
    assert equal(tensors(tmp_path, "full"), ended), "trained from an import before, and not again"
    with pytest.raises(UsageError, match=r"init was .*now .*; give another --out"):
        train("instcolor-full", options(tmp_path, init=untrained(tmp_path / "other", seed=4)))


def center(folder: Path, stage: str, network: str) -> float:
    value: float = load_manifest(folder).models[stage]["init_args"][network]["init_args"]["mask_center"]
    return value


@pytest.mark.parametrize(
    ("method", "network", "mask_center"), [("zhang-siggraph17", "network", 0.5), ("instcolor-full", "full", 0.0)]
)
def test_the_centre_of_the_hint_mask_travels(method: str, network: str, mask_center: float, tmp_path: Path) -> None:
    start = untrained(tmp_path / "import", method, mask_center=mask_center)
    assert center(start, method, network) != RECIPE.tree(method)["init_args"][network]["init_args"]["mask_center"]
    train(method, options(tmp_path / "out", init=start))
    assert center(tmp_path / "out" / "weights", method, network) == mask_center
    again = tmp_path / "again"
    train(method, options(again, init=start, settings={"mask_center": 0.25}))
    assert center(again / "weights", method, network) == 0.25, "as it was asked for"


def test_later_stages_have_the_centre_of_those_before_them(tmp_path: Path) -> None:
    train("instcolor-full", options(tmp_path, init=untrained(tmp_path / "import", mask_center=0.0)))
    train("instcolor-instance", options(tmp_path))
    assert [center(tmp_path / "weights", "instcolor-instance", name) for name in ("full", "instance")] == [0.0, 0.0]


def test_a_recipe_that_says_otherwise_than_the_networks_is_refused(tmp_path: Path) -> None:
    start = untrained(tmp_path / "import", "zhang-siggraph17", mask_center=0.0)
    stage = RECIPE.stage("zhang-siggraph17").model_copy(update={"model": {"mask_center": 0.5}})
    other = RECIPE.model_copy(update={"stages": {"zhang-siggraph17": stage}})
    with pytest.raises(UsageError, match=r"another mask_center than the recipe says; give --set mask_center=0\.0 to"):
        train("zhang-siggraph17", options(tmp_path / "out", init=start, recipe=other))


def test_all_stages_follow_from_an_import_of_the_first(tmp_path: Path) -> None:
    start = untrained(tmp_path / "import")
    train("instcolor-fusion", options(tmp_path / "out", init=start))
    began, out = load_file(start / "full.safetensors")["model_out.0.weight"], tmp_path / "out"
    ends = [tensors(out, name)["model_out.0.weight"] for name in ("full", "instance", "fusion")]
    assert all(
        0 < (one - other).abs().max() <= 1.01e-3 for one, other in zip([began, *ends[:1] * 2], ends, strict=True)
    )


def test_what_does_not_fit_is_named(before: Path, tmp_path: Path) -> None:
    wide = untrained(tmp_path / "wide", width=0.125)
    with pytest.raises(
        UsageError, match=r"full cannot begin from .*wide: .* another width .*; give --set width=0\.125"
    ):
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
