"""Inpainting methods: what they see, what each phase trains, and the losses by hand."""

import numpy as np
import pytest
import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor, nn
from torch.nn import functional

from datamodules.holed_photos import to_gray
from datamodules.inpaint_batch import HoledBatch, InpaintBatch
from lightning_modules.inpainting.biharmonic import BiharmonicInpainter
from lightning_modules.inpainting.edgeconnect import EdgeConnectInpainter
from lightning_modules.inpainting.mean_fill import MeanFill
from lightning_modules.losses.perceptual import PerceptualLoss
from lightning_modules.losses.style import StyleLoss
from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator
from lightning_modules.networks.patchgan import PatchDiscriminator

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
        edge_discriminator=PatchDiscriminator(2, WIDTH),
        completion_discriminator=PatchDiscriminator(3, WIDTH),
        **settings,  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("phase", "joint"), [("edges", False), ("completion", False), ("both", False), ("both", True)])
def test_each_phase_trains_its_own_networks(phase: str, joint: bool) -> None:
    built, given = method(joint=joint), batch()
    built.phase = phase  # type: ignore[assignment]
    made = built.generate(given)
    built.discriminator_loss(given, made)["loss"].backward()  # type: ignore[no-untyped-call]
    assert not reached(built.edge_network)
    assert not reached(built.completion_network)
    assert reached(built.edge_discriminator) == (phase == "edges")
    assert reached(built.completion_discriminator) == (phase != "edges")
    built.generator_loss(given, made)["loss"].backward()  # type: ignore[no-untyped-call]
    assert reached(built.edge_network) == (phase == "edges" or joint)
    assert reached(built.completion_network) == (phase != "edges")


def test_phases_are_shares_of_the_steps() -> None:
    built = method(edge_share=0.5, completion_share=0.25)
    assert [built.phase_of(step, 8) for step in range(8)] == [*["edges"] * 4, *["completion"] * 2, *["both"] * 2]


def test_losses_of_lines_are_the_published_ones() -> None:
    built, given = method().eval(), batch()
    built.phase = "edges"
    made = built.generate(given)
    gray = to_gray(given.rgb / 255)
    real: list[Tensor] = built.edge_discriminator(torch.cat([gray, given.edges], 1))
    fake: list[Tensor] = built.edge_discriminator(torch.cat([gray, made], 1))
    deceived = functional.binary_cross_entropy(fake[-1].sigmoid(), torch.ones_like(fake[-1]))
    matching = sum(functional.l1_loss(one, other) for one, other in zip(fake, real, strict=True))
    torch.testing.assert_close(built.generator_loss(given, made)["loss"], deceived + 10 * matching)
    judged = functional.binary_cross_entropy(real[-1].sigmoid(), torch.ones_like(real[-1]))
    judged = (judged + functional.binary_cross_entropy(fake[-1].sigmoid(), torch.zeros_like(fake[-1]))) / 2
    torch.testing.assert_close(built.discriminator_loss(given, made)["loss"], judged)


def test_losses_of_pictures_are_the_published_ones() -> None:
    built, given = method().eval(), batch()
    built.phase = "completion"
    made = built.generate(given)
    fake: Tensor = built.completion_discriminator(made)[-1]
    deceived = functional.binary_cross_entropy(fake.sigmoid(), torch.ones_like(fake))
    error = (made - given.rgb / 255).abs().mean() / (16 * 16 / SIDE**2)
    torch.testing.assert_close(built.generator_loss(given, made)["loss"], error + 0.1 * deceived)


@pytest.mark.slow
def test_losses_through_vgg_have_the_published_weights() -> None:
    built, given = method().eval(), batch()
    built.phase = "completion"
    assert built.vgg is None
    made = built.generate(given).detach()
    without = built.generator_loss(given, made)["loss"]
    (features,) = built.pretrained().values()
    assert isinstance(features, nn.Sequential)
    truth, hole = given.rgb / 255, given.holed.hole
    perceptual = PerceptualLoss(features)(made, truth)
    style = StyleLoss(features)(made * hole, truth * hole)
    torch.testing.assert_close(built.generator_loss(given, made)["loss"], without + 0.1 * perceptual + 250 * style)
    assert not any(each.requires_grad for each in features.parameters())


def test_without_edges_no_line_reaches_the_picture() -> None:
    built, given = method(uses_edges=False).eval(), batch()
    built.phase = "completion"
    seen = built.fill(given.holed)
    erased = HoledBatch(given.holed.key, given.holed.rgb, given.holed.hole, torch.zeros_like(given.edges))
    torch.testing.assert_close(built.fill(erased).rgb, seen.rgb, rtol=0, atol=0)
    torch.testing.assert_close(built.generate(given), seen.rgb, rtol=0, atol=0)
    assert seen.edges is None
    assert set(built.networks()) == {"completion_network"}


def test_lines_are_drawn_in_the_hole_and_kept_elsewhere() -> None:
    built, given = method().eval(), batch()
    lines = built.fill(given.holed).edges
    assert lines is not None
    outside = given.holed.hole == 0
    torch.testing.assert_close(lines[outside], given.holed.edges[outside], rtol=0, atol=0)
    torch.testing.assert_close(lines[~outside], built.draw(given.holed)[~outside], rtol=0, atol=0)
    told = HoledBatch(given.holed.key, given.holed.rgb, given.holed.hole, given.holed.edges, given.edges)
    found = built.fill(told)
    assert found.edges is given.edges
    torch.testing.assert_close(found.rgb, built.complete(told, given.edges), rtol=0, atol=0)
