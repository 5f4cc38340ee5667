"""Recipes reach every network of a method, and say what they do not train."""

from pathlib import Path
from typing import Any

import pytest

from bench import catalog
from bench.errors import UsageError
from bench.recipe import load_recipe, parse_settings
from bench.suite import load_suite


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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
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
