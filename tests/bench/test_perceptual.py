import warnings
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from bench.downloads import METRIC_FILES
from bench.errors import UsageError
from bench.scoring import perceptual
from bench.scoring.perceptual import cut_out, load_lpips, lpips_values, read_backbone

MODELS: Any = torchvision.models
BUILDERS = {"squeeze": MODELS.squeezenet1_1, "alex": MODELS.alexnet}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return files of seeded backbones, in the form that torchvision publishes."""
    folder = tmp_path_factory.mktemp("backbones")
    for net, build in BUILDERS.items():
        torch.manual_seed(5)
        torch.save(build(weights=None).state_dict(), folder / f"{net}.pth")
    return {net: folder / f"{net}.pth" for net in BUILDERS}


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(0, 256, (5, 3, 48, 64), generator=generator, dtype=torch.uint8)
    other = torch.randint(-40, 41, truth.shape, generator=generator)
    return (truth.int() + other).clamp(0, 255).to(torch.uint8), truth


def build_reference(net: str, features: dict[str, Tensor]) -> Any:
    """Return the package's own network with its slices filled layer by layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    for layers in network.net.children():
        for index, layer in layers.named_children():
            prefix = f"{index}."
            layer.load_state_dict(
                {key.removeprefix(prefix): value for key, value in features.items() if key.startswith(prefix)}
            )
    return network.eval()


def reference_distance(network: Any, prediction: Tensor, truth: Tensor) -> float:
    ours, theirs = (torch.from_numpy(picture.numpy()[None] / 255.0).float() for picture in (prediction, truth))
    with torch.no_grad():
        return float(network(ours, theirs, normalize=True))


@pytest.mark.parametrize("net", BUILDERS)
def test_distances_are_those_of_the_package(
    net: str, backbones: dict[str, Path], pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "CHUNK_PIXELS", 2 * 48 * 64)
    state = torch.load(backbones[net])
    reference = build_reference(net, {k.removeprefix("features."): v for k, v in state.items()})
    values = lpips_values(load_lpips(net, backbones[net]), *pair)
    assert values.shape == (5,)
    for index, value in enumerate(values.tolist()):
        assert value > 0.001
        assert value == pytest.approx(reference_distance(reference, pair[0][index], pair[1][index]), abs=1e-6)


def test_published_distances_with_the_published_backbone(shared: Path) -> None:
    backbone = shared / "weights" / "squeezenet1_1-features.pth"
    reference = build_reference("squeeze", torch.load(backbone))
    network = load_lpips("squeeze", backbone)
    for path in sorted((shared / "data/coco/val2017").glob("*.jpg"))[:3]:
        with Image.open(path) as file:
            rgb = torch.from_numpy(np.array(file.convert("RGB").resize((256, 256)))).permute(2, 0, 1)
        gray = rgb.float().mean(0, keepdim=True).expand(3, -1, -1).round().to(torch.uint8)
        value = lpips_values(network, gray[None], rgb[None]).item()
        assert value == pytest.approx(reference_distance(reference, gray, rgb), abs=1e-5)


def test_the_same_picture_has_no_distance(backbones: dict[str, Path], pair: tuple[Tensor, Tensor]) -> None:
    assert lpips_values(load_lpips("squeeze", backbones["squeeze"]), pair[1], pair[1]).tolist() == [0] * 5


def test_the_features_alone_serve_too(backbones: dict[str, Path], pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    features = read_backbone(backbones["squeeze"])
    assert not any(name.startswith(("features", "classifier")) for name in features)
    torch.save(features, tmp_path / "features.pth")
    values = [
        lpips_values(load_lpips("squeeze", path), *pair) for path in (backbones["squeeze"], tmp_path / "features.pth")
    ]
    assert torch.equal(*values)


def test_loading_warns_of_nothing_and_draws_no_random_number(backbones: dict[str, Path]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_lpips.__wrapped__("alex", backbones["alex"])
    assert torch.equal(torch.rand(2), expected)


def test_all_three_networks_have_the_published_linear_layers(backbones: dict[str, Path]) -> None:
    for net in (
        metric.removeprefix(perceptual.PREFIX) for metric in METRIC_FILES if metric.startswith(perceptual.PREFIX)
    ):
        state = perceptual.build_lpips(net).state_dict()
        published = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth", map_location="cpu")
        assert all(torch.equal(state[name], value) for name, value in published.items())


def break_backbone(state: dict[str, Tensor], how: str) -> object:
    first = "features.0.weight"
    if how == "missing":
        return {name: value for name, value in state.items() if name != first}
    if how == "surplus":
        return {**state, "features.99.weight": torch.zeros(1)}
    if how == "shape":
        return {**state, first: torch.zeros(1)}
    return [1, 2] if how == "list" else nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "not the backbone"),
        ("surplus", r"features\.99|99\.weight"),
        ("shape", "not the backbone"),
        ("list", "no state dict"),
        ("pickle", "cannot be read safely"),
    ],
)
def test_a_wrong_backbone_is_refused(how: str, message: str, backbones: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "wrong.pth"
    torch.save(break_backbone(torch.load(backbones["squeeze"]), how), path)
    with pytest.raises(UsageError, match=message) as error:
        load_lpips("squeeze", path)
    assert str(tmp_path) not in str(error.value)


def test_cut_outs_are_resized_in_real_numbers(pair: tuple[Tensor, Tensor]) -> None:
    picture = pair[1][0]
    boxes = [(0, 0, 64, 48), (3, 5, 20, 40), (10, 10, 26, 26)]
    cutouts = cut_out(picture, boxes)
    assert cutouts.shape == (3, 3, 64, 64)
    for cutout, (left, top, right, bottom) in zip(cutouts, boxes, strict=True):
        for channel in range(3):
            plane = Image.fromarray(picture[channel, top:bottom, left:right].numpy().astype(np.float32))
            expected = np.asarray(plane.resize((64, 64), Image.Resampling.BILINEAR))
            np.testing.assert_allclose(cutout[channel].numpy(), expected, atol=1e-3)


def test_no_box_gives_no_cut_out(pair: tuple[Tensor, Tensor], backbones: dict[str, Path]) -> None:
    nothing = cut_out(pair[1][0], [])
    assert nothing.shape == (0, 3, 64, 64)
    assert lpips_values(load_lpips("squeeze", backbones["squeeze"]), nothing, nothing).shape == (0,)


@pytest.mark.parametrize("net", BUILDERS)
def test_the_least_side_is_enough_for_the_network(net: str, backbones: dict[str, Path]) -> None:
    picture = torch.zeros(1, 3, perceptual.LEAST_SIDE, perceptual.LEAST_SIDE)
    assert lpips_values(load_lpips(net, backbones[net]), picture, picture + 9).isfinite().all()


def test_autocast_does_not_reach_the_scores(backbones: dict[str, Path], pair: tuple[Tensor, Tensor]) -> None:
    network = load_lpips("squeeze", backbones["squeeze"])
    expected = lpips_values(network, *pair)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lpips_values(network, *pair), expected)
