"""The network of Iizuka et al. and its training."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

from datamodules.sources.scenes import GROUND_HUES
from datamodules.synthetic import SyntheticDataModule
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines import iizuka
from lightning_modules.baselines.iizuka import IizukaColorizer, scene_loss
from lightning_modules.networks.iizuka import IizukaNet
from lightning_modules.networks.output_space import Space, encode

LOW = [(1, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
MIDDLE = [(512, 512), (512, 256)]
WHOLE = [(512, 512)] * 4
COLOR = [(256, 128), (128, 64), (64, 64), (64, 32)]
DENSE = [(7 * 7 * 512, 1024), (1024, 512), (512, 256), (512, 256), (256, 205)]


def color_batch(size: int = 32, label: tuple[int, ...] = (1, 0)) -> ColorBatch:
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(len(label), 1, size, size, generator=generator) * 100
    chroma = torch.rand(len(label), 2, size, size, generator=generator) * 120 - 60
    boxes = tuple(Boxes.empty((size, size)) for _ in label)
    gray = GrayBatch(tuple(map(str, range(len(label)))), light, boxes, torch.zeros(0, 1, 8, 8))
    rgb = torch.zeros(len(label), 3, size, size, dtype=torch.uint8)
    sizes = ((size, size),) * len(label)
    return ColorBatch(gray, chroma, torch.zeros(0, 2, 8, 8), rgb, torch.tensor(label), sizes)


def network(**settings: Any) -> IizukaNet:
    torch.manual_seed(0)
    return IizukaNet(width=1 / 16, classes=3, global_size=32, **settings)


def method(**settings: Any) -> IizukaColorizer:
    return IizukaColorizer(network=network(), **settings)


def test_the_size_that_the_layer_table_gives() -> None:
    with torch.device("meta"):
        network = IizukaNet()
    normed = [(inputs * 9 + 1 + 2) * outputs for inputs, outputs in LOW + MIDDLE + WHOLE + COLOR]
    fusion = (512 + 1 + 2) * 256
    last = (32 * 9 + 1) * 2
    dense = [(inputs + 1) * outputs for inputs, outputs in DENSE]
    assert sum(parameter.numel() for parameter in network.parameters()) == sum(normed) + fusion + last + sum(dense)
    assert sum(normed) + fusion + last + sum(dense) == 42_363_247


def test_strides() -> None:
    with torch.device("meta"):
        network = IizukaNet()
    strides = [layer.stride[0] for layer in network.low.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 1, 2, 1, 2, 1]
    assert [layer.stride[0] for layer in network.whole.modules() if isinstance(layer, nn.Conv2d)] == [2, 1, 2, 1]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 40), (37, 30), (3, 50)])
def test_any_size_is_coloured(height: int, width: int) -> None:
    with torch.inference_mode():
        chroma, logits = method().eval().network(torch.rand(2, 1, height, width) * 100)
    assert chroma.shape == (2, 2, height, width)
    assert logits.shape == (2, 3)
    assert chroma.abs().max() <= 100


def count_low(network: IizukaNet, light: Tensor) -> int:
    calls: list[int] = []
    handle = network.low.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        network(light)
    handle.remove()
    return len(calls)


def test_low_level_features_are_shared_at_the_global_size() -> None:
    network = method().eval().network
    assert count_low(network, torch.rand(1, 1, 32, 32)) == 1
    assert count_low(network, torch.rand(1, 1, 40, 40)) == 2


def test_sharing_changes_nothing() -> None:
    network = method().eval().network
    light = torch.rand(2, 1, 32, 32) * 100
    with torch.inference_mode():
        low = network.low((light - 50) / 100)
        scene = network.scene(network.whole(low).flatten(1))
        fused = torch.cat([network.summary(scene)[:, :, None, None].expand(-1, -1, 4, 4), network.middle(low)], dim=1)
        wanted = (2 * network.color(network.fusion(fused)) - 1) * 100
        torch.testing.assert_close(network(light)[0], wanted)


def test_the_loss_is_squared_error_and_a_300th_of_the_scene() -> None:
    colorizer = method().eval()
    batch = color_batch(label=(2, -1))
    parts = colorizer.loss(batch)
    chroma, logits = (value.detach().numpy().astype(float) for value in colorizer.network(batch.gray.light))
    color = np.mean(((chroma + 100) / 200 - (batch.chroma.numpy() + 100) / 200) ** 2)
    scene = -log_softmax(logits, axis=1)[0, 2]
    assert parts["color"].item() == pytest.approx(color, rel=1e-5)
    assert parts["scene"].item() == pytest.approx(scene, rel=1e-5)
    assert parts["loss"].item() == pytest.approx(color + scene / 300, rel=1e-5)


def test_a_gray_picture_teaches_its_scene_but_no_colors() -> None:
    colorizer = method().eval()
    batch = color_batch(label=(2, 1))
    batch.chroma[0] /= 120
    parts = colorizer.loss(batch)
    chroma, logits = (value.detach().numpy().astype(float) for value in colorizer.network(batch.gray.light))
    color = np.mean(((chroma[1] + 100) / 200 - (batch.chroma[1].numpy() + 100) / 200) ** 2)
    assert parts["color"].item() == pytest.approx(color, rel=1e-5)
    assert parts["scene"].item() == pytest.approx(-log_softmax(logits, axis=1)[[0, 1], [2, 1]].mean(), rel=1e-5)


def test_gray_pictures_alone_move_no_color_layer() -> None:
    colorizer = method()
    batch = color_batch()
    batch.chroma[:] = 0
    parts = colorizer.loss(batch)
    torch.autograd.backward(parts["loss"])
    assert parts["color"].item() == 0
    assert touched(colorizer.network) == {"low", "whole", "scene", "classifier"}


ABLATIONS = {
    "published": {},
    "without-global-branch": {"global_branch": False},
    "yuv": {"space": "yuv"},
    "rgb": {"space": "rgb"},
}
each_ablation = pytest.mark.parametrize("settings", [pytest.param(value, id=key) for key, value in ABLATIONS.items()])


@each_ablation
@pytest.mark.parametrize("label", [(1, 0), (-1, -1)])
@pytest.mark.parametrize("scene_weight", [1 / 300, 0.0])
def test_every_parameter_gets_a_gradient(settings: dict[str, Any], label: tuple[int, ...], scene_weight: float) -> None:
    colorizer = IizukaColorizer(network=network(**settings), scene_weight=scene_weight)
    torch.autograd.backward(colorizer.loss(color_batch(label=label))["loss"])
    assert [name for name, weight in colorizer.named_parameters() if weight.grad is None] == []
    learns_scenes = label[0] >= 0 and scene_weight > 0 and settings.get("global_branch", True)
    assert ("classifier" in touched(colorizer.network)) == learns_scenes


@each_ablation
@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 30)])
def test_every_ablation_gives_chroma(settings: dict[str, Any], height: int, width: int) -> None:
    with torch.inference_mode():
        chroma, logits = network(**settings).eval()(torch.rand(2, 1, height, width) * 100)
    assert chroma.shape == (2, 2, height, width)
    assert chroma.abs().max() <= 110
    assert (logits is None) == (settings.get("global_branch") is False)


def test_without_the_global_branch_only_the_middle_level_is_fused() -> None:
    with torch.device("meta"):
        whole, local = IizukaNet(), IizukaNet(global_branch=False)
    assert {name for name, _ in local.named_children()} == {"low", "middle", "fusion", "color"}
    counts = [sum(weight.numel() for weight in each.parameters()) for each in (whole, local)]
    branch = sum((inputs * 9 + 3) * outputs for inputs, outputs in WHOLE) + sum((i + 1) * o for i, o in DENSE)
    assert counts[0] - counts[1] == branch + 256 * 256
    assert counts[1] == 6_323_106


def test_a_network_that_answers_in_rgb_has_three_outputs() -> None:
    with torch.device("meta"):
        counts = [sum(weight.numel() for weight in IizukaNet(space=space).parameters()) for space in ("lab", "rgb")]
    assert counts[1] - counts[0] == 32 * 9 + 1


@pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
def test_the_error_is_that_of_the_answer(space: Space) -> None:
    colorizer = IizukaColorizer(network=network(space=space)).eval()
    batch = color_batch()
    answer, _ = colorizer.network.answer(batch.gray.light)
    wanted = encode(space, batch.gray.light, batch.chroma)
    squares = (answer.detach().numpy().astype(float) - wanted.numpy()) ** 2
    assert colorizer.loss(batch)["color"].item() == pytest.approx(squares.mean(), rel=1e-5)


def touched(network: nn.Module) -> set[str]:
    return {
        name
        for name, part in network.named_children()
        for weight in part.parameters()
        if weight.grad is not None and weight.grad.any()
    }


def test_the_scene_reaches_neither_middle_level_nor_colours() -> None:
    colorizer = method()
    torch.autograd.backward(colorizer.loss(color_batch())["scene"])
    assert touched(colorizer.network) == {"low", "whole", "scene", "classifier"}


def test_the_colours_reach_all_but_the_classifier() -> None:
    colorizer = method()
    torch.autograd.backward(colorizer.loss(color_batch())["color"])
    assert touched(colorizer.network) == {"low", "middle", "whole", "scene", "summary", "fusion", "color"}


def test_a_batch_without_a_label_has_no_scene_part() -> None:
    colorizer = method()
    parts = colorizer.loss(color_batch(label=(-1, -1)))
    torch.autograd.backward(parts["loss"])
    assert parts["scene"].item() == 0
    assert parts["loss"].item() == parts["color"].item()
    assert "classifier" not in touched(colorizer.network)


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"network knows 3: .*--set classes=4`"):
        scene_loss(torch.zeros(2, 3), torch.tensor([3, -1]))


def test_a_process_that_refuses_a_label_has_counted_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(iizuka, "mean_count", lambda count: counted.append(int(count)))
    with pytest.raises(ValueError, match="network knows 3"):
        scene_loss(torch.zeros(2, 3), torch.tensor([3, -1]))
    assert counted == [1]


def test_a_dataset_with_more_classes_is_refused_before_the_first_step() -> None:
    data = SyntheticDataModule(train=2)
    classes = len(GROUND_HUES)
    with pytest.raises(ValueError, match=f"network knows 3: .*--set classes={classes}`"):
        method().check_data(data)
    IizukaColorizer(network=network(global_branch=False)).check_data(data)
    IizukaColorizer(network=IizukaNet(width=1 / 16, classes=classes)).check_data(data)


def test_the_published_optimiser_and_the_quick_one() -> None:
    assert isinstance(method().configure_optimizers(), torch.optim.Adadelta)
    adam = method(optimizer="adam", learning_rate=1e-3).configure_optimizers()
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["lr"] == 1e-3


@each_ablation
def test_it_learns(settings: dict[str, Any]) -> None:
    colorizer = IizukaColorizer(network=network(**settings), optimizer="adam", learning_rate=3e-3)
    batch = color_batch()
    batch.gray.light[:] = batch.gray.light / 5 + 50
    batch.gray.light[0] -= 20
    batch.chroma[:] = torch.tensor([[30.0, -20], [-25, 35]])[:, :, None, None]
    batch.chroma[..., :4, :] += 6
    optimizer = colorizer.configure_optimizers()
    first = colorizer.loss(batch)["color"].item()
    for _ in range(30):
        optimizer.zero_grad()
        torch.autograd.backward(colorizer.loss(batch)["loss"])
        optimizer.step()
    assert colorizer.loss(batch)["color"].item() < first / 3


def test_the_method_answers_at_the_size_of_the_light() -> None:
    with torch.inference_mode():
        assert method(input_size=32).eval()(color_batch(size=50).gray).shape == (2, 2, 50, 50)
