from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import catalog
from bench.build import build_method
from bench.errors import UsageError
from bench.probing.backbone import Backbone, learn_statistics
from bench.probing.layers import find_layout
from bench.probing.linear import collect
from bench.probing.photos import Batch
from bench.probing.settings import Input
from bench.progress import Advance
from lightning_modules.base import Colorizer

SMALL = {"width": 1 / 16, "input_size": 32, "crop_size": 32, "global_size": 32}
SIDE = 64

QUICK = ("zhang-eccv16", "zhang-siggraph17", "larsson-eccv16")
LEARNERS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name, card in catalog.methods().items()
    if card.trainable
]


def small(method: str) -> Colorizer:
    torch.manual_seed(0)
    return build_method(catalog.with_settings(catalog.model_tree(method), SMALL))


def pictures(count: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    light = 100 * torch.rand(count, 1, SIDE, SIDE, generator=draw)
    return torch.cat([light, 80 * torch.rand(count, 2, SIDE, SIDE, generator=draw) - 40], dim=1)


@pytest.mark.parametrize("method", LEARNERS)
def test_color_begins_as_gray_to_the_bit_in_every_network(method: str) -> None:
    gray, color = (Backbone(small(method), SIDE, variant) for variant in (Input.gray, Input.color))
    assert gray.names == color.names
    with torch.no_grad():
        one, other = gray(pictures()), color(pictures())
        assert list(one) == list(gray.names)
        assert all(torch.equal(one[name], other[name]) for name in gray.names)
        assert color.chroma is not None
        color.chroma.weight.fill_(0.1)
        changed = color(pictures())
    assert not torch.equal(changed[color.names[0]], other[color.names[0]])


def test_color_is_a_first_convolution_of_three_inputs() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.color, ("conv1",))
    first = backbone.method.networks()["network"].get_submodule("model1")
    assert isinstance(first, nn.Sequential)
    assert isinstance(first[0], nn.Conv2d)
    assert backbone.chroma is not None
    nn.init.normal_(backbone.chroma.weight)
    lab = pictures()
    planes = torch.cat([(lab[:, :1] - 50) / 100, lab[:, 1:] / 110], dim=1)
    weight = torch.cat([first[0].weight, backbone.chroma.weight], dim=1)
    with torch.no_grad():
        joined = functional.conv2d(planes, weight, first[0].bias, padding=1)
        assert torch.allclose(backbone(lab)["conv1"], first[1:](joined), atol=1e-5)


def test_colour_weights_learn() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.color, ("conv3",))
    backbone(pictures())["conv3"].square().sum().backward()
    assert backbone.chroma is not None
    assert backbone.chroma.weight.grad is not None
    assert bool(backbone.chroma.weight.grad.any())


def test_maps_are_those_of_the_blocks_one_after_another() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.gray)
    network = backbone.method.networks()["network"]
    feature = (pictures()[:, :1] - 50) / 100
    with torch.no_grad():
        maps = backbone(pictures())
        assert list(maps) == [f"conv{number}" for number in range(1, 9)]
        for number in range(1, 8):
            feature = network.get_submodule(f"model{number}")(feature)
            assert torch.equal(maps[f"conv{number}"], feature)


@pytest.mark.parametrize(
    ("method", "first", "last", "deepest"),
    [
        ("zhang-siggraph17", "conv1", "conv8", "conv7"),
        ("iizuka-siggraph16", "low1", "mid2", "mid2"),
        ("larsson-eccv16", "conv1", "fc7", "fc7"),
    ],
)
def test_layers_have_the_names_of_their_papers(method: str, first: str, last: str, deepest: str) -> None:
    layout = find_layout(small(method).eval(), SIDE)
    assert (next(iter(layout.paths)), list(layout.paths)[-1], layout.deepest()) == (first, last, deepest)


def test_unknown_layer_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no layer 'conv9' in network; it has conv1, conv2"):
        Backbone(small("zhang-eccv16"), SIDE, Input.gray, ("conv1", "conv9"))


def test_other_layers_can_be_looked_at_later() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.gray)
    with torch.no_grad():
        every = backbone(pictures())
        backbone.names = (backbone.layout.deepest(),)
        one = backbone(pictures())
    assert list(one) == ["conv7"]
    assert torch.equal(one["conv7"], every["conv7"])


def test_nothing_is_changed_by_looking() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.gray).requires_grad_(False).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}

    def batches() -> Iterator[Batch]:
        for label in range(3):
            yield Batch(("a", "b"), pictures(), ({"label": torch.tensor(label)},) * 2)

    found = collect(backbone, batches(), Advance("photos", 6, None))
    assert found["conv1"].labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not any(features.values.requires_grad for features in found.values())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_statistics_of_a_random_network_are_those_of_pictures() -> None:
    backbone = Backbone(small("zhang-eccv16"), SIDE, Input.gray, ("conv2",))
    norm = backbone.method.networks()["network"].get_submodule("model1.4")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    lab = pictures(4)
    learn_statistics(backbone, [lab[:2], lab[2:]])
    means = torch.stack([each.mean((0, 2, 3)) for each in seen]).mean(0)
    assert torch.allclose(norm.running_mean, means, atol=1e-6)
    assert (norm.training, norm.momentum) == (False, 0.1)
