"""Local hints: the phases of training, what each head teaches, the loss by a plain loop, hints that are obeyed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules.hints import reveal
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.siggraph17 import Siggraph17Colorizer
from lightning_modules.losses.ab_grid import CELLS, grid_cell
from lightning_modules.losses.absolute import AbsoluteLoss
from lightning_modules.losses.huber import HuberLoss
from lightning_modules.networks.siggraph import SiggraphNet

DECODER = ("model9", "model10", "model2short9", "model1short10", "model_out")


def build(**settings: Any) -> Siggraph17Colorizer:
    torch.manual_seed(0)
    network = SiggraphNet(1 / 16, mask_center=settings.pop("mask_center", 0.0))
    return Siggraph17Colorizer(network=network, input_size=settings.pop("input_size", None), **settings)


def batch(*gray: int, size: int = 24) -> ColorBatch:
    """Return four coloured pictures with two hints each; those named in `gray` are nearly grey."""
    torch.manual_seed(1)
    chroma = torch.rand(4, 2, size, size) * 120 - 60
    chroma[list(gray)] = torch.rand(len(gray), 2, size, size) * 2
    guide = torch.stack([reveal(each, torch.tensor([[2, 3, 6], [12, 10, 4]])) for each in chroma])
    light = 100 * torch.rand(4, 1, size, size)
    boxes = (Boxes.empty((size, size)),) * 4
    keys = tuple("abcd")
    rgb = torch.zeros(4, 3, size, size, dtype=torch.uint8)
    gray_batch = GrayBatch(keys, light, boxes, torch.zeros(0, 1, 1, 1), guide)
    return ColorBatch(gray_batch, chroma, torch.zeros(0, 2, 1, 1), rgb, torch.full((4,), -1), ((size, size),) * 4)


def gradients(method: Siggraph17Colorizer, part: str) -> set[str]:
    """Return the layers that a part of the loss reaches."""
    method.zero_grad()
    method.loss(batch())[part].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    named = method.network.named_parameters()
    return {name.split(".")[0] for name, each in named if each.grad is not None and bool(each.grad.any())}


def layers(method: Siggraph17Colorizer) -> set[str]:
    return {name.split(".")[0] for name, _ in method.network.named_parameters()}


def test_colors_teach_all_but_the_class_head() -> None:
    method = build()
    assert gradients(method, "regression") == layers(method) - {"model_class"}
    assert gradients(method, "cross_entropy") == {"model_class"}


def test_classes_teach_the_trunk_first() -> None:
    method = build()
    method.classifying = True
    decoder = {name for name in layers(method) if name.startswith(DECODER)}
    assert gradients(method, "regression") == decoder
    assert gradients(method, "cross_entropy") == layers(method) - decoder


def trainer(steps: int) -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False)


@pytest.mark.parametrize(("step", "classifying"), [(0, True), (4, True), (5, False), (9, False)])
def test_phase_hangs_on_the_step_alone(step: int, classifying: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(class_share=0.5)
    method.trainer = trainer(10)
    monkeypatch.setattr(Siggraph17Colorizer, "global_step", step)
    method.on_train_batch_start(batch(), 0)
    assert method.classifying is classifying


def test_phases_need_an_end() -> None:
    method = build()
    method.trainer = trainer(-1)
    with pytest.raises(ValueError, match="give max_steps or max_epochs"):
        method.on_train_batch_start(batch(), 0)


@pytest.mark.parametrize("classifying", [False, True])
@pytest.mark.parametrize("gray", [(), (0, 1, 2, 3)], ids=str)
def test_every_parameter_takes_part(classifying: bool, gray: tuple[int, ...]) -> None:
    method = build()
    method.classifying = classifying
    method.loss(batch(*gray))["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    waiting = [name for name, each in method.named_parameters() if each.requires_grad and each.grad is None]
    assert waiting == []


def test_grid_is_the_authors() -> None:
    centres = torch.arange(-110.0, 111.0, 10.0)
    chroma = torch.stack(torch.meshgrid(centres, centres, indexing="ij"))[None]
    assert grid_cell(chroma).flatten().tolist() == list(range(CELLS**2))
    shifted = chroma + torch.tensor([4.9, -4.9])[None, :, None, None]
    assert torch.equal(grid_cell(shifted), grid_cell(chroma))


@pytest.mark.parametrize("gray", [(), (1,), (0, 3), (0, 1, 2, 3)], ids=str)
def test_loss_is_the_sum_over_colored_pictures(gray: tuple[int, ...]) -> None:
    method = build(class_weight=0.5).eval()
    given = batch(*gray)
    with torch.no_grad():
        parts = method.loss(given)
        chroma, logits = method.network.both_heads(given.gray.light, given.gray.guide, classify=False)
    regression, cross_entropy = [], []
    for picture in sorted({0, 1, 2, 3} - set(gray)):
        error = np.abs(chroma[picture].numpy() - given.chroma[picture].numpy()) / 110
        regression.append(10 * error.sum(axis=0).mean())
        a, b = np.rint((given.chroma[picture, :, ::4, ::4].numpy() + 110) / 10).astype(int)
        shares = logits[picture].double().softmax(0).numpy()
        rows, columns = np.indices(a.shape)
        cross_entropy.append(-np.log(shares[a * 23 + b, rows, columns]).mean())
    expected = [float(np.mean(each)) if each else 0.0 for each in (regression, cross_entropy)]
    found = [float(parts["regression"]), float(parts["cross_entropy"])]
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(found[0] + 0.5 * found[1], rel=1e-6)


def test_absolute_loss_is_huber_without_its_round_bottom() -> None:
    chroma, truth = (torch.rand(2, 2, 8, 8) * 50 for _ in range(2))
    torch.testing.assert_close(AbsoluteLoss()(chroma, truth), HuberLoss(delta=1e-6)(chroma, truth))


def test_hints_come_in_while_colors_are_learnt() -> None:
    method, given = build().eval(), batch()
    free = replace(given, gray=replace(given.gray, guide=None))
    assert method.loss(given)["loss"] != method.loss(free)["loss"]
    method.classifying = True
    assert method.loss(given)["loss"] == method.loss(free)["loss"]


@torch.no_grad()
@pytest.mark.parametrize("mask_center", [0.0, 0.5])
def test_an_empty_guide_is_no_guide(mask_center: float) -> None:
    method, gray = build(mask_center=mask_center).eval(), batch().gray
    empty = replace(gray, guide=torch.zeros(4, 3, 24, 24))
    torch.testing.assert_close(method(empty), method(replace(gray, guide=None)))
    assert not torch.allclose(method(gray), method(empty))


@torch.no_grad()
def test_hints_follow_the_light_to_the_input_size() -> None:
    method = build(input_size=16).eval()
    gray = batch().gray
    seen = method.at_input_size(gray)
    assert seen.guide is not None
    assert seen.guide.shape == (4, 3, 16, 16)
    assert method(gray).shape == (4, 2, 24, 24)
    assert not torch.allclose(method(gray), method(replace(gray, guide=None)))


def test_hints_can_be_learnt_to_be_obeyed() -> None:
    """A network that sees a patch of colour learns in a few steps to give it back; one that sees none cannot."""
    method = build()
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    draw = torch.Generator().manual_seed(2)

    def flat(guided: bool) -> tuple[GrayBatch, Tensor]:
        chroma = (torch.rand(8, 2, 1, 1, generator=draw) * 120 - 60).expand(8, 2, 16, 16)
        guide = torch.stack([reveal(each, torch.tensor([[5, 5, 6]])) for each in chroma]) if guided else None
        boxes = (Boxes.empty((16, 16)),) * 8
        return GrayBatch(
            tuple("abcdefgh"), torch.full((8, 1, 16, 16), 50.0), boxes, torch.zeros(0, 1, 1, 1), guide
        ), chroma

    for _ in range(60):
        gray, chroma = flat(guided=True)
        loss = (method(gray) - chroma).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        errors = [float((method(gray) - chroma).abs().mean()) for gray, chroma in (flat(True), flat(False))]
    assert errors[0] < 0.6 * errors[1]
