"""All networks against numbers that the authors' own definitions printed, run in float64 with weights made by a rule.

`golden/authors.json` says which code printed the numbers. `weights` and `light` make the same weights and pictures
here, from the frozen Mersenne twister of numpy, so that nothing of the authors is needed to repeat the comparison.
Chroma has to agree to 1e-5 of the 110 CIE units that the authors divide by: to 0.0011 CIE units.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datamodules.types import Boxes, GrayBatch
from lightning_modules.baselines.zhang import ZhangColorizer
from lightning_modules.detectors.selection import best_boxes
from lightning_modules.networks.boxtables import box_table
from lightning_modules.networks.eccv16 import Eccv16Net
from lightning_modules.networks.fusion import FusionNet
from lightning_modules.networks.siggraph import MAPS, SiggraphNet
from lightning_modules.stages.fusion import FusionColorizer

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden").joinpath("authors.json").read_text())
Filled = TypeVar("Filled", bound=nn.Module)
TOLERANCE = 1e-5
SCALE = 110.0
SIDE = 64
PHOTO = (90, 120)
"""Height and width of the photo that the boxes lie in."""

BOXES: dict[str, list[tuple[float, float, float, float]]] = {
    "overlapping": [(20, 10, 90, 80), (50, 30, 110, 85), (40, 5, 70, 50), (20, 10, 90, 80)],
    "at the borders": [(0, 0, 30, 40), (100, 60, 120, 90), (0, 80, 120, 90), (90, 0, 120, 20)],
    "one pixel thin": [(30, 10, 31, 80), (5, 40, 110, 41), (119, 89, 120, 90), (0, 0, 1, 1)],
    "none": [],
}
CROPS = 4
GAINS = {"model_out.0.weight": 0.3, "model_out.weight": 7.0, "model8.6.weight": 3.0, "conv.4.weight": 2.0}
"""Factors that keep tanh unsaturated, distributions peaked and the shares of instances apart, by the key's end."""


def weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Fill the keys of a state dict in their sorted order with uniform numbers, as strong as each kind wants them."""
    draw = np.random.RandomState(seed)
    state = {}
    for key, shape in sorted(shapes.items()):
        kind = key.rsplit(".", 1)[-1]
        if kind == "num_batches_tracked":
            state[key] = torch.tensor(0)
            continue
        middle, spread = {"running_mean": (0.4, 0.2), "running_var": (0.6, 0.4), "bias": (0.0, 0.1)}.get(
            kind, (1.0, 0.2) if len(shape) == 1 else (0.0, float(np.sqrt(6 / np.prod(shape[1:]))))
        )
        middle += 0.2 * key.endswith("conv.4.bias")
        spread *= next((gain for end, gain in GAINS.items() if key.endswith(end)), 1.0)
        numbers = middle + spread * (2 * draw.random_sample(shape) - 1)
        state[key] = torch.from_numpy(numbers.astype(np.float32))
    return state


def light(pictures: int, seed: int) -> Tensor:
    """Return pictures of noise, (pictures, 1, 64, 64), L* in [0, 100]."""
    numbers = 100 * np.random.RandomState(seed).random_sample((pictures, 1, SIDE, SIDE))
    return torch.from_numpy(numbers.astype(np.float32))


def sample(values: Tensor, numbers: int) -> list[float]:
    """Return mean, standard deviation, least and largest of a tensor, and so many of its entries at equal steps."""
    flat = values.double().flatten()
    step = len(flat) // numbers
    ends = [flat.mean(), flat.std(), flat.min(), flat.max()]
    return [float(value) for value in (*ends, *flat[step // 2 :: step][:numbers])]


def filled(network: Filled, seed: int) -> Filled:
    """Return a network made without memory, with the weights of the rule."""
    state = weights({key: tuple(value.shape) for key, value in network.state_dict().items()}, seed)
    network.load_state_dict(state, strict=True, assign=True)
    network.eval().requires_grad_(False)
    return network


@pytest.fixture(scope="module")
def full() -> SiggraphNet:
    with torch.device("meta"):
        network = SiggraphNet()
    return filled(network, GOLDEN["seeds"]["full"])


@pytest.fixture(scope="module")
def colorizer(full: SiggraphNet) -> FusionColorizer:
    with torch.device("meta"):
        instance, fusion = SiggraphNet(), FusionNet()
    instance, fusion = filled(instance, GOLDEN["seeds"]["instance"]), filled(fusion, GOLDEN["seeds"]["fusion"])
    return FusionColorizer(full=full, instance=instance, fusion=fusion, input_size=SIDE, crop_size=SIDE).eval()


def assert_golden(values: Tensor, case: str) -> None:
    """Compare with what was printed: chroma to 1e-5 of its scale, other maps to 1e-5 of their own largest entry."""
    printed = np.array(GOLDEN["cases"][case])
    scale = 1.0 if values.shape[-3] == 2 else np.abs(printed[2:4]).max()
    found = np.array(sample(values / SCALE if values.shape[-3] == 2 else values, len(printed) - 4))
    np.testing.assert_allclose(found, printed, rtol=0, atol=TOLERANCE * scale)


def boxes_of(corners: list[tuple[float, float, float, float]]) -> Boxes:
    n = len(corners)
    xyxy = torch.tensor(corners, dtype=torch.float32).reshape(n, 4)
    return Boxes(xyxy, torch.ones(n), torch.ones(n, dtype=torch.int64), PHOTO)


@torch.no_grad()
def test_full(full: SiggraphNet) -> None:
    seen: dict[str, Tensor] = {}

    def look(name: str, feature: Tensor) -> Tensor:
        seen[name] = feature
        return feature

    assert_golden(full.trace(light(1, GOLDEN["seeds"]["light"]), look), "full")
    assert_golden(full.classify(seen["conv8_3"]), "full, class head")


@torch.no_grad()
def test_instance_features(colorizer: FusionColorizer) -> None:
    features = colorizer.instance.features(light(CROPS, GOLDEN["seeds"]["crops"]))
    assert tuple(features) == MAPS
    for name, feature in features.items():
        assert_golden(feature, f"instance, {name}")
    rectified = {name for name in MAPS if GOLDEN["cases"][f"instance, {name}"][2] == 0}
    assert rectified == {"conv8_up", "conv9_up", "conv10_up"}


@torch.no_grad()
def test_fusion_of_pictures_with_different_boxes(colorizer: FusionColorizer) -> None:
    cases = [case for case in BOXES if BOXES[case]]
    pictures = light(1, GOLDEN["seeds"]["light"]).expand(len(cases), -1, -1, -1)
    crops = light(CROPS, GOLDEN["seeds"]["crops"]).repeat(len(cases), 1, 1, 1)
    chroma = colorizer(GrayBatch(tuple(cases), pictures, tuple(boxes_of(BOXES[case]) for case in cases), crops))
    for case, picture in zip(cases, chroma, strict=True):
        assert_golden(picture, f"fusion, {case}")


@torch.no_grad()
def test_no_boxes(colorizer: FusionColorizer) -> None:
    """The method gives the colours of the full network, as the authors' test does; the fusion network has its own."""
    picture, nothing = light(1, GOLDEN["seeds"]["light"]), torch.zeros(0, 1, SIDE, SIDE)
    assert_golden(colorizer(GrayBatch(("none",), picture, (boxes_of([]),), nothing)), "full")
    features = colorizer.instance.features(nothing)
    assert_golden(colorizer.fusion(picture, [boxes_of([])], features), "fusion, none")


