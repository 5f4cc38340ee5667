"""Every card and every configuration that ships: read, built, and tried at a small width."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import catalog
from bench.build import build_data, build_method
from bench.catalog import MethodCard, Tree
from bench.recipe import load_recipe
from bench.suite import load_suite
from datamodules.hints import made_guide
from datamodules.photo_data import PhotoDataModule
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer

CARDS = sorted((catalog.HERE / "cards").glob("*.yaml"))
CONFIGS = sorted((catalog.HERE / "configs").glob("*/*.yaml"))
MODELS = [path for path in CONFIGS if path.parent.name == "model"]
SMALL = {"width": 1 / 16, "input_size": 32, "crop_size": 32, "global_size": 32}

each_method = pytest.mark.parametrize("method", [path.stem for path in CARDS])


def small(method: str) -> Colorizer:
    """Build a method at a sixteenth of its width, for pictures of 32 pixels."""
    torch.manual_seed(0)
    return build_method(catalog.with_settings(catalog.model_tree(method), SMALL))


def batch(size: int = 32) -> ColorBatch:
    """Return two coloured pictures, the first with two boxes, the second with none."""
    torch.manual_seed(1)
    xyxy = torch.tensor([[2.0, 3.0, 20.0, 30.0], [10.0, 0.0, 32.0, 16.0]])
    boxes = Boxes(xyxy, torch.ones(2), torch.tensor([1, 18]), (size, size)), Boxes.empty((size, size))
    light, crops = 100 * torch.rand(2, 1, size, size), 100 * torch.rand(2, 1, size, size)
    gray = GrayBatch(("a", "b"), light, boxes, crops)
    chroma = torch.rand(2, 2, size, size) * 80 - 40
    rgb = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    return ColorBatch(gray, chroma, chroma.clone(), rgb, torch.tensor([-1, 0]), ((size, size),) * 2)


def synthetic() -> PhotoDataModule:
    """Return eight small scenes to train on."""
    return build_data(catalog.data_tree("synthetic"), train=8, val=2, test=2, size=64, train_size=32)


def parameters(method: Colorizer) -> list[torch.nn.Parameter]:
    return [each for network in method.networks().values() for each in network.parameters()]


@pytest.mark.parametrize("path", [*CARDS, *CONFIGS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_ids_are_kebab_case(path: Path) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", path.stem)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_card_is_valid_and_carries_its_name(path: Path) -> None:
    card = MethodCard.model_validate(catalog.read_yaml(path))
    assert card.id == path.stem


def test_every_method_has_a_card_and_a_configuration() -> None:
    assert {path.stem for path in CARDS} == {path.stem for path in MODELS} == set(catalog.methods())
    promised = "gray random zhang-eccv16 iizuka-siggraph16 instcolor-full instcolor-instance instcolor-fusion"
    assert set(promised.split()) <= set(catalog.methods())


@each_method
def test_card_names_stages_that_exist(method: str) -> None:
    card = catalog.methods()[method]
    assert card.stages[-1:] == ((method,) if card.trainable else ())
    assert set(card.stages) <= set(catalog.methods())


@each_method
def test_published_size_builds(method: str) -> None:
    with torch.device("meta"):
        built = build_method(catalog.model_tree(method))
    assert bool(parameters(built)) == catalog.methods()[method].trainable


@each_method
def test_card_says_whether_boxes_are_looked_at(method: str) -> None:
    built = small(method)
    assert built.uses_boxes == catalog.methods()[method].uses_boxes
    assert (built.crop_size is not None) == built.uses_boxes


@each_method
def test_card_says_whether_hints_are_taken(method: str) -> None:
    built, card = small(method), catalog.methods()[method]
    assert (built.hint_stop is not None or built.needs_hints) == card.uses_hints
    assert built.needs_hints == (card.track == "hints")


@each_method
def test_chroma_has_the_size_of_the_light(method: str) -> None:
    built = small(method).eval()
    built.prepare_training(synthetic())
    gray = batch(48).gray
    gray = replace(gray, guide=made_guide(gray.light, 3)) if built.needs_hints else gray
    with torch.inference_mode():
        chroma = built(gray)
    assert (chroma.shape, chroma.dtype) == ((2, 2, 48, 48), torch.float32)
    assert bool(chroma.isfinite().all())


@pytest.mark.parametrize("method", [name for name, card in catalog.methods().items() if card.trainable])
def test_loss_reaches_what_is_trained(method: str) -> None:
    built = small(method).train()
    built.prepare_training(synthetic())
    built.inherit(frozenset())
    parts: Mapping[str, Tensor] = built.loss(batch())
    assert all(part.ndim == 0 and bool(part.isfinite()) for part in parts.values())
    parts["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert any(each.grad is not None and bool(each.grad.any()) for each in parameters(built) if each.requires_grad)


@pytest.mark.parametrize("dataset", catalog.datasets())
def test_data_builds(dataset: str) -> None:
    assert isinstance(build_data(catalog.data_tree(dataset)), PhotoDataModule)


def test_promised_datasets_and_detectors_are_there() -> None:
    assert {"samples", "samples-core", "synthetic", "folder", "coco"} <= set(catalog.datasets())
    assert set(catalog.DETECTORS) == {"annotations", "yolo", "mask-rcnn", "whole-image", "none"}


@pytest.mark.parametrize("name", catalog.suites())
def test_suite_is_valid_and_carries_its_name(name: str) -> None:
    suite, _ = load_suite(name)
    assert suite.name == name


@pytest.mark.parametrize("name", catalog.recipes())
def test_recipe_trains_every_method(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.id == name
    stages = {stage for card in catalog.methods().values() for stage in card.stages}
    assert set(recipe.stages) == stages
    trees = [recipe.tree(stage) for stage in sorted(stages)]
    assert set(recipe.model) <= set().union(*map(settings, trees)), "a setting that no method has changes nothing"


def settings(tree: Tree) -> set[str]:
    """Return the names of all settings that a tree holds, however deep."""
    nested: list[Any] = [value for value in tree.values() if isinstance(value, dict)]
    return set(tree).union(*map(settings, nested))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_configuration_names_no_place_on_a_machine(path: Path) -> None:
    assert re.search(r"(^|[\s'\"])[/~]|://", path.read_text(encoding="utf-8")) is None
