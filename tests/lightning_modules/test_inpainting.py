"""Inpainting methods: what they see, what each phase trains, and what is judged."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2gray
from skimage.restoration import inpaint_biharmonic
from torch import Tensor, nn
from torch.nn import functional

from bench.inpainting.suite import model_tree
from datamodules.inpaint_batch import HoledBatch, InpaintBatch
from lightning_modules.edgeconnect import CompletionObjective, EdgeObjective, Phase
from lightning_modules.inpainting.biharmonic import BiharmonicInpainter
from lightning_modules.inpainting.edgeconnect import EdgeConnectInpainter
from lightning_modules.inpainting.mean_fill import MeanFill
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator

SIDE, WIDTH = 32, 1 / 16


def batch() -> InpaintBatch:
    """Return two pictures with a square hole, and lines everywhere."""
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    edges = (torch.rand(2, 1, SIDE, SIDE) < 0.2).float()
    hole = torch.zeros(2, 1, SIDE, SIDE)
    hole[:, :, 8:24, 4:20] = 1
    holed = HoledBatch(("a", "b"), rgb / 255 * (1 - hole) + hole, hole, edges * (1 - hole))
    return InpaintBatch(holed, rgb, edges)


def method(**settings: object) -> EdgeConnectInpainter:
    torch.manual_seed(1)
    return EdgeConnectInpainter(
        edge_network=EdgeGenerator(3, WIDTH),
        completion_network=CompletionGenerator(4, 3, WIDTH),
        edge_objective=EdgeObjective(width=WIDTH),
        completion_objective=CompletionObjective(perceptual_weight=0, style_weight=0, width=WIDTH),
        **settings,  # type: ignore[arg-type]  # settings as a mapping
    )


def reached(part: nn.Module) -> bool:
    return any(each.grad is not None and bool(each.grad.any()) for each in part.parameters())


def test_mean_fill_is_the_mean_of_what_is_known() -> None:
    given = batch()
    filled = MeanFill()(given.holed).rgb
    known = given.holed.rgb[0][:, given.holed.hole[0, 0] == 0].mean(1)
    torch.testing.assert_close(filled[0, :, 9, 9], known)
    everything = HoledBatch(("a",), torch.ones(1, 3, 4, 4), torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    assert not bool(MeanFill()(everything).rgb.any())
    assert not bool(BiharmonicInpainter()(everything).rgb.any())


def test_biharmonic_is_scikit_images() -> None:
    given = batch()
    filled = BiharmonicInpainter()(given.holed).rgb
    picture = given.holed.rgb[1].permute(1, 2, 0).double().numpy()
    expected = inpaint_biharmonic(picture, given.holed.hole[1, 0].bool().numpy(), channel_axis=-1)
    np.testing.assert_allclose(filled[1].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_a_linear_ramp_is_continued_exactly() -> None:
    ramp = torch.linspace(0, 1, SIDE).expand(1, 3, SIDE, SIDE).clone()
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., 10:20, 10:20] = 1
    filled = BiharmonicInpainter()(HoledBatch(("a",), ramp * (1 - hole) + hole, hole, hole)).rgb
    torch.testing.assert_close(filled, ramp, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("phase", "joint"), [("edges", True), ("completion", True), ("both", True), ("both", False)])
def test_each_phase_trains_its_own_networks(phase: Phase, joint: bool) -> None:
    built, given = method(joint=joint), batch()
    built.phase = phase
    made = built.generate(given)
    built.discriminator_loss(given, made)["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert not any(map(reached, built.networks().values()))
    judges = built.discriminators()
    assert (reached(judges["edges"]), reached(judges["completion"])) == (phase == "edges", phase != "edges")
    for judge in judges.values():
        judge.requires_grad_(False)
    built.generator_loss(given, made)["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert reached(built.edge_network) == (phase == "edges" or (phase == "both" and joint))
    assert reached(built.completion_network) == (phase != "edges")


def test_the_paper_trains_both_generators_at_the_end() -> None:
    assert model_tree("edgeconnect-inpainting")["init_args"]["joint"] is True
    assert method().joint


def test_a_task_is_what_is_known_and_the_truth() -> None:
    given = batch()
    task = method().task(given)
    gray = [rgb2gray(each.permute(1, 2, 0).double().numpy()) for each in (given.holed.rgb[1], given.rgb[1] / 255)]
    np.testing.assert_allclose(task.sketch[1, 0].numpy(), gray[0], atol=1e-6)
    np.testing.assert_allclose(task.gray[1, 0].numpy(), gray[1], atol=1e-6)
    assert torch.equal(task.sketch[:, 1:], torch.cat((given.holed.edges, given.holed.hole), 1))
    assert task.canvas is given.holed.rgb
    torch.testing.assert_close(task.picture * 255, given.rgb.float())
    assert torch.equal(task.edges, given.edges)


def test_losses_are_those_of_the_phase_s_pictures_and_lines() -> None:
    built, given = method().eval(), batch()
    gray = given.rgb / 255 * torch.tensor([0.2125, 0.7154, 0.0721])[:, None, None]
    drawn = built.edge_network(torch.cat((gray_of(given), given.holed.edges, given.holed.hole), 1))
    built.phase = "edges"
    found = built.generator_loss(given, built.generate(given))["loss"]
    torch.testing.assert_close(found, built.edge_objective(gray.sum(1, keepdim=True), given.edges, drawn)["loss"])
    built.phase = "completion"
    filled = built.completion_network(torch.cat((given.holed.rgb, given.edges), 1))
    judged: Tensor = built.completion_objective.discriminator(filled)[-1]
    deceived = functional.binary_cross_entropy(judged.sigmoid(), torch.ones_like(judged))
    error = (filled - given.rgb / 255).abs().mean() / (16 * 16 / SIDE**2)
    found = built.generator_loss(given, built.generate(given))["loss"]
    torch.testing.assert_close(found, error + 0.1 * deceived)
    built.phase = "both"
    lines = torch.where(given.holed.hole > 0, drawn, given.edges)
    filled = built.completion_network(torch.cat((given.holed.rgb, lines), 1))
    torch.testing.assert_close(built.generate(given).picture, filled)


def gray_of(given: InpaintBatch) -> Tensor:
    """Return the light of what is known, white in the hole."""
    return (given.holed.rgb * torch.tensor([0.2125, 0.7154, 0.0721])[:, None, None]).sum(1, keepdim=True)


def test_without_edges_no_line_reaches_the_picture() -> None:
    built, given = method(uses_edges=False).eval(), batch()
    assert built.phase == built.phase_of(0, 9) == built.phase_of(8, 9) == "completion"
    seen = built.fill(given.holed)
    erased = HoledBatch(given.holed.key, given.holed.rgb, given.holed.hole, torch.zeros_like(given.edges))
    torch.testing.assert_close(built.fill(erased).rgb, seen.rgb, rtol=0, atol=0)
    torch.testing.assert_close(built.generate(given).picture, seen.rgb, rtol=0, atol=0)
    assert seen.edges is None
    assert set(built.networks()) == set(built.discriminators()) == {"completion"}


def test_lines_are_drawn_in_the_hole_and_kept_elsewhere() -> None:
    built, given = method().eval(), batch()
    lines = built.fill(given.holed).edges
    assert lines is not None
    outside = given.holed.hole == 0
    drawn = built.edge_network(torch.cat((gray_of(given), given.holed.edges, given.holed.hole), 1))
    torch.testing.assert_close(lines[outside], given.holed.edges[outside], rtol=0, atol=0)
    torch.testing.assert_close(lines[~outside], drawn[~outside], rtol=0, atol=0)
    told = HoledBatch(given.holed.key, given.holed.rgb, given.holed.hole, given.holed.edges, given.edges)
    found = built.fill(told)
    assert found.edges is given.edges
    torch.testing.assert_close(found.rgb, built.complete(told.rgb, given.edges), rtol=0, atol=0)