def guide() -> Tensor:
    """Return hints on three patches, (1, 3, 64, 64): a*, b* in CIE units and their mask."""
    hints = torch.zeros(1, 3, SIDE, SIDE)
    patches = ((10, 13, 20, 23, 40, -20), (50, 51, 5, 6, -30, 60), (30, 32, 60, 61, 10, 70))
    for top, bottom, left, right, a, b in patches:
        hints[0, :, top:bottom, left:right] = torch.tensor([a, b, 1.0])[:, None, None]
    return hints


@torch.no_grad()
def test_siggraph17(full: SiggraphNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full, "mask_center", 0.0)
    picture = light(1, GOLDEN["seeds"]["light"])
    assert_golden(full(picture), "siggraph17")
    assert_golden(full(picture, guide()), "siggraph17, hints")


@torch.no_grad()
def test_eccv16() -> None:
    with torch.device("meta"):
        network = Eccv16Net()
    method = ZhangColorizer(network=filled(network, GOLDEN["seeds"]["eccv16"]), temperature=1.0, input_size=SIDE)
    gray = GrayBatch(("one",), light(1, GOLDEN["seeds"]["light"]), (boxes_of([]),), torch.zeros(0, 1, SIDE, SIDE))
    assert_golden(method.eval()(gray), "eccv16")


@pytest.mark.parametrize("case", GOLDEN["box tables"], ids=lambda case: str(case["box"]))
def test_box_tables(case: dict[str, Any]) -> None:
    """Margins to the left, right, top and bottom, width and height at four scales."""
    width, height = case["photo"]
    boxes = Boxes(torch.tensor([case["box"]]).float(), torch.ones(1), torch.ones(1, dtype=torch.int64), (height, width))
    for size, printed in case["tables"].items():
        side = int(size)
        ((left, top, right, bottom),) = box_table(boxes, (side, side))
        assert [left, side - right, top, side - bottom, right - left, bottom - top] == printed


def test_the_best_eight_boxes() -> None:
    """The authors keep the best 8, in ascending order of score, and cut corners to whole pixels."""
    case = GOLDEN["best boxes"]
    xyxy, score = torch.tensor(case["boxes"]), torch.tensor(case["scores"])
    found = Boxes(xyxy, score, torch.ones(len(score), dtype=torch.int64), (400, 400))
    kept = best_boxes(found, score_threshold=0.0, max_boxes=8)
    assert kept.xyxy.int().tolist() == case["kept"]
