"""Dahl's residual encoder: layers by its author's program, features by torchvision, the loss by SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.functional import gaussian_blur as torchvision_blur
from torchvision.transforms.functional import normalize

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.dahl import DahlColorizer
from lightning_modules.losses.blurred import BlurredDistance, gaussian_blur
from lightning_modules.networks.dahl import DahlNet
from lightning_modules.networks.output_space import encode

COLOR = [(512, 256, 1), (256, 128, 3), (128, 64, 3), (64, 3, 3), (3, 3, 3), (3, 2, 3)]
"""Inputs, outputs and kernel of `color4` to `color0` and `uv` in the author's program."""

ENDS = (64, 128, 256, 512)
"""Channels of the four layers of VGG-16 that batch norm is applied to."""


def network(**settings: object) -> DahlNet:
    torch.manual_seed(0)
    return DahlNet(width=1 / 16, **settings)  # type: ignore[arg-type]  # settings as a mapping


def color_batch(side: int = 32) -> ColorBatch:
    torch.manual_seed(1)
    gray = GrayBatch(("a", "b"), 100 * torch.rand(2, 1, side, side), (Boxes.empty((side, side)),) * 2, torch.zeros(0))
    chroma = 60 * torch.rand(2, 2, side, side) - 30
    rgb = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    return ColorBatch(gray, chroma, torch.zeros(0), rgb, torch.tensor([-1, -1]), ((side, side),) * 2)


def test_the_published_size_is_that_of_the_authors_layers() -> None:
    with torch.device("meta"):
        net, vgg = DahlNet(), make_layers(cfgs["D"])[:23]
    norms = 2 * sum(ENDS) + 2 * sum(outputs for _, outputs, _ in COLOR)
    wanted = norms + sum(inputs * outputs * side**2 for inputs, outputs, side in COLOR)
    trained = sum(each.numel() for each in net.parameters() if each.requires_grad)
    assert trained == wanted == 504_407
    theirs = sum(each.numel() for each in vgg.parameters())
    assert sum(each.numel() for each in net.parameters()) == wanted + theirs == 8_139_671


def test_features_are_those_of_torchvision_on_a_gray_picture() -> None:
    theirs = make_layers(cfgs["D"])[:23].eval()
    net = DahlNet()
    net.trunk.load_state_dict(
        {key: value for key, value in theirs.state_dict().items() if key in net.trunk.state_dict()}
    )
    ends = create_feature_extractor(nn.Sequential(theirs), ["0.3", "0.8", "0.15", "0.22"])
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        wanted = ends(normalize(gray.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])).values()
        for ours, other in zip(net.features(gray), wanted, strict=True):
            torch.testing.assert_close(ours, other)


def test_the_vgg_stays_as_it_was_loaded() -> None:
    method = DahlColorizer(network=network(), optimizer="adam")
    method.loss(color_batch())["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert not any(each.requires_grad for each in method.network.trunk.parameters())
    assert all(bool(each.grad.any()) for each in method.network.color4.parameters() if each.grad is not None)
    trained = {id(each) for group in method.configure_optimizers().param_groups for each in group["params"]}
    assert trained == {id(each) for each in method.parameters() if each.requires_grad}
    assert all(each.requires_grad for each in network(freeze=False).parameters())


def test_no_convolution_behind_the_vgg_has_a_bias() -> None:
    net = network()
    convolutions = [each for name, each in net.named_modules() if isinstance(each, nn.Conv2d) and "trunk" not in name]
    assert len(convolutions) == len(COLOR)
    assert all(each.bias is None for each in convolutions)


@pytest.mark.parametrize("size", [3, 5])
def test_the_blur_is_a_gaussian(size: int) -> None:
    picture = torch.rand(2, 2, 12, 15)
    interior = np.s_[..., 2:-2, 2:-2]
    np.testing.assert_allclose(
        gaussian_blur(picture, size)[interior], torchvision_blur(picture, [size, size])[interior], atol=1e-6
    )


def test_the_loss_is_the_mean_of_three_distances() -> None:
    picture, truth = torch.rand(2, 2, 12, 15), torch.rand(2, 2, 12, 15)
    wanted = np.zeros(2)
    for size, sigma in ((1, None), (3, 0.8), (5, 1.1)):
        one, other = picture.double().numpy(), truth.double().numpy()
        if sigma is not None:
            kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
            for axis in (2, 3):
                one, other = (correlate1d(each, kernel / kernel.sum(), axis, mode="nearest") for each in (one, other))
        wanted += np.sqrt(((one - other) ** 2).mean(axis=(2, 3))).mean(axis=1) / 3
    np.testing.assert_allclose(BlurredDistance()(picture, truth), wanted, rtol=1e-5)


def test_the_method_compares_u_and_v() -> None:
    method, batch = DahlColorizer(network=network()).eval(), color_batch()
    light = batch.gray.light
    gray = encode("rgb", light, torch.zeros_like(batch.chroma))[:, :1]
    truth = encode("yuv", light, batch.chroma)
    with torch.inference_mode():
        wanted = BlurredDistance()(method.network(gray), truth).mean()
        found = method.loss(batch)["loss"]
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


def test_a_perfect_answer_costs_nothing_and_gives_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = DahlColorizer(network=network(), input_size=None).eval(), color_batch()
    batch.chroma[:] = 5 * torch.rand_like(batch.chroma)
    batch.gray.light[:] = 30 + 40 * torch.rand_like(batch.gray.light)
    truth = encode("yuv", batch.gray.light, batch.chroma)
    monkeypatch.setattr(method.network, "forward", lambda gray: truth)
    assert float(method.loss(batch)["loss"]) < 1e-3
    assert float((method(batch.gray) - batch.chroma).abs().mean()) < 0.5
