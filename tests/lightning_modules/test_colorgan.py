"""The networks of Nazeri et al. against the authors' graph, written out by its lists, and their losses in numpy."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb
from torch import Tensor
from torch.nn import functional

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.colorgan import ColorGanColorizer, lab_scale
from lightning_modules.networks.colorgan import (
    ColorGanDiscriminator,
    ColorGanGenerator,
    PictureNorm,
    Shape,
    gray_levels,
)

ENCODERS: dict[Shape, list[tuple[int, int]]] = {
    "places365": [(64, 1), (64, 2), (128, 2), (256, 2), (512, 2), (512, 2), (512, 2), (512, 2)],
    "cifar10": [(64, 1), (128, 2), (256, 2), (512, 2), (512, 2)],
}
DECODERS: dict[Shape, list[int]] = {"places365": [512, 512, 512, 256, 128, 64, 64], "cifar10": [512, 256, 128, 64]}
JUDGE = [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
WIDTH = 1 / 16


def kernel_weights(inputs: int, outputs: int, size: int = 4, *, norm: bool = True) -> int:
    """Return how many weights a convolution has, with bias and, where it is normalised, scale and shift."""
    return size * size * inputs * outputs + outputs + (2 * outputs if norm else 0)


@pytest.mark.parametrize("shape", ["places365", "cifar10"])
def test_published_weights(shape: Shape) -> None:
    counted, inputs, passed = 0, 1, []
    for outputs, _ in ENCODERS[shape]:
        counted += kernel_weights(inputs, outputs)
        passed.append(inputs := outputs)
    for number, outputs in enumerate(DECODERS[shape]):
        counted += kernel_weights(inputs, outputs)
        inputs = outputs + passed[len(passed) - number - 2]
    counted += kernel_weights(inputs, 3, 1, norm=False)
    with torch.device("meta"):
        network = ColorGanGenerator(shape=shape)
    assert sum(each.numel() for each in network.parameters()) == counted


def test_published_weights_of_the_discriminator() -> None:
    counted, inputs = 0, 4
    for number, (outputs, _) in enumerate(JUDGE):
        counted += kernel_weights(inputs, outputs, norm=0 < number < len(JUDGE) - 1)
        inputs = outputs
    with torch.device("meta"):
        network = ColorGanDiscriminator()
        answer = network(torch.empty(1, 1, 256, 256), torch.empty(1, 3, 256, 256))
    assert sum(each.numel() for each in network.parameters()) == counted
    assert answer.shape == (1, 1, 32, 32)


def same(features: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Convolve as TensorFlow's `padding="same"` does: all that is odd of the padding goes to the end."""
    size = weight.shape[-1]
    pads: list[int] = []
    for side in reversed(features.shape[-2:]):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(features, pads), weight, bias, stride)


def same_transposed(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Transpose a convolution of stride 2, by its definition: the gradient of that convolution."""
    double = torch.zeros(len(features), weight.shape[1], *(2 * side for side in features.shape[-2:]))
    none = torch.zeros(weight.shape[0])
    image = double.requires_grad_()
    (pulled,) = torch.autograd.grad(same(image, weight, none, 2), image, features)
    return pulled + bias[:, None, None]


def normalised(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = features.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((features - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    return (features - mean) / (variance + 1e-3).sqrt() * weight[:, None, None] + bias[:, None, None]


def written_out(network: ColorGanGenerator, shape: Shape, levels: Tensor) -> Tensor:
    """Run the authors' graph on grey levels, with the weights of a network in the order in which they were made."""
    weights = [each.detach() for each in network.parameters()]
    features, layers = levels, []
    for _, stride in ENCODERS[shape]:
        kernel, bias, scale, shift, *weights = weights
        features = functional.leaky_relu(normalised(same(features, kernel, bias, stride), scale, shift), 0.2)
        layers.append(features)
    for index in range(len(DECODERS[shape])):
        kernel, bias, scale, shift, *weights = weights
        features = functional.relu(normalised(same_transposed(features, kernel, bias), scale, shift))
        features = torch.cat([layers[len(layers) - index - 2], features], dim=1)
    kernel, bias = weights
    return torch.tanh(same(features, kernel, bias, 1))


@pytest.mark.parametrize(("shape", "side", "pictures"), [("places365", 128, 3), ("cifar10", 32, 2), ("cifar10", 48, 1)])
def test_generator_is_the_authors_graph(shape: Shape, side: int, pictures: int) -> None:
    """In training it takes the statistics of the batch; one picture is its own batch."""
    torch.manual_seed(0)
    network = ColorGanGenerator(WIDTH, shape)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, PictureNorm):
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    light = torch.rand(pictures, 1, side, side) * 100
    gray = np.concatenate([light.numpy(), np.zeros((pictures, 2, side, side))], axis=1)
    levels = torch.tensor(lab2rgb(gray, channel_axis=1)[:, :1] * 255, dtype=torch.float32)
    with torch.no_grad():
        found = network.train(pictures > 1)(light)
    torch.testing.assert_close(found, written_out(network, shape, levels), atol=2e-5, rtol=1e-4)


