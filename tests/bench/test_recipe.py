"""Recipes reach every network of a method, and say what they do not train."""

from typing import Any

import pytest

from bench import catalog
from bench.errors import UsageError
from bench.recipe import load_recipe


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


def test_unknown_recipe_and_stage() -> None:
    with pytest.raises(UsageError, match="did you mean demo"):
        load_recipe("demi")
    with pytest.raises(UsageError, match="does not train 'gray'"):
        load_recipe("demo").stage("gray")
