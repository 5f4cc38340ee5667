"""Recipes reach every network of a method, and say what they do not train."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench import catalog
from bench.build import build_data, build_method
from bench.errors import UsageError
from bench.recipe import load_recipe, parse_settings, setting_names
from bench.suite import load_suite
from lightning_modules.losses.absolute import AbsoluteLoss
from lightning_modules.losses.huber import HuberLoss


@pytest.mark.parametrize("recipe", sorted(catalog.recipes()))
def test_shipped_recipes_train_every_stage(recipe: str) -> None:
    loaded = load_recipe(recipe)
    assert loaded.id == recipe
    stages = {stage for card in catalog.methods().values() for stage in card.stages}
    assert stages <= set(loaded.stages)


def _widths(tree: dict[str, Any]) -> list[float]:
    found = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _widths(value)
        elif key == "width":
            found.append(value)
    return found


def test_width_reaches_every_network() -> None:
    assert _widths(load_recipe("demo").tree("instcolor-fusion")) == [0.125] * 3
    assert _widths(catalog.model_tree("instcolor-fusion")) == [1.0] * 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id: x\nstags: {}\n", "stages: this key is missing; stags: this key is unknown; did you mean stages"),
        (
            b"id: x\nstages: {gray: {steps: 1, learning_rate: 1, stepz: 2}}",
            r"stages\.gray\.stepz: .*did you mean steps",
        ),
        (b"id: x\nstages: {gray: {steps: 1, learning_rate: 1, id: 2}}", r"stages\.gray\.id: this key does not belong"),
        (b"id: x\nstages: {gray: {steps: none, learning_rate: 1}}", r"stages\.gray\.steps: .*given 'none'"),
        (b"- id", "holds list, not a mapping"),
        (b"", "holds NoneType, not a mapping"),
        (b"id: [", "is not YAML that can be read"),
        (b"id: 2020-13-40", "is not YAML that can be read: month"),
        (b"id: x\nid: y", "the key 'id' stands twice"),
        (b"id: caf\xe9", r"is not text in UTF-8: byte 7 is 0xe9"),
    ],
)
def test_a_wrong_recipe_is_named_with_its_problem(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as wrong:
        load_recipe(str(path))
    assert "mine.yaml" in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_suite_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: caf\xe9")
    with pytest.raises(UsageError, match=r"mine\.yaml is not text in UTF-8"):
        load_suite(str(path))


def test_unknown_recipe_and_stage() -> None:
    with pytest.raises(UsageError, match="did you mean demo"):
        load_recipe("demi")
    with pytest.raises(UsageError, match="does not train 'gray'"):
        load_recipe("demo").stage("gray")


def test_settings_reach_every_stage_after_those_of_the_recipe() -> None:
    stages = ["instcolor-full", "instcolor-fusion"]
    changed = load_recipe("demo").with_settings({"width": 0.5, "learning_rate": 0.25}, stages)
    assert _widths(changed.tree("instcolor-fusion")) == [0.5] * 3
    assert [changed.stage(stage).learning_rate for stage in stages] == [0.25] * 2
    assert changed.tree("instcolor-full")["init_args"]["learning_rate"] == 0.25
    assert changed.stage("zhang-eccv16") == load_recipe("demo").stage("zhang-eccv16")


def test_drops_keep_their_proportion_to_the_learning_rate() -> None:
    stage = load_recipe("paper").with_settings({"learning_rate": 1e-6}, ["zhang-eccv16"]).stage("zhang-eccv16")
    rates = [stage.rate(step, 450_000, 1) for step in (0, 200_000, 375_000)]
    assert rates == pytest.approx([1e-6, 1e-6 / 3, 1e-7])


def test_defaults_come_before_what_the_recipe_says() -> None:
    siggraph = "zhang-siggraph17"
    defaults = {"width": 1.0, "mask_center": 0.25, "sigma": 1.0}
    changed = load_recipe("small").with_defaults(defaults, [siggraph]).tree(siggraph)["init_args"]
    assert changed["network"]["init_args"] == {"width": 0.25, "classes": 529, "mask_center": 0.25}
    assert "sigma" not in changed
    said = load_recipe("repo").with_defaults(defaults, [siggraph]).tree(siggraph)["init_args"]
    assert said["network"]["init_args"] == {"width": 1.0, "classes": 529, "mask_center": 0.5}


def test_a_recipe_chooses_the_loss() -> None:
    trees = {name: load_recipe(name).tree("zhang-siggraph17") for name in ("paper", "repo")}
    with torch.device("meta"):
        losses = {name: type(vars(build_method(tree))["_modules"]["objective"]) for name, tree in trees.items()}
    assert losses == {"paper": HuberLoss, "repo": AbsoluteLoss}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"decay_steps": 10}, "--set decay_steps changes nothing: `schedule` and `drops`"),
        ({"widht": 1}, "no setting of zhang-eccv16 is called 'widht'; did you mean width"),
        ({"network": 1}, "no setting of zhang-eccv16 is called 'network'"),
        ({"class_path": "x"}, "no setting of zhang-eccv16 is called 'class_path'"),
        ({"learning_rate": -1}, "--set: .*learning_rate: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_recipe("demo").with_settings(settings, ["zhang-eccv16"])


def test_settings_are_yaml_scalars() -> None:
    given = ["width=0.25", "learning_rate=1e-3", "rebalance=false", "optimizer=adam", "size=null", "note=a=b", "n=3"]
    values = {"width": 0.25, "learning_rate": 1e-3, "rebalance": False, "optimizer": "adam", "size": None}
    assert parse_settings(given) == {**values, "note": "a=b", "n": 3}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["width"], "names no value: give KEY=VALUE"),
        (["=1"], "names no value"),
        (["width=1", "width=2"], "--set width is given twice"),
        (["width={a: 1}"], "is a mapping"),
        (["width=[1"], "--set width is not YAML"),
    ],
)
def test_settings_that_cannot_be_read_are_named(given: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_settings(given)


def _rates(recipe: str, stage: str, steps: list[int], whole: int, epoch: int = 1) -> list[float]:
    settings = load_recipe(recipe).stage(stage)
    return [settings.rate(step, steps=whole, steps_an_epoch=epoch) for step in steps]


def test_linear_decay_is_that_of_the_authors_scheduler() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - max(0, epoch + 1 - 100) / 51)
    theirs = []
    for _ in range(150):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = _rates("repo", "instcolor-full", [7 * epoch + 6 for epoch in range(150)], 7 * 150, epoch=7)
    assert ours == pytest.approx(theirs)
    assert ours[99] == 5e-4 > ours[100]


def test_drops_are_where_the_authors_set_them() -> None:
    places = [0, 199_999, 200_000, 374_999, 375_000, 449_999]
    assert _rates("paper", "zhang-eccv16", places, 450_000) == [3e-5, 3e-5, 1e-5, 1e-5, 3e-6, 3e-6]
    places = [224_999, 225_000, 450_000]
    assert _rates("repo", "zhang-eccv16", places, 500_000) == [3e-5, 3e-6, 3e-7]
    assert _rates("paper", "instcolor-full", [0, 99], 100, epoch=50) == [1e-5, 1e-5]


def test_cosine_rises_and_falls() -> None:
    rates = _rates("demo", "zhang-eccv16", list(range(400)), 400)
    peak = load_recipe("demo").stage("zhang-eccv16").learning_rate
    assert rates[0] == pytest.approx(peak / 20)
    assert max(rates) == pytest.approx(peak, rel=0.01)
    assert rates[-1] < peak / 1000


def test_exponential_decay_is_that_of_the_authors_optimiser() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=3e-4)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / 500_000))
    theirs = []
    for _ in range(50):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert _rates("repo", "colorgan", list(range(50)), 1_000_000, epoch=7) == pytest.approx(theirs, rel=1e-9)
    assert _rates("repo", "colorgan", [500_000, 1_000_000], 1_100_000) == pytest.approx([3e-5, 3e-6])


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("{learning_rate: 1}", "give either steps or epochs"),
        ("{steps: 2, epochs: 2, learning_rate: 1}", "give either steps or epochs"),
        ("{steps: 2, learning_rate: 1, schedule: linear}", "decay_from goes with schedule linear"),
        ("{steps: 2, learning_rate: 1, decay_from: 1}", "decay_from goes with schedule linear"),
        ("{steps: 2, learning_rate: 1, schedule: linear, decay_from: 2}", "decay_from lies behind the end"),
        ("{steps: 2, learning_rate: 1, schedule: exponential}", "tenth_after goes with schedule exponential"),
        ("{steps: 2, learning_rate: 1, tenth_after: 9}", "tenth_after goes with schedule exponential"),
        ("{steps: 2, learning_rate: 1, schedule: cosine, drops: {1: 1}}", "drops go with schedule constant"),
    ],
)
def test_a_length_or_schedule_that_contradicts_itself_is_refused(tmp_path: Path, stage: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"id: x\nstages: {{gray: {stage}}}\n")
    with pytest.raises(UsageError, match=words):
        load_recipe(str(path))


@pytest.mark.parametrize("recipe", sorted(catalog.recipes()))
def test_settings_of_stages_exist(recipe: str) -> None:
    loaded = load_recipe(recipe)
    for name, stage in loaded.stages.items():
        tree = catalog.model_tree(name)
        assert set(stage.model) <= {*setting_names(tree), *tree["init_args"]}, name
        build_data(catalog.data_tree("synthetic"), **{"train_size": loaded.train_size, **stage.data})


def test_the_authors_figures_are_kept_apart() -> None:
    paper, repo = load_recipe("paper"), load_recipe("repo")
    stages = ["instcolor-full", "instcolor-instance", "instcolor-fusion"]
    assert [paper.stage(stage).epochs for stage in stages] == [2, 5, 2]
    assert [repo.stage(stage).epochs for stage in stages] == [150, 150, 30]
    trees = [recipe.tree("zhang-eccv16")["init_args"]["neighbours"] for recipe in (paper, repo)]
    assert trees == [5, 10]
    assert all(_widths(repo.tree(stage)) == _widths(catalog.model_tree(stage)) for stage in repo.stages)
