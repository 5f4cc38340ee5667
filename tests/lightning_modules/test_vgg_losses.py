"""Perceptual and style loss against torchvision's VGG-19 and plain loops."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from lightning_modules.losses.perceptual import PERCEPTUAL_LAYERS, PerceptualLoss, feature_maps
from lightning_modules.losses.style import REVIEW_STYLE_LAYERS, STYLE_LAYERS, StyleLoss, gram

# Where the release cuts torchvision's `vgg19().features`: index of each ReLU.
PLACES = {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu5_1": 29}
PLACES |= {"relu2_2": 8, "relu3_4": 17, "relu4_4": 26, "relu5_2": 31}


@pytest.fixture(scope="module")
def features() -> nn.Sequential:
    """Return VGG-19 as torchvision lays it out, with an eighth of its channels and random weights."""
    torch.manual_seed(0)
    narrow = [size if isinstance(size, str) else size // 8 for size in cfgs["E"]]
    layers: nn.Sequential = make_layers(narrow)
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1)
    return layers.double().requires_grad_(False)


def pictures(seed: int) -> Tensor:
    return torch.rand(2, 3, 32, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tapped(features: nn.Sequential, picture: Tensor, layers: tuple[str, ...]) -> list[np.ndarray]:
    """Run the layers by their indices in torchvision's list."""
    return [features[: PLACES[name] + 1](picture).numpy() for name in layers]


def test_layers_are_found_where_the_release_has_them(features: nn.Sequential) -> None:
    maps = feature_maps(features, pictures(0), list(PLACES))
    for name, expected in zip(PLACES, tapped(features, pictures(0), tuple(PLACES)), strict=True):
        assert np.array_equal(maps[name].numpy(), expected), name


def test_the_two_lists_of_layers() -> None:
    assert PERCEPTUAL_LAYERS == REVIEW_STYLE_LAYERS == tuple(f"relu{block}_1" for block in range(1, 6))
    assert STYLE_LAYERS == ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


def test_perceptual_loss_is_the_sum_of_mean_differences(features: nn.Sequential) -> None:
    first, second = (tapped(features, pictures(seed), PERCEPTUAL_LAYERS) for seed in (1, 2))
    expected = sum(np.abs(one - other).mean() for one, other in zip(first, second, strict=True))
    assert PerceptualLoss(features)(pictures(1), pictures(2)).item() == pytest.approx(expected, rel=1e-12)


def plain_gram(maps: np.ndarray) -> np.ndarray:
    channels, height, width = maps.shape
    result = np.zeros((channels, channels))
    for one in range(channels):
        for other in range(channels):
            result[one, other] = (maps[one] * maps[other]).sum() / (height * width * channels)
    return result


@pytest.mark.parametrize("layers", [STYLE_LAYERS, REVIEW_STYLE_LAYERS])
def test_style_loss_is_the_sum_of_mean_differences_of_gram_matrices(
    features: nn.Sequential, layers: tuple[str, ...]
) -> None:
    first, second = (tapped(features, pictures(seed), layers) for seed in (1, 2))
    expected = 0.0
    for one, other in zip(first, second, strict=True):
        differences = [np.abs(plain_gram(a) - plain_gram(b)) for a, b in zip(one, other, strict=True)]
        expected += float(np.mean(differences))
    assert StyleLoss(features, layers)(pictures(1), pictures(2)).item() == pytest.approx(expected, rel=1e-12)


def test_gram_matrices_keep_their_digits_under_autocast() -> None:
    maps = torch.rand(1, 4, 5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gram(maps.bfloat16().float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gram(maps.bfloat16().float()))


@pytest.mark.parametrize("loss", [PerceptualLoss, StyleLoss])
def test_equal_pictures_lose_nothing_and_others_teach(
    features: nn.Sequential, loss: type[PerceptualLoss | StyleLoss]
) -> None:
    picture = pictures(1).requires_grad_()
    assert loss(features)(picture, pictures(1)).item() == 0
    loss(features)(picture, pictures(2)).backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_a_layer_that_is_not_there_is_named(features: nn.Sequential) -> None:
    with pytest.raises(ValueError, match=re.escape("no layer relu3_1; its layers are relu1_1, relu1_2, relu2_1")):
        feature_maps(features[:11], pictures(0), ("relu3_1",))
