"""Training and decoding of Zhang et al."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.color import rgb2lab
from torch.nn import functional

from datamodules.images import ImageError
from datamodules.photo_data import PhotoDataModule, Split
from datamodules.photos import Photo, PhotoSource
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.baselines.zhang import ZhangColorizer, ZhangRegression
from lightning_modules.losses.ab_bins import ab_bins
from lightning_modules.losses.color_prior import smooth_counts
from lightning_modules.losses.rebalanced import rebalanced_cross_entropy, rebalancing_weights
from lightning_modules.networks.cells import CellNetwork
from lightning_modules.networks.eccv16 import Eccv16Net, Eccv16RegressionNet


class NoiseSource:
    """Photos of 64 x 64 random pixels; the one called `broken` cannot be read."""

    categories: Mapping[int, str] = {}
    classes: Sequence[str] = ()

    def __init__(self, *keys: str) -> None:
        self.photos = tuple(Photo(key) for key in keys)
        self.asked: list[str] = []

    def read(self, key: str) -> NDArray[np.uint8]:
        self.asked.append(key)
        if key == "broken":
            raise ImageError("the file is broken")
        return np.random.default_rng(len(key)).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    def digest(self) -> str:
        return "0" * 64


class NoiseData(PhotoDataModule):
    def __init__(self, train: PhotoSource | None) -> None:
        super().__init__(train_size=64)
        self.train = train

    def source(self, split: Split) -> PhotoSource | None:
        return self.train if split == "train" else None


def method(**settings: object) -> ZhangColorizer:
    torch.manual_seed(0)
    return ZhangColorizer(network=Eccv16Net(width=1 / 16), **settings)  # type: ignore[arg-type]  # settings as a mapping


def regression(**settings: object) -> ZhangRegression:
    torch.manual_seed(0)
    return ZhangRegression(network=Eccv16RegressionNet(width=1 / 16), **settings)


def color_batch(height: int = 24, width: int = 20) -> ColorBatch:
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(2, 1, height, width, generator=generator) * 100
    chroma = torch.rand(2, 2, height, width, generator=generator) * 120 - 60
    boxes = tuple(Boxes.empty((height, width)) for _ in range(2))
    gray = GrayBatch(("a", "b"), light, boxes, torch.zeros(0, 1, 8, 8))
    rgb = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    labels = torch.full((2,), -1)
    return ColorBatch(gray, chroma, torch.zeros(0, 2, 8, 8), rgb, labels, ((height, width),) * 2)


def test_the_prior_is_that_of_the_training_photos() -> None:
    colorizer = method()
    colorizer.prepare_training(NoiseData(NoiseSource("a", "bb", "broken")))
    points = [
        rgb2lab(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))[::4, ::4, 1:].reshape(-1, 2)
        for seed in (1, 2)
    ]
    counts = np.bincount(cKDTree(ab_bins().numpy()).query(np.concatenate(points))[1], minlength=313)
    wanted = smooth_counts(torch.from_numpy(counts), ab_bins())
    np.testing.assert_allclose(colorizer.prior.probability.numpy(), wanted.numpy(), atol=1e-4)


def test_the_prior_is_counted_on_photos_spread_over_the_set() -> None:
    source = NoiseSource(*(f"{number:02}" for number in range(20)))
    method(prior_photos=4).prepare_training(NoiseData(source))
    assert source.asked == ["00", "05", "10", "15"]


def test_without_training_photos_the_prior_stays() -> None:
    colorizer = method()
    colorizer.prepare_training(NoiseData(None))
    assert torch.equal(colorizer.prior.probability, torch.full((313,), 1 / 313))


def test_the_weights_hold_network_and_prior() -> None:
    assert set(method().networks()) == {"network", "prior"}
    assert "prior.probability" in method().state_dict()


def test_the_loss_takes_the_top_left_pixel_of_each_cell() -> None:
    colorizer = method(neighbours=3).eval()
    colorizer.prior.learn([torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(0)) * 100])
    batch = color_batch(24, 18)
    weights = rebalancing_weights(colorizer.prior.probability)
    truth = batch.chroma[..., 0::4, 0::4]
    logits = colorizer.network(batch.gray.light)
    rebalanced, plain = rebalanced_cross_entropy(logits, truth, ab_bins(), weights, neighbours=3)
    parts = colorizer.loss(batch)
    torch.testing.assert_close(parts["loss"], rebalanced)
    torch.testing.assert_close(parts["cross_entropy"], plain)
    assert parts["loss"].item() != pytest.approx(parts["cross_entropy"].item(), rel=1e-3)


def test_rebalancing_is_a_setting() -> None:
    colorizer = method(rebalance=False).eval()
    colorizer.prior.learn([torch.full((2, 4, 4), 40.0)])
    parts = colorizer.loss(color_batch())
    assert parts["loss"].item() == parts["cross_entropy"].item()


def test_without_rebalancing_no_photo_is_counted() -> None:
    source = NoiseSource("a")
    colorizer = method(rebalance=False)
    colorizer.prepare_training(NoiseData(source))
    assert source.asked == []
    assert set(colorizer.networks()) == {"network"}


def test_regression_is_half_the_squared_distance_of_equation_1() -> None:
    colorizer = regression().eval()
    batch = color_batch(24, 18)
    batch.chroma[1] = 3
    truth = batch.chroma[0, :, ::4, ::4].numpy().astype(float)
    answer = colorizer.network(batch.gray.light)[0].detach().numpy().astype(float)
    wanted = 0.5 * (((answer - truth) / 110) ** 2).sum(axis=0).mean()
    assert colorizer.loss(batch)["loss"].item() == pytest.approx(wanted, rel=1e-5)


def test_regression_has_nothing_to_learn_from_gray_pictures() -> None:
    colorizer = regression()
    batch = color_batch()
    batch.chroma[:] = 0
    loss = colorizer.loss(batch)["loss"]
    torch.autograd.backward(loss)
    gradients = [weight.grad for weight in colorizer.parameters()]
    assert loss.item() == 0
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_regression_begins_near_gray() -> None:
    with torch.inference_mode():
        assert regression()(color_batch().gray).abs().max() < 50


def test_regression_takes_over_the_trunk_of_a_classification() -> None:
    trained, network = method().network, regression().network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(trained.state_dict())
    last = {"model8.6.weight", "model8.6.bias"}
    for key, value in network.state_dict().items():
        assert torch.equal(value, (before if key in last else trained.state_dict())[key]), key
    light = color_batch().gray.light
    with torch.inference_mode():
        assert torch.equal(features(network, light), features(trained, light))


def features(network: CellNetwork, light: torch.Tensor) -> torch.Tensor:
    """Return what the last convolution sees."""
    seen: list[torch.Tensor] = []
    handle = (
        network.eval().get_submodule("model8.6").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    )
    network(light)
    handle.remove()
    return seen[0]


def test_a_trunk_that_does_not_fit_is_refused() -> None:
    state = method().network.state_dict()
    del state["model3.0.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*model3\.0\.weight"):
        regression().network.load_state_dict(state)
    wider = Eccv16Net(width=1 / 8).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch for model1"):
        regression().network.load_state_dict(wider)


def test_a_regression_loads_its_own_weights_whole() -> None:
    trained, network = regression().network, Eccv16RegressionNet(width=1 / 16)
    network.load_state_dict(trained.state_dict())
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in trained.state_dict().items())


@pytest.mark.parametrize(("height", "width"), [(32, 48), (30, 21)])
def test_chroma_is_scaled_up_bilinearly(height: int, width: int) -> None:
    colorizer = method(temperature=1.0, input_size=None).eval()
    gray = color_batch(height, width).gray
    with torch.inference_mode():
        small = colorizer.network.decode(colorizer.network(gray.light), 1.0)
        wanted = functional.interpolate(small, scale_factor=4.0, mode="bilinear", align_corners=False)
        torch.testing.assert_close(colorizer(gray), wanted[:, :, :height, :width])


@pytest.mark.parametrize("make", [method, regression])
def test_the_published_solver(make: Callable[[], ZhangColorizer | ZhangRegression]) -> None:
    configured = make().configure_optimizers()
    optimizer = configured["optimizer"]
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (3e-5, 1e-3)
    assert (configured["lr_scheduler"]["scheduler"].step_size, configured["lr_scheduler"]["interval"]) == (
        225_000,
        "step",
    )


def test_the_centres_of_the_bins_are_not_optimised() -> None:
    colorizer = method()
    groups = colorizer.configure_optimizers()["optimizer"].param_groups
    assert id(colorizer.network.get_parameter("model_out.weight")) not in {
        id(weight) for group in groups for weight in group["params"]
    }


def two_colors() -> ColorBatch:
    """Return two pictures of one colour each, told apart by their light."""
    batch = color_batch(32, 32)
    batch.chroma[:] = torch.tensor([[60.0, 40], [-50, 50]])[:, :, None, None]
    batch.gray.light[0] /= 4
    return batch


@pytest.mark.parametrize(
    "colorizer",
    [
        pytest.param(lambda: method(learning_rate=3e-3, input_size=None), id="rebalanced"),
        pytest.param(lambda: method(learning_rate=3e-3, input_size=None, rebalance=False), id="class"),
        pytest.param(lambda: regression(learning_rate=3e-3, input_size=None), id="l2"),
    ],
)
def test_it_learns(colorizer: Callable[[], ZhangColorizer | ZhangRegression]) -> None:
    learner, batch = colorizer(), two_colors()
    if isinstance(learner, ZhangColorizer):
        learner.prior.learn(batch.chroma)
    optimizer = learner.configure_optimizers()["optimizer"]
    for _ in range(40):
        optimizer.zero_grad()
        torch.autograd.backward(learner.loss(batch)["loss"])
        optimizer.step()
    assert (learner.train()(batch.gray) - batch.chroma).abs().mean() < 10


def test_solver_is_that_of_the_authors() -> None:
    """Their solver.prototxt says momentum 0.9, momentum2 0.99, weight_decay 0.001, base_lr 3e-5."""
    with torch.device("meta"):
        method = ZhangRegression(network=Eccv16RegressionNet())
    solver = method.configure_optimizers()["optimizer"].defaults
    assert (solver["betas"], solver["weight_decay"], solver["lr"]) == ((0.9, 0.99), 1e-3, 3e-5)
