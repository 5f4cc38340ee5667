"""The network of Zhang et al.: size, keys, decoding."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.networks.eccv16 import Eccv16Net, Eccv16RegressionNet


@pytest.fixture(scope="module")
def small() -> Eccv16Net:
    torch.manual_seed(0)
    return Eccv16Net(width=1 / 16).eval()


def test_the_published_size() -> None:
    with torch.device("meta"):
        network = Eccv16Net()
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_236_011


def test_the_regression_has_two_outputs_in_place_of_the_bins() -> None:
    with torch.device("meta"):
        network = Eccv16RegressionNet()
    released = 32_236_011
    bins, centres = 313 * (256 + 1), 313 * 2
    assert sum(parameter.numel() for parameter in network.parameters()) == released - bins - centres + 2 * (256 + 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_155_458


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 50), (5, 31)])
def test_regression_answers_in_cells_of_any_size(height: int, width: int) -> None:
    with torch.inference_mode():
        chroma = Eccv16RegressionNet(width=1 / 16).eval()(torch.full((2, 1, height, width), 30.0))
    assert chroma.shape == (2, 2, -(-height // 4), -(-width // 4))


def test_the_keys_of_the_released_weights() -> None:
    convolutions = {1: (0, 2), 2: (0, 2), **dict.fromkeys(range(3, 8), (0, 2, 4)), 8: (0, 2, 4, 6)}
    norms = {1: 4, 2: 4, **dict.fromkeys(range(3, 8), 6)}
    wanted = {f"model{block}.{at}.{part}" for block, ats in convolutions.items() for at in ats for part in WEIGHTS}
    wanted |= {f"model{block}.{at}.{part}" for block, at in norms.items() for part in (*WEIGHTS, *STATISTICS)}
    with torch.device("meta"):
        assert set(Eccv16Net().state_dict()) == wanted | {"model_out.weight"}


WEIGHTS = ("weight", "bias")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def test_the_shapes_of_the_published_layers() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Eccv16Net().state_dict().items()}
    assert shapes["model1.0.weight"] == (64, 1, 3, 3)
    assert shapes["model3.4.weight"] == (256, 256, 3, 3)
    assert shapes["model8.0.weight"] == (512, 256, 4, 4)
    assert shapes["model8.6.weight"] == (313, 256, 1, 1)
    assert shapes["model_out.weight"] == (2, 313, 1, 1)


def test_strides_and_dilations() -> None:
    with torch.device("meta"):
        network = Eccv16Net()
    found = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    assert {name for name, layer in found.items() if layer.stride == (2, 2)} == {"model1.2", "model2.2", "model3.4"}
    dilated = {f"model{block}.{at}" for block in (5, 6) for at in (0, 2, 4)}
    assert {name for name, layer in found.items() if layer.dilation == (2, 2)} == dilated


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 24), (33, 50), (5, 31), (1, 1)])
def test_logits_have_a_quarter_of_any_size(small: Eccv16Net, height: int, width: int) -> None:
    with torch.inference_mode():
        logits = small(torch.full((2, 1, height, width), 30.0))
    assert logits.shape == (2, 313, -(-height // 4), -(-width // 4))
    assert logits.isfinite().all()


@pytest.mark.parametrize("temperature", [0.05, 0.38, 1.0])
def test_decoding_is_the_annealed_mean(small: Eccv16Net, temperature: float) -> None:
    logits = torch.randn(2, 313, 3, 2, generator=torch.Generator().manual_seed(0)) * 3
    probability = softmax(logits.numpy().astype(float), axis=1)
    sharp = np.exp(np.log(probability) / temperature)
    wanted = np.einsum("bqhw,qc->bchw", sharp / sharp.sum(axis=1, keepdims=True), ab_bins().numpy().astype(float))
    np.testing.assert_allclose(small.decode(logits, temperature).detach().numpy(), wanted, atol=1e-3)


def test_a_softmax_alone_decodes_as_the_last_layers_of_the_release(small: Eccv16Net) -> None:
    logits = torch.randn(1, 313, 4, 4)
    wanted = small.model_out(logits.softmax(dim=1)) * 110
    torch.testing.assert_close(small.decode(logits, 1.0), wanted, atol=1e-4, rtol=1e-4)


def test_the_centres_are_not_trained(small: Eccv16Net) -> None:
    assert [name for name, weight in small.named_parameters() if not weight.requires_grad] == ["model_out.weight"]
    assert torch.allclose(small.model_out.weight[:, :, 0, 0].T * 110, ab_bins())