def test_gray_has_256_levels() -> None:
    light = torch.tensor([0.0, 53.585, 100.0])[:, None, None, None]
    assert gray_levels(light).flatten().tolist() == pytest.approx([0, 128, 255], abs=0.01)


def test_discriminator_is_the_authors_graph() -> None:
    torch.manual_seed(0)
    network = ColorGanDiscriminator(WIDTH)
    light, lab = torch.rand(2, 1, 40, 32) * 100, torch.rand(2, 3, 40, 32) * 2 - 1
    weights = [each.detach() for each in network.parameters()]
    features = torch.cat([gray_levels(light), lab], dim=1)
    for index, (_, stride) in enumerate(JUDGE[:-1]):
        kernel, bias, *weights = weights
        features = same(features, kernel, bias, stride)
        if index > 0:
            scale, shift, *weights = weights
            features = normalised(features, scale, shift)
        features = functional.leaky_relu(features, 0.2)
    kernel, bias = weights
    with torch.no_grad():
        torch.testing.assert_close(network(light, lab), same(features, kernel, bias, 1), atol=1e-4, rtol=1e-4)


def test_dropout_follows_the_lists() -> None:
    drops = {
        shape: [any(isinstance(part, torch.nn.Dropout) for part in block.modules()) for block in network.decoder]
        for shape, network in ((shape, ColorGanGenerator(WIDTH, shape)) for shape in ENCODERS)
    }
    assert drops == {"places365": [False] * 7, "cifar10": [True, True, False, False]}


def colorizer() -> ColorGanColorizer:
    torch.manual_seed(0)
    return ColorGanColorizer(
        generator=ColorGanGenerator(WIDTH, "cifar10"), discriminator=ColorGanDiscriminator(WIDTH), input_size=32
    ).eval()


def batch(gray: Sequence[int] = ()) -> ColorBatch:
    """Return three pictures, those in `gray` without colour."""
    draw = torch.Generator().manual_seed(1)
    light = torch.rand(3, 1, 32, 32, generator=draw) * 100
    chroma = torch.rand(3, 2, 32, 32, generator=draw) * 120 - 60
    for index in gray:
        chroma[index] = 0
    boxes = tuple(Boxes.empty((32, 32)) for _ in range(3))
    seen = GrayBatch(("a", "b", "c"), light, boxes, torch.zeros(0, 1, 8, 8))
    rgb = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    return ColorBatch(seen, chroma, torch.zeros(0, 2, 8, 8), rgb, torch.full((3,), -1), ((32, 32),) * 3)


def cross_entropy(logits: Tensor, label: float) -> float:
    sure = 1 / (1 + np.exp(-logits.double().numpy()))
    return float(-(label * np.log(sure) + (1 - label) * np.log(1 - sure)).mean())


@pytest.mark.parametrize("gray", [(), (1,)])
def test_losses_are_their_formulas(gray: tuple[int, ...]) -> None:
    method, given = colorizer(), batch(gray)
    keep = [index for index in range(3) if index not in gray]
    with torch.no_grad():
        made = method.generate(given)
        judged, taught = method.discriminator_loss(given, made), method.loss(given)
        light, chroma = given.gray.light, given.chroma
        truth = torch.stack([light[:, 0] / 50 - 1, chroma[:, 0] / 110, chroma[:, 1] / 110], dim=1)
        real, fake = method.discriminator(light, truth)[keep], method.discriminator(light, made)[keep]
    absolute = float(np.abs(made.numpy() - truth.numpy())[keep].mean())
    assert judged["loss"].item() == pytest.approx(cross_entropy(real, 0.9) + cross_entropy(fake, 0), rel=1e-4)
    assert taught["absolute"].item() == pytest.approx(absolute, rel=1e-4)
    assert taught["loss"].item() == pytest.approx(cross_entropy(fake, 1) + 100 * absolute, rel=1e-4)


def test_gray_pictures_teach_nothing() -> None:
    method, given = colorizer().train(), batch((0, 1, 2))
    made = method.generate(given)
    losses = [method.discriminator_loss(given, made)["loss"], method.generator_loss(given, made)["loss"]]
    assert [each.item() for each in losses] == [0, 0]
    sum(losses).backward()  # type: ignore[union-attr]  # the sum of tensors is one
    assert all(each.grad is not None and not each.grad.any() for each in method.parameters())


def test_neither_side_teaches_through_the_other() -> None:
    method, given = colorizer().train(), batch()
    method.discriminator_loss(given, method.generate(given))["loss"].backward()  # type: ignore[no-untyped-call]  # it is untyped there
    assert all(each.grad is None for each in method.generator.parameters())
    assert all(each.grad is not None for each in method.discriminator.parameters())


def test_an_answer_has_nothing_to_do_with_the_batch() -> None:
    method, given = colorizer(), batch()
    with torch.inference_mode():
        together = method(given.gray)
        alone = method(GrayBatch(("a",), given.gray.light[:1], given.gray.boxes[:1], given.gray.crops))
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-4)


def test_chroma_is_the_answers_last_two_channels() -> None:
    method, given = colorizer(), batch()
    with torch.inference_mode():
        truth = lab_scale(given.gray.light, method.colorize(given.gray))
        torch.testing.assert_close(truth[:, 1:], method.generate(given)[:, 1:])
