"""The network of picture and instances: the authors' layers to the parameter, features as their weights expect them."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.networks.siggraph import MAPS, SiggraphNet, init_weights

CONVOLUTIONS = {
    "model1": (0, 2), "model2": (0, 2), "model3": (0, 2, 4), "model4": (0, 2, 4), "model5": (0, 2, 4),
    "model6": (0, 2, 4), "model7": (0, 2, 4), "model8up": (0,), "model8": (1, 3), "model9up": (0,), "model9": (1,),
    "model10up": (0,), "model10": (1,), "model3short8": (0,), "model2short9": (0,), "model1short10": (0,),
    "model_class": (0,), "model_out": (0,),
}  # fmt: skip
NORMS = {
    "model1": 4,
    "model2": 4,
    "model3": 6,
    "model4": 6,
    "model5": 6,
    "model6": 6,
    "model7": 6,
    "model8": 5,
    "model9": 3,
}
NORM_ENTRIES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def published() -> SiggraphNet:
    with torch.device("meta"):
        return SiggraphNet()


@pytest.fixture
def small() -> SiggraphNet:
    torch.manual_seed(0)
    network = SiggraphNet(1 / 8)
    shift_statistics(network)
    return network.eval()


def shift_statistics(network: nn.Module) -> None:
    """Give BatchNorm and biases values that a mistake in them would show through."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.05
            module.running_var = torch.rand(module.num_features) * 0.2 + 0.02
        if isinstance(module, nn.BatchNorm2d | nn.Conv2d):
            assert module.bias is not None
            nn.init.normal_(module.bias, 0.0, 0.1)


def plain_features(network: SiggraphNet, light: Tensor) -> dict[str, Tensor]:
    """Write the authors' forward down once more, with their in-place ReLU at the head of model8, 9 and 10."""

    def onward(block: nn.Module, stored: Tensor) -> Tensor:
        assert isinstance(block, nn.Sequential)
        result: Tensor = block[1:](stored.relu_())
        return result

    maps = {}
    hint = torch.zeros_like(light)
    planes = [light / 100 - 0.5, hint, hint, hint - 0.5]
    maps["conv1_2"] = network.model1(torch.cat(planes, 1))
    maps["conv2_2"] = network.model2(maps["conv1_2"][:, :, ::2, ::2])
    maps["conv3_3"] = network.model3(maps["conv2_2"][:, :, ::2, ::2])
    maps["conv4_3"] = network.model4(maps["conv3_3"][:, :, ::2, ::2])
    for before, after in pairwise((4, 5, 6, 7)):
        maps[f"conv{after}_3"] = network.get_submodule(f"model{after}")(maps[f"conv{before}_3"])
    maps["conv8_up"] = network.model8up(maps["conv7_3"]) + network.model3short8(maps["conv3_3"])
    maps["conv8_3"] = onward(network.model8, maps["conv8_up"])
    maps["conv9_up"] = network.model9up(maps["conv8_3"]) + network.model2short9(maps["conv2_2"])
    maps["conv9_3"] = onward(network.model9, maps["conv9_up"])
    maps["conv10_up"] = network.model10up(maps["conv9_3"]) + network.model1short10(maps["conv1_2"])
    maps["conv10_2"] = onward(network.model10, maps["conv10_up"])
    maps["chroma"] = 110 * network.model_out(maps["conv10_2"])
    return maps


def test_published_size(published: SiggraphNet) -> None:
    assert sum(parameter.numel() for parameter in published.parameters()) == 34_187_027
    assert sum(buffer.numel() for buffer in published.buffers()) == 5_769


def test_keys_are_the_authors(published: SiggraphNet) -> None:
    expected = {
        f"{block}.{n}.{kind}" for block, places in CONVOLUTIONS.items() for n in places for kind in ("weight", "bias")
    }
    expected |= {f"{block}.{n}.{kind}" for block, n in NORMS.items() for kind in NORM_ENTRIES}
    assert len(expected) == 107
    assert set(published.state_dict()) == expected


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("model1.0.weight", (64, 4, 3, 3)),
        ("model3.0.weight", (256, 128, 3, 3)),
        ("model8up.0.weight", (512, 256, 4, 4)),
        ("model9up.0.weight", (256, 128, 4, 4)),
        ("model10up.0.weight", (128, 128, 4, 4)),
        ("model3short8.0.weight", (256, 256, 3, 3)),
        ("model1short10.0.weight", (128, 64, 3, 3)),
        ("model_class.0.weight", (529, 256, 1, 1)),
        ("model_out.0.weight", (2, 128, 1, 1)),
    ],
)
def test_published_shapes(published: SiggraphNet, key: str, shape: tuple[int, ...]) -> None:
    assert published.state_dict()[key].shape == shape


