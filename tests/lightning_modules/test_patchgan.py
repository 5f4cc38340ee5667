"""The discriminator of patches, and the losses that its answers and maps go into."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

from lightning_modules.losses.adversarial import AdversarialLoss
from lightning_modules.losses.feature_matching import feature_matching_loss
from lightning_modules.networks.patchgan import PatchDiscriminator

PUBLISHED = [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
"""Channels and strides of the five 4 x 4 convolutions."""


@pytest.mark.parametrize(("channels", "spectral_norm"), [(2, True), (3, True), (3, False)])
def test_published_layers(channels: int, spectral_norm: bool) -> None:
    with torch.device("meta"):
        network = PatchDiscriminator(channels, spectral_norm=spectral_norm)
        maps = network(torch.empty(1, channels, 256, 256))
    counted, inputs = 0, channels
    for outputs, _ in PUBLISHED:
        counted += 4 * 4 * inputs * outputs + (0 if spectral_norm else outputs)
        inputs = outputs
    assert sum(each.numel() for each in network.parameters()) == counted
    assert [tuple(each.shape) for each in maps] == [
        (1, 64, 128, 128),
        (1, 128, 64, 64),
        (1, 256, 32, 32),
        (1, 512, 31, 31),
        (1, 1, 30, 30),
    ]


def test_an_answer_sees_70_pixels() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(1, width=1 / 16).eval()
    picture = torch.rand(1, 1, 128, 128, requires_grad=True)
    network(picture)[-1][0, 0, 6, 6].backward()
    assert picture.grad is not None
    rows, columns = picture.grad[0, 0].nonzero().unbind(1)
    sides = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    assert sides == (70, 70)


def test_weights_have_spectral_norm_one() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(3, width=1 / 16)
    with torch.no_grad():
        for _ in range(50):
            network(torch.rand(1, 3, 32, 32))
        for layer in network.layers:
            weight: Any = layer.weight
            largest = np.linalg.svd(weight.flatten(1).numpy(), compute_uv=False)[0]
            assert largest == pytest.approx(1, abs=1e-3)


def test_looking_changes_no_state() -> None:
    network = PatchDiscriminator(3, width=1 / 16).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(torch.rand(1, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def logits() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, 4, 4, generator=draw), torch.randn(3, 1, 4, 4, generator=draw)


def expected(kind: str, label: float) -> tuple[float, float, float]:
    """Return the discriminator's losses on real and made pictures and the generator's, in numpy."""
    real, fake = (each.double().numpy() for each in logits())
    if kind == "nsgan":
        sure, unsure = np.log(expit(real)), np.log(1 - expit(real))
        return (
            -(label * sure + (1 - label) * unsure).mean(),
            -np.log(1 - expit(fake)).mean(),
            -np.log(expit(fake)).mean(),
        )
    if kind == "lsgan":
        return ((expit(real) - label) ** 2).mean(), (expit(fake) ** 2).mean(), ((expit(fake) - 1) ** 2).mean()
    return np.maximum(0, 1 - real).mean(), np.maximum(0, 1 + fake).mean(), -fake.mean()


@pytest.mark.parametrize(
    ("kind", "label"), [("nsgan", 1.0), ("nsgan", 0.9), ("lsgan", 1.0), ("lsgan", 0.9), ("hinge", 1.0)]
)
def test_losses_are_their_formulas(kind: str, label: float) -> None:
    loss = AdversarialLoss(kind, label)  # type: ignore[arg-type]  # wider than its type
    real, fake = logits()
    found = (*loss.discriminator(real, fake), loss.generator(fake))
    assert [each.item() for each in found] == pytest.approx(expected(kind, label), rel=1e-5)


def test_pictures_count_by_their_shares() -> None:
    loss, (real, fake) = AdversarialLoss(), logits()
    shares = torch.tensor([0.0, 0.75, 0.25])
    second, third = loss.generator(fake[1:2]), loss.generator(fake[2:])
    torch.testing.assert_close(loss.generator(fake, shares), 0.75 * second + 0.25 * third)
    assert loss.discriminator(real, fake, torch.zeros(3))[0] == 0


@pytest.mark.parametrize(("kind", "label", "words"), [("gan", 1.0, "nsgan, lsgan, hinge"), ("hinge", 0.9, "no labels")])
def test_a_loss_that_there_is_not(kind: str, label: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AdversarialLoss(kind, label)  # type: ignore[arg-type]  # wider than its type


def test_features_are_matched_map_by_map() -> None:
    draw = np.random.default_rng(0)
    shapes = [(2, 4, 8, 8), (2, 8, 3, 3)]
    real, fake = ([draw.random(shape, dtype=np.float32) for shape in shapes] for _ in range(2))
    mean = sum(np.abs(one - other).mean() for one, other in zip(real, fake, strict=True))
    truth, made = ([torch.tensor(each, requires_grad=True) for each in maps] for maps in (real, fake))
    loss = feature_matching_loss(truth, made)
    assert loss.item() == pytest.approx(mean, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert all(each.grad is None for each in truth)
    assert all(each.grad is not None for each in made)
