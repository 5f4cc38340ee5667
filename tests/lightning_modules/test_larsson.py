"""Larsson et al.: the network by the authors' prototxt, histograms by plain loops, colours by scikit-image."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr
from skimage.color import hsv2rgb, rgb2hsv
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vgg import cfgs, make_layers

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.larsson import LarssonColorizer
from lightning_modules.losses.hue_chroma import (
    HueChromaLoss,
    hue_chroma,
    mean_hue,
    median,
    to_rgb,
    window_histograms,
)
from lightning_modules.networks.larsson import BINS, LarssonNet

PROTOTXT = {
    "conv1_1": (1, 64, 3),
    "conv1_2": (64, 64, 3),
    "conv2_1": (64, 128, 3),
    "conv2_2": (128, 128, 3),
    "conv3_1": (128, 256, 3),
    "conv3_2": (256, 256, 3),
    "conv3_3": (256, 256, 3),
    "conv4_1": (256, 512, 3),
    "conv4_2": (512, 512, 3),
    "conv4_3": (512, 512, 3),
    "conv5_1": (512, 512, 3),
    "conv5_2": (512, 512, 3),
    "conv5_3": (512, 512, 3),
    "fc6": (512, 4096, 7),
    "fc7": (4096, 4096, 1),
    "h_fc1": (12417, 1024, 1),
    "prediction_h": (1024, 32, 1),
    "prediction_c": (1024, 32, 1),
}
"""Inputs, outputs and kernel of the layers in autocolorize.prototxt of the authors' repository."""

RELEASED_BYTES = 588_203_256
"""Size of the authors' file of weights, by their config.py; float32 in HDF5."""


def network(**settings: object) -> LarssonNet:
    torch.manual_seed(0)
    return LarssonNet(width=1 / 16, **settings)  # type: ignore[arg-type]  # settings as a mapping


def colorizer(**settings: object) -> LarssonColorizer:
    return LarssonColorizer(network=network(), samples=16, **settings)  # type: ignore[arg-type]  # settings as a mapping


def color_batch(side: int = 32) -> ColorBatch:
    torch.manual_seed(1)
    gray = GrayBatch(("a", "b"), 100 * torch.rand(2, 1, side, side), (Boxes.empty((side, side)),) * 2, torch.zeros(0))
    chroma = 60 * torch.rand(2, 2, side, side) - 30
    rgb = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    return ColorBatch(gray, chroma, torch.zeros(0), rgb, torch.tensor([-1, -1]), ((side, side),) * 2)


def layers(net: LarssonNet) -> Iterator[nn.Conv2d | nn.Linear]:
    yield from (each for each in net.modules() if isinstance(each, nn.Conv2d | nn.Linear))


def test_the_published_size_is_that_of_the_prototxt_and_of_the_released_file() -> None:
    with torch.device("meta"):
        net = LarssonNet()
    kernels = [getattr(each, "kernel_size", (1, 1))[0] for each in layers(net)]
    shapes = [(each.weight.shape[1], each.weight.shape[0]) for each in layers(net)]
    assert [(*shape, kernel) for shape, kernel in zip(shapes, kernels, strict=True)] == list(PROTOTXT.values())
    counted = sum(parameter.numel() for parameter in net.parameters())
    assert counted == sum(inputs * outputs * side**2 + outputs for inputs, outputs, side in PROTOTXT.values())
    assert counted == 147_041_024
    assert 0 < RELEASED_BYTES - 4 * counted < 50_000, "what HDF5 says beside the weights"


def test_the_training_network_with_batch_norm_has_no_more_parameters() -> None:
    plain, normed = network(), network(batch_norm=True)
    assert sum(each.numel() for each in plain.parameters()) == sum(each.numel() for each in normed.parameters())
    assert len(normed.norms) == 15
    assert len(plain.norms) == 0


def test_convolutions_have_the_names_of_torchvision() -> None:
    with torch.device("meta"):
        theirs, ours = make_layers(cfgs["D"]).state_dict(), LarssonNet().trunk.state_dict()
    assert list(ours) == list(theirs)
    assert [key for key in ours if ours[key].shape != theirs[key].shape] == ["0.weight"]


