"""The methods of Su et al. lend each other their networks, and each keeps its own way of using them."""

from pathlib import Path

import pytest
import torch

from bench import catalog
from bench.build import build_method
from bench.catalog import Tree, with_settings
from bench.manifest import load_manifest, load_networks, save_weights
from datamodules.types import Boxes, GrayBatch
from lightning_modules.stages.fusion import FusionColorizer

SMALL = {"width": 1 / 16, "input_size": 32, "crop_size": 32}
BOTH = ("instcolor-fusion", "instcolor-fusion-masked")


def small_tree(method: str) -> Tree:
    return with_settings(catalog.model_tree(method), SMALL)


def opened(folder: Path, method: str) -> FusionColorizer:
    built = build_method(load_manifest(folder).tree(method))
    assert isinstance(built, FusionColorizer)
    load_networks(built.networks(), folder)
    return built.eval()


@pytest.fixture
def gray() -> GrayBatch:
    torch.manual_seed(1)
    corners = torch.tensor([[0.0, 0, 40, 40], [24.0, 24, 64, 64]])
    boxes = Boxes(corners, torch.ones(2), torch.ones(2).long(), (64, 64))
    return GrayBatch(("photo",), torch.rand(1, 1, 32, 32) * 100, (boxes,), torch.rand(2, 1, 32, 32) * 100)


@torch.no_grad()
@pytest.mark.parametrize("saved", BOTH)
def test_weights_of_either_fusion_serve_the_other_with_its_own_softmax(
    tmp_path: Path, gray: GrayBatch, saved: str
) -> None:
    torch.manual_seed(0)
    networks = build_method(small_tree(saved)).networks()
    for name, parameter in networks["fusion"].named_parameters():
        if name.startswith("weight_layer"):
            torch.nn.init.normal_(parameter, 0.02, 0.1)
    save_weights(saved, small_tree(saved), networks, tmp_path, training={"seed": 0})
    assert load_manifest(tmp_path).serves("instcolor-fusion-masked")
    padded, masked = (opened(tmp_path, method) for method in BOTH)
    assert (padded.softmax, masked.softmax) == ("padded", "masked")
    states = [method.networks()["fusion"].state_dict() for method in (padded, masked)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert (padded(gray) - masked(gray)).abs().max() > 1e-3


def test_own_training_comes_before_that_of_the_family(tmp_path: Path) -> None:
    """A masked fusion that was trained with a setting of its own is opened with it."""
    trees = [small_tree(BOTH[0]), with_settings(small_tree(BOTH[1]), {"level": "decoder"})]
    for method, tree in zip(BOTH, trees, strict=True):
        save_weights(method, tree, build_method(tree).networks(), tmp_path, training={"seed": 0})
    levels = [load_manifest(tmp_path).tree(method)["init_args"]["level"] for method in BOTH]
    assert levels == ["both", "decoder"]
