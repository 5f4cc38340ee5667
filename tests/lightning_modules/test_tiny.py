"""The networks for pictures of 64 pixels: layers, counts, sizes, and losses against plain computations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from bench import catalog
from bench.build import build_method
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.zhang import ZhangColorizer
from lightning_modules.networks.tiny import TinyCnn, TinyRegressionCnn, TinyTrunk, TinyUNet

DOWN = [
    (1, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
]
"""Inputs, outputs and stride of the 3 x 3 convolutions down to 8 x 8."""
UP = {
    False: [(512, 256, 1), (256, 256, 1), (256, 128, 1), (128, 128, 1)],
    True: [(512 + 256, 256, 1), (256, 256, 1), (256 + 128, 128, 1), (128, 128, 1)],
}
"""Those up to 32 x 32, without and with skips."""
CASES = [(TinyRegressionCnn, False, 2), (TinyCnn, False, 313), (TinyUNet, True, 313)]
METHODS = ["tiny-cnn-l2", "tiny-cnn", "tiny-cnn-rebalanced", "tiny-unet", "tiny-unet-rebalanced"]


@pytest.mark.parametrize(("network", "skips", "outputs"), CASES)
def test_layers_and_parameters(network: Callable[..., TinyTrunk], skips: bool, outputs: int) -> None:
    with torch.device("meta"):
        built = network()
    table = [*DOWN, *UP[skips]]
    convolutions = [layer for layer in built.modules() if isinstance(layer, nn.Conv2d)]
    found = [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in convolutions]
    assert found == [*table, (128, outputs, 1)]
    counted = sum(9 * inputs * channels + 2 * channels for inputs, channels, _ in table) + 129 * outputs
    assert sum(weight.numel() for weight in built.parameters()) == counted


@pytest.mark.parametrize("network", [TinyRegressionCnn, TinyUNet])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 50), (9, 8)])
def test_cells_of_two_pixels_of_any_size(network: Callable[..., TinyTrunk], height: int, width: int) -> None:
    built = network(width=1 / 16).eval()
    answer = built(torch.full((1, 1, height, width), 50.0))
    assert answer.shape[-2:] == (math.ceil(height / 2), math.ceil(width / 2))


def test_only_a_u_net_sees_details_beside_what_comes_up() -> None:
    """Without skips all that an answer knows has gone through an eighth of the side."""
    light = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 100
    for network in (TinyCnn(1 / 16).eval(), TinyUNet(1 / 16).eval()):
        network.down4.register_forward_hook(lambda _, __, features: torch.zeros_like(features))
        with torch.inference_mode():
            answer = network(light)[0, :, 8:-8, 8:-8]
        assert bool((answer.flatten(1).std(dim=1) > 1e-4).any()) == isinstance(network, TinyUNet)


def color_batch() -> ColorBatch:
    """Return two pictures of 12 x 10 random colours and one that is grey."""
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(3, 1, 12, 10, generator=generator) * 100
    chroma = torch.rand(3, 2, 12, 10, generator=generator) * 100 - 50
    chroma[2] = 2
    gray = GrayBatch(("a", "b", "c"), light, tuple(Boxes.empty((12, 10)) for _ in range(3)), torch.zeros(0, 1, 8, 8))
    rgb = torch.zeros(3, 3, 12, 10, dtype=torch.uint8)
    return ColorBatch(gray, chroma, torch.zeros(0, 2, 8, 8), rgb, torch.full((3,), -1), ((12, 10),) * 3)


def tiny(method: str) -> Colorizer:
    torch.manual_seed(0)
    return build_method(catalog.with_settings(catalog.model_tree(method), {"width": 1 / 16})).eval()


def test_regression_is_half_the_squared_distance_of_every_second_pixel() -> None:
    colorizer, batch = tiny("tiny-cnn-l2"), color_batch()
    answer = colorizer.networks()["network"](batch.gray.light).detach().numpy().astype(float)
    truth = batch.chroma.numpy().astype(float)
    squares = [
        sum(
            ((answer[picture, one, row, column] - truth[picture, one, 2 * row, 2 * column]) / 110) ** 2
            for one in (0, 1)
        )
        for picture in (0, 1)
        for row in range(6)
        for column in range(5)
    ]
    assert colorizer.loss(batch)["loss"].item() == pytest.approx(0.5 * sum(squares) / 60, rel=1e-5)


@pytest.mark.parametrize("method", METHODS[1:])
def test_classification_is_the_cross_entropy_with_five_neighbours(method: str) -> None:
    """A plain loop over cells, with weights of equation 4 where the method rebalances."""
    colorizer, batch = tiny(method), color_batch()
    assert isinstance(colorizer, ZhangColorizer)
    prior = np.random.default_rng(0).dirichlet(np.ones(313))
    colorizer.prior.probability.copy_(torch.from_numpy(prior))
    weights = 1 / (0.5 * prior + 0.5 / 313)
    weights /= (prior * weights).sum()
    bins = colorizer.bins.numpy().astype(float)
    logits = colorizer.network(batch.gray.light).detach().numpy().astype(float)
    plain, rebalanced = [], []
    for picture in (0, 1):
        for row in range(6):
            for column in range(5):
                color = batch.chroma[picture, :, 2 * row, 2 * column].numpy().astype(float)
                distances = ((bins - color) ** 2).sum(axis=1)
                near = np.argsort(distances)[:5]
                shares = softmax(-distances[near] / (2 * 5**2))
                surprise = -(shares * log_softmax(logits[picture, :, row, column])[near]).sum()
                plain.append(surprise)
                rebalanced.append(surprise * weights[near[0]])
    parts = colorizer.loss(batch)
    wanted = rebalanced if method.endswith("rebalanced") else plain
    assert parts["loss"].item() == pytest.approx(np.mean(wanted), rel=1e-4)
    assert parts["cross_entropy"].item() == pytest.approx(np.mean(plain), rel=1e-4)


def test_the_answer_is_the_annealed_mean_scaled_up_by_two() -> None:
    colorizer, batch = tiny("tiny-unet"), color_batch()
    assert isinstance(colorizer, ZhangColorizer)
    with torch.inference_mode():
        logits = colorizer.network(batch.gray.light)
        found = colorizer.colorize(batch.gray)
    shares = softmax(logits.numpy().astype(float) / 0.38, axis=1)
    mean = torch.from_numpy(np.einsum("bqhw,qc->bchw", shares, colorizer.bins.numpy())).float()
    wanted = nn.functional.interpolate(mean, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_solver_is_adam_without_decay(method: str) -> None:
    optimizer = tiny(method).configure_optimizers()["optimizer"]
    assert (optimizer.defaults["weight_decay"], optimizer.defaults["betas"]) == (0.0, (0.9, 0.999))