def test_a_hypercolumn_goes_through_all_layers() -> None:
    with torch.device("meta"):
        features = LarssonNet().features(torch.zeros(1, 1, 64, 64))
    assert sum(each.shape[1] for _, each in features) == 12_417
    assert [stride for stride, _ in features] == [1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32]
    assert all(each.shape[-1] == 64 // stride for stride, each in features)


def test_layers_are_those_of_a_plain_vgg() -> None:
    net = network(dropout=0.0)
    gray = torch.rand(1, 1, 32, 32)
    signal, found = (gray - 0.4488) / 0.226, []
    for name, layer in make_layers(cfgs["D"]).named_children():
        if isinstance(layer, nn.MaxPool2d):
            signal = functional.max_pool2d(signal, 2)
        elif isinstance(layer, nn.Conv2d):
            signal = functional.relu(net.trunk[name](signal))
            found.append(signal)
    for (_, ours), theirs in zip(net.features(gray)[1:], found, strict=False):
        torch.testing.assert_close(ours, theirs)


def caffe_sample(features: NDArray[np.float64], y: float, x: float) -> NDArray[np.float64]:
    """Return what the authors' sparse_hypercolumn_extractor_layer takes from (C, H, W) features at a place."""
    height, width = features.shape[1:]
    y, x = min(max(y, 0), height - 1.0001), min(max(x, 0), width - 1.0001)
    top, left = int(y), int(x)
    down, right = y - top, x - left
    upper = (1 - right) * features[:, top, left] + right * features[:, top, left + 1]
    lower = (1 - right) * features[:, top + 1, left] + right * features[:, top + 1, left + 1]
    return (1 - down) * upper + down * lower


def test_sparse_hypercolumns_are_taken_as_by_the_authors_layer() -> None:
    net = network().eval()
    gray, places = torch.rand(1, 1, 64, 64), torch.tensor([[[0, 0], [13, 50], [63, 63], [37, 2]]])
    wanted = [
        np.concatenate(
            [
                caffe_sample(each[0].detach().double().numpy(), (y - (s - 1) / 2) / s, (x - (s - 1) / 2) / s)
                for s, each in net.features(gray)
            ]
        )
        for y, x in places[0].tolist()
    ]
    hidden = functional.relu(net.hidden(torch.tensor(np.array(wanted)).float()))
    hue, chroma = net.at(gray, places)
    torch.testing.assert_close(hue[0], net.hue(hidden), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(chroma[0], net.chroma(hidden), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (21, 50)])
def test_dense_answers_are_distributions_at_the_size_of_the_picture(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        shares = network().eval()(torch.rand(2, 1, *size))
    for each in shares:
        assert each.shape == (2, BINS, *size)
        torch.testing.assert_close(each.sum(dim=1), torch.ones(2, *size))


def enlarged(features: Tensor, factor: int) -> Tensor:
    """Return (1, C, H, W) features enlarged as by Caffe's deconvolution with a bilinear filler."""
    side, centre = 2 * factor, factor - 0.5
    slope = 1 - (torch.arange(side) - centre).abs() / factor
    kernel = (slope[:, None] * slope)[None, None]
    each = functional.conv_transpose2d(features.transpose(0, 1), kernel, stride=factor, padding=factor // 2)
    return each.transpose(0, 1)


def test_the_dense_network_brings_layers_to_a_quarter_as_autocolorize_prototxt() -> None:
    net = network().eval()
    gray, columns = torch.rand(1, 1, 128, 128), []
    for stride, each in net.features(gray):
        columns.append(functional.avg_pool2d(each, 4 // stride) if stride < 4 else each)
        if stride > 4:
            columns[-1] = enlarged(each, stride // 4)
    hue, _ = net.classify(torch.cat(columns, dim=1).permute(0, 2, 3, 1))
    wanted = enlarged(hue.permute(0, 3, 1, 2).softmax(dim=1), 4)
    interior = np.s_[..., 32:96, 32:96]
    torch.testing.assert_close(net(gray)[0][interior], wanted[interior], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("size", [(128, 96), (116, 72)])
def test_training_looks_at_a_pixel_where_the_dense_network_does(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    ramps, strides = torch.stack([rows, columns])[None], [1, 2, 4, 8, 16, 32]
    layers = [(stride, functional.avg_pool2d(ramps, stride, ceil_mode=True)) for stride in strides]
    net, seen = network(), []

    def classify(hypercolumns: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(hypercolumns.flatten(1, -2))
        return (torch.zeros(*hypercolumns.shape[:-1], BINS),) * 2

    monkeypatch.setattr(net, "features", lambda gray: layers)
    monkeypatch.setattr(net, "classify", classify)
    net(ramps[:, :1])
    centres = functional.avg_pool2d(ramps, 4).flatten(2).transpose(1, 2)
    net.at(ramps[:, :1], centres)
    torch.testing.assert_close(seen[0], seen[1])
    places = torch.tensor([[[16, 16], [37, 22], [48, 44], [79, 40]]])
    net.at(ramps[:, :1], places)
    torch.testing.assert_close(seen[2], places.float().repeat(1, 1, len(strides)))


def test_hue_and_chroma_are_those_of_hsv() -> None:
    rgb = torch.rand(2, 3, 9, 9)
    rgb[0, :, 0] = rgb[0, :1, 0]
    rgb[1, 1:, 0] = 0
    hsv = rgb2hsv(rgb.permute(0, 2, 3, 1).numpy())
    hue, chroma = hue_chroma(rgb)
    np.testing.assert_allclose(hue, hsv[..., 0], atol=1e-5)
    np.testing.assert_allclose(chroma, hsv[..., 1] * hsv[..., 2], atol=1e-6)


def test_colours_are_made_as_in_the_release() -> None:
    gray, hue, chroma = torch.rand(2, 1, 9, 9), torch.rand(2, 9, 9), 0.5 * torch.rand(2, 9, 9)
    value = gray[:, 0] + chroma / 2
    hsv = torch.stack([hue, 2 * chroma / (2 * gray[:, 0] + chroma), value], dim=-1).clamp(0, 1)
    wanted = hsv2rgb(hsv.numpy())
    wanted = (wanted - wanted.mean(axis=-1, keepdims=True) + gray[:, 0, ..., None].numpy()).clip(0, 1)
    np.testing.assert_allclose(to_rgb(gray, hue, chroma).permute(0, 2, 3, 1), wanted, atol=2e-5)


@pytest.mark.parametrize("window", [1, 7])
def test_histograms_are_those_of_a_plain_loop(window: int) -> None:
    values = torch.rand(2, 20, 24)
    values[0, 3, 3] = 1.0
    places = torch.tensor([[[3, 3], [0, 0], [10, 23]], [[19, 23], [5, 6], [0, 12]]])
    found = window_histograms(values, places, 32, window)
    half = window // 2
    for picture in range(2):
        for number, (y, x) in enumerate(places[picture].tolist()):
            block = values[picture, max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
            counts, _ = np.histogram(block.numpy(), bins=32, range=(0, 1))
            np.testing.assert_allclose(found[picture, number], counts / counts.sum(), atol=1e-6)


@pytest.mark.parametrize(("window", "fade_ends"), [(1, False), (7, True)])
def test_the_loss_is_the_divergence_of_section_3_2(window: int, fade_ends: bool) -> None:
    torch.manual_seed(4)
    rgb, logits = torch.rand(2, 3, 16, 16), (torch.randn(2, 5, 32), torch.randn(2, 5, 32))
    gray, places = rgb.mean(dim=1, keepdim=True), torch.randint(0, 16, (2, 5, 2))
    hue, chroma = hue_chroma(rgb)
    parts = []
    for values, predicted in ((hue, logits[0]), (chroma, logits[1])):
        truth = window_histograms(values, places, 32, window).double().numpy()
        shares = np.exp(predicted.double().numpy())
        parts.append(rel_entr(truth, shares / shares.sum(axis=-1, keepdims=True)).sum(axis=-1))
    at = [(picture, y, x) for picture in range(2) for y, x in places[picture].tolist()]
    saturation = np.array([float(chroma[place]) for place in at]).reshape(2, 5)
    grays = np.array([float(gray[p, 0, y, x]) for p, y, x in at]).reshape(2, 5)
    weights = -3 * np.maximum.reduce([-grays, np.full_like(grays, -1 / 3), grays - 1]) if fade_ends else 1.0
    wanted = 5 * (saturation * parts[0]).mean() + (weights * parts[1]).mean()
    whole, by_hue, by_chroma = HueChromaLoss(5.0, window, fade_ends)(logits, gray, rgb, places)
    assert float(whole) == pytest.approx(wanted, rel=1e-5)
    assert float(5 * by_hue + by_chroma) == pytest.approx(wanted, rel=1e-5)


def test_hue_is_a_mean_on_the_circle_and_fades_where_hues_contradict() -> None:
    shares = torch.rand(1, 32, 3, 3).softmax(dim=1)
    angles = 2 * np.pi * (np.arange(32) + 0.5) / 32
    vector = (shares.double().numpy() * np.exp(1j * angles)[:, None, None]).mean(axis=1)
    hue, fading = mean_hue(shares)
    np.testing.assert_allclose(hue, (np.angle(vector) / (2 * np.pi)) % 1, atol=1e-4)
    np.testing.assert_allclose(fading, np.abs(vector).clip(0, 0.03) / 0.03, atol=1e-5)
    around_red = torch.zeros(1, 32, 1, 1)
    around_red[0, [0, 31]] = 0.5
    assert math.cos(2 * math.pi * float(mean_hue(around_red)[0])) == pytest.approx(1)


def test_the_median_lies_where_half_of_the_mass_is_reached() -> None:
    shares = torch.rand(1, 32, 4, 4).softmax(dim=1)
    sums = np.concatenate([np.zeros((1, 4, 4)), shares[0].double().numpy().cumsum(axis=0)])
    for y in range(4):
        for x in range(4):
            wanted = np.interp(0.5, sums[:, y, x], np.arange(33) / 32)
            assert float(median(shares)[0, y, x]) == pytest.approx(wanted, abs=1e-5)


def gray_answer(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Answer that nothing has any chroma, and any hue is as likely."""
    shares = torch.full((len(gray), BINS, *gray.shape[-2:]), 1e-9)
    certain = shares.clone()
    certain[:, 0] = 1
    return shares + 1 / BINS, certain


def test_a_network_without_an_opinion_leaves_the_picture_gray(monkeypatch: pytest.MonkeyPatch) -> None:
    method = colorizer(input_size=None)
    monkeypatch.setattr(method.network, "forward", gray_answer)
    assert float(method(color_batch().gray).abs().max()) < 0.01


def test_what_training_draws_follows_from_the_seed_of_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = colorizer().train(), color_batch()

    def places(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return method.places(batch)

    first = places(1)
    assert not torch.equal(places(2), first)
    monkeypatch.setattr(LarssonColorizer, "global_step", 7)
    assert torch.equal(places(1), first)
    assert 0 <= int(first.min()) <= int(first.max()) < 32


def test_validation_looks_at_the_same_pixels_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = colorizer().eval(), color_batch()
    places = method.places(batch)
    monkeypatch.setattr(LarssonColorizer, "global_step", 7)
    assert torch.equal(method.places(batch), places)
    assert places.shape == (2, 16, 2)
    assert 0 <= int(places.min()) <= int(places.max()) < 32


def test_the_solver_is_that_of_the_release() -> None:
    weights, biases = colorizer().configure_optimizers().param_groups
    assert (weights["momentum"], weights["weight_decay"], weights["lr"]) == (0.9, 5e-4, 1e-3)
    assert (biases["weight_decay"], biases["rate_ratio"]) == (0, 2.0)
    assert len(weights["params"]) == len(biases["params"]) == len(PROTOTXT)