def test_dilation(published: SiggraphNet) -> None:
    dilated = {
        name for name, module in published.named_modules() if isinstance(module, nn.Conv2d) and module.dilation[0] == 2
    }
    assert dilated == {f"model{block}.{place}" for block in (5, 6) for place in (0, 2, 4)}


def test_width_leaves_the_heads_and_four_channels() -> None:
    with torch.device("meta"):
        narrow = SiggraphNet(1 / 64, classes=313)
    assert narrow.model1[0].weight.shape == (4, 4, 3, 3)
    assert narrow.model_class[0].weight.shape == (313, 4, 1, 1)
    assert narrow.model_out[0].weight.shape == (2, 4, 1, 1)


@torch.no_grad()
def test_features_are_the_authors(small: SiggraphNet) -> None:
    small.double()
    light = torch.rand(3, 1, 64, 48, dtype=torch.float64) * 100
    features, expected = small.features(light), plain_features(small, light)
    assert tuple(features) == MAPS
    for name, feature in features.items():
        assert feature.shape[1] == small.map_channels[name]
        torch.testing.assert_close(feature, expected[name])
    torch.testing.assert_close(small(light), expected["chroma"])


@torch.no_grad()
def test_upsampled_features_are_rectified_behind_the_tap(small: SiggraphNet) -> None:
    features = small.features(torch.rand(2, 1, 32, 32) * 100)
    lowest = {name: feature.min().item() for name, feature in features.items()}
    assert [name for name in MAPS if lowest[name] == 0.0] == ["conv8_up", "conv9_up", "conv10_up"]
    seen: dict[str, float] = {}

    def look(name: str, feature: Tensor) -> Tensor:
        seen[name] = feature.min().item()
        return feature

    small.trace(torch.rand(2, 1, 32, 32) * 100, look)
    assert all(seen[name] < 0 for name in ("conv8_up", "conv9_up", "conv10_up"))


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 13), (30, 50), (64, 33)], ids=str)
def test_any_size(small: SiggraphNet, size: tuple[int, int]) -> None:
    chroma = small(torch.rand(2, 1, *size) * 100)
    assert chroma.shape == (2, 2, *size)
    assert torch.isfinite(chroma).all()


@torch.no_grad()
def test_a_batch_is_its_pictures(small: SiggraphNet) -> None:
    small.double()
    light = torch.rand(4, 1, 40, 40, dtype=torch.float64) * 100
    torch.testing.assert_close(small(light), torch.cat([small(one[None]) for one in light]))


@torch.no_grad()
def test_chroma_is_in_cie_units(small: SiggraphNet) -> None:
    small.get_parameter("model_out.0.bias").fill_(50.0)
    torch.testing.assert_close(small(torch.rand(1, 1, 16, 16) * 100), torch.full((1, 2, 16, 16), 110.0))


def test_input_planes() -> None:
    light = torch.tensor([0.0, 50.0, 100.0]).reshape(3, 1, 1, 1)
    network = SiggraphNet(1 / 64)
    assert network.planes(light).flatten(1).tolist() == [[-0.5, 0, 0, -0.5], [0, 0, 0, -0.5], [0.5, 0, 0, -0.5]]
    assert SiggraphNet(1 / 64, mask_center=0.0).planes(light)[:, 3].eq(0).all()


def test_class_head_takes_and_gives_no_gradient(small: SiggraphNet) -> None:
    features = small.features(torch.rand(1, 1, 32, 32) * 100)
    logits = small.classify(features["conv8_3"])
    assert logits.shape == (1, 529, 8, 8)
    assert not logits.requires_grad
    untrained = {name for name, parameter in small.named_parameters() if not parameter.requires_grad}
    assert untrained == {"model_class.0.weight", "model_class.0.bias"}


def test_start() -> None:
    torch.manual_seed(0)
    network = SiggraphNet(1 / 4)
    init_weights(network)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    weights = torch.cat([module.weight.detach().flatten() for module in convolutions])
    scales = torch.cat([module.weight.detach() for module in norms])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert scales.mean().item() == pytest.approx(1.0, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)
    assert all(module.bias is not None and module.bias.eq(0).all() for module in (*convolutions, *norms))
