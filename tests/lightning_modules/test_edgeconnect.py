"""Colorization by EdgeConnect: what each phase sees, and what it is judged by."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from skimage import feature
from skimage.color import lab2rgb
from torch import Tensor
from torch.nn import functional

from bench.catalog import model_tree
from bench.recipe import load_recipe
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.edgeconnect import EdgeConnectColorizer
from lightning_modules.edgeconnect import CompletionObjective, EdgeObjective, Phase
from lightning_modules.losses.perceptual import PerceptualLoss
from lightning_modules.losses.style import StyleLoss
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator

WIDTH = 1 / 16


def color_batch(size: int = 32) -> ColorBatch:
    """Return a picture with a patch of light and one of colour alone, and one without either."""
    light, chroma = torch.full((2, 1, size, size), 50.0), torch.zeros(2, 2, size, size)
    light[0, :, 4:14, 4:14] = 80
    chroma[0, 0, 18:28, 18:28] = 40
    boxes = tuple(Boxes.empty((size, size)) for _ in range(2))
    gray = GrayBatch(("a", "b"), light, boxes, torch.zeros(0, 1, 8, 8))
    rgb = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    return ColorBatch(gray, chroma, torch.zeros(0, 2, 8, 8), rgb, torch.tensor([-1, -1]), ((size, size),) * 2)


def method(**settings: Any) -> EdgeConnectColorizer:
    torch.manual_seed(0)
    weights: dict[str, Any] = {"perceptual_weight": 0.0, "style_weight": 0.0}
    weights |= {name: settings.pop(name) for name in weights if name in settings}
    return EdgeConnectColorizer(
        edge_network=EdgeGenerator(width=WIDTH),
        completion_network=CompletionGenerator(2, 2, width=WIDTH),
        edge_objective=EdgeObjective(width=WIDTH),
        completion_objective=CompletionObjective(width=WIDTH, **weights),
        **settings,
    )


def test_sizes_and_weights_are_the_published_ones() -> None:
    given = model_tree("edgeconnect")["init_args"]
    objective, edges = given["completion_objective"]["init_args"], given["edge_objective"]["init_args"]
    assert edges == {"kind": "nsgan", "matching_weight": 10, "width": 1}
    assert objective == {
        "kind": "nsgan",
        "absolute_weight": 1,
        "adversarial_weight": 0.1,
        "perceptual_weight": 0.1,
        "style_weight": 250,
        "width": 1,
    }
    with torch.device("meta"):
        judges = [EdgeObjective(), CompletionObjective(perceptual_weight=0, style_weight=0)]
    counts = [sum(each.numel() for each in judge.parameters()) for judge in judges]
    assert counts == [2_762_752, 2_763_776]
    assert (EdgeConnectColorizer.adam_betas, EdgeConnectColorizer.discriminator_ratio) == ((0.0, 0.9), 0.1)


def test_true_lines_are_those_of_light_and_of_colour() -> None:
    batch = color_batch()
    task = method().task(batch)
    lab = torch.cat((batch.gray.light, batch.chroma), dim=1)[0].double().numpy() / 100
    found = [feature.canny(plane, sigma=2) for plane in lab]  # type: ignore[no-untyped-call]  # it is untyped there
    assert np.array_equal(task.edges[0, 0].numpy().astype(bool), np.logical_or.reduce(found))
    assert np.array_equal(task.sketch[0, 1].numpy().astype(bool), found[0])
    assert found[0][:16, :16].any()
    assert found[1][16:, 16:].any()
    assert not found[0][16:, 16:].any()
    assert not task.edges[1].any()


def test_lines_of_a_sharper_filter_are_other_lines() -> None:
    batch = color_batch()
    assert not torch.equal(method(sigma=1.0).task(batch).edges, method(sigma=3.0).task(batch).edges)


def test_the_truth_is_the_picture_of_light_and_colour() -> None:
    batch = color_batch()
    task = method().task(batch)
    lab = torch.cat((batch.gray.light, batch.chroma), dim=1).permute(0, 2, 3, 1).numpy()
    expected = lab2rgb(lab)
    np.testing.assert_allclose(task.picture.permute(0, 2, 3, 1).numpy(), expected, atol=1e-4)
    assert torch.equal(task.sketch[:, :1] * 100, batch.gray.light)
    assert bool((task.sketch[:, 2:] == 1).all())


@pytest.mark.parametrize(("phase", "taught"), [("edges", {0}), ("completion", {1}), ("both", {0, 1})])
def test_each_phase_teaches_its_generators(phase: Phase, taught: set[int]) -> None:
    model = method()
    model.phase = phase
    model.loss(color_batch())["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    networks = model.edge_network, model.completion_network
    reached = {place for place, each in enumerate(networks) if any(one.grad is not None for one in each.parameters())}
    assert reached == taught


@pytest.mark.parametrize(("phase", "judge"), [("edges", 0), ("completion", 1), ("both", 1)])
def test_the_edge_discriminator_learns_in_the_first_phase_alone(phase: Phase, judge: int) -> None:
    model, batch = method(), color_batch()
    model.phase = phase
    model.discriminator_loss(batch, model.generate(batch))["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    learned = [any(one.grad is not None for one in each.parameters()) for each in model.discriminators().values()]
    assert learned == [judge == 0, judge == 1]
    assert not any(one.grad is not None for part in model.networks().values() for one in part.parameters())


def test_the_phases_are_shares_of_the_steps() -> None:
    model = method(edge_share=0.5, completion_share=0.25)
    phases = [model.phase_of(step, 8) for step in range(8)]
    assert phases == ["edges"] * 4 + ["completion"] * 2 + ["both"] * 2


def logits(discriminator: torch.nn.Module, picture: Tensor) -> list[Tensor]:
    maps: list[Tensor] = discriminator(picture)
    return maps


def test_loss_of_lines_written_out() -> None:
    objective = EdgeObjective(width=WIDTH).eval()
    gray, truth, made = torch.rand(3, 2, 1, 32, 32).unbind()
    real, fake = (logits(objective.discriminator, torch.cat((gray, each), dim=1)) for each in (truth, made))
    matching = sum((one - other).abs().mean() for one, other in zip(real, fake, strict=True))
    fooled = -functional.logsigmoid(fake[-1]).mean()
    torch.testing.assert_close(objective(gray, truth, made)["loss"], fooled + 10 * matching)
    judged = -(functional.logsigmoid(real[-1]).mean() + functional.logsigmoid(-fake[-1]).mean()) / 2
    torch.testing.assert_close(objective.judge(gray, truth, made)["loss"], judged)


def test_loss_of_pictures_written_out() -> None:
    torch.manual_seed(0)
    objective = CompletionObjective(width=WIDTH).eval()
    truth, made = torch.rand(2, 2, 3, 32, 32).unbind()
    missing = torch.zeros(2, 1, 32, 32)
    missing[:, :, :16, :16] = 1
    features = objective.features
    assert features is not None
    expected = 4 * (truth - made).abs().mean()
    expected -= 0.1 * functional.logsigmoid(logits(objective.discriminator, made)[-1]).mean()
    expected += 0.1 * PerceptualLoss(features)(made, truth)
    expected += 250 * StyleLoss(features)(made * missing, truth * missing)
    parts = objective(truth, made, missing)
    torch.testing.assert_close(parts["loss"], expected)
    assert set(parts) == {"loss", "absolute", "adversarial", "perceptual", "style"}


def test_vgg_is_asked_for_where_a_loss_looks_through_it() -> None:
    with torch.device("meta"):
        assert set(method(style_weight=250.0).pretrained()) == {"vgg19"}
    assert not method().pretrained()
    assert not any(one.requires_grad for one in method(style_weight=1.0).pretrained()["vgg19"].parameters())


@pytest.mark.parametrize("name", ["small", "demo"])
def test_recipes_for_machines_without_weights_ask_for_none(name: str) -> None:
    recipe = load_recipe(name)
    assert not recipe.stage("edgeconnect").pretrained
    weights = recipe.tree("edgeconnect")["init_args"]["completion_objective"]["init_args"]
    assert weights["perceptual_weight"] == weights["style_weight"] == 0


def test_colours_follow_from_the_lines_that_were_drawn() -> None:
    model, batch = method(input_size=None).eval(), color_batch()
    with torch.inference_mode():
        before = model(batch.gray)
        last = model.edge_network.decoder[-1]
        assert isinstance(last, torch.nn.Conv2d)
        torch.nn.init.constant_(last.bias, 9.0)  # type: ignore[arg-type]  # wider than its type
        after = model(batch.gray)
        flat = model(replace(batch.gray, light=torch.full_like(batch.gray.light, 50.0)))
    assert before.shape == (2, 2, 32, 32)
    assert before.abs().max() <= 100
    assert not torch.equal(before, after)
    assert not torch.equal(after[0], flat[0])
