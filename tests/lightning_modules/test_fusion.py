"""The fusion network: equal to a plain version that pads every map to full size, stacks them and takes the softmax."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.types import Boxes
from lightning_modules.networks.blending import Softmax, blend, cover_shares, softmax_shares
from lightning_modules.networks.boxtables import Placement, box_span, box_table
from lightning_modules.networks.fusion import (
    WEIGHT_LAYERS,
    FusionNet,
    Level,
    WeightGenerator,
    Weighting,
    trained_parts,
)
from lightning_modules.networks.siggraph import MAPS, SiggraphNet

HERE = torch.device("cpu")
PHOTO = (90, 120)
BOXES: dict[str, list[tuple[float, ...]]] = {
    "none": [],
    "one": [(20, 10, 90, 80)],
    "overlapping": [(20, 10, 90, 80), (50, 30, 110, 85), (40, 5, 70, 50), (20, 10, 90, 80)],
    "at the borders": [(0, 0, 30, 40), (100, 60, 120, 90), (0, 80, 120, 90), (90, 0, 120, 20)],
    "thin": [(30, 10, 31, 80), (5, 40, 110, 40.9), (119, 89, 120, 90), (0, 0, 0.5, 0.5)],
    "whole and eight": [(0, 0, 120, 90), *((12 * n, 8 * n, 12 * n + 30, 8 * n + 24) for n in range(7))],
}

each_softmax = pytest.mark.parametrize("softmax", ["padded", "masked"])


def boxes_of(corners: Sequence[tuple[float, ...]], size: tuple[int, int] = PHOTO) -> Boxes:
    n = len(corners)
    xyxy = torch.tensor(corners, dtype=torch.float32).reshape(n, 4)
    return Boxes(xyxy, torch.ones(n), torch.ones(n, dtype=torch.int64), size)


def authors_table(boxes: Boxes, size: int, axis: int) -> list[tuple[int, int]]:
    """Return start and end of each box as the published test set computes them."""
    table = []
    for box in boxes.xyxy.int().tolist():
        length = boxes.image_size[1 - axis]
        start, end = (int(box[place] / length * size) for place in (axis, axis + 2))
        if end - start < 1:
            if size - end > 1:
                end += 1
            else:
                start -= 1
        table.append((start, end))
    return table


def plain_layer(
    layer: WeightGenerator, crops: Tensor, background: Tensor, boxes: Boxes, softmax: Softmax = "padded"
) -> Tensor:
    """Fuse one picture's map, (1, C, H, W), with its crops': each map padded to full size, stacked, softmax."""
    outside = -torch.inf if softmax == "masked" else 0.0
    height, width = background.shape[-2:]
    logits, features, union = [], [], torch.zeros(1, 1, height, width, dtype=background.dtype)
    columns, rows = authors_table(boxes, width, 0), authors_table(boxes, height, 1)
    for index, ((left, right), (top, bottom)) in enumerate(zip(columns, rows, strict=True)):
        crop = crops[index : index + 1]
        margins, size = (left, width - right, top, height - bottom), (bottom - top, right - left)
        resized = functional.interpolate(layer.simple_instance_conv(crop), size, mode="bilinear")
        logits.append(functional.pad(resized, margins, value=outside))
        features.append(functional.pad(functional.interpolate(crop, size, mode="bilinear"), margins))
        union[..., top:bottom, left:right] = 1
    logits.append(layer.simple_bg_conv(background) + (1 - union) * 1e5)
    shares = torch.softmax(torch.cat(logits, 1), 1).transpose(0, 1)
    return (torch.cat([*features, background]) * shares).sum(0, keepdim=True)


def plain_fusion(
    network: FusionNet,
    light: Tensor,
    boxes: Boxes,
    features: dict[str, Tensor],
    softmax: Softmax = "padded",
    maps: Sequence[str] = MAPS,
) -> Tensor:
    """Run the fusion network on one picture with plain layers; a block's layers are the tested ones."""

    def fuse(name: str, background: Tensor) -> Tensor:
        layer = network.get_submodule(WEIGHT_LAYERS[name])
        assert isinstance(layer, WeightGenerator)
        return plain_layer(layer, features[name], background, boxes, softmax) if name in maps else background

    return network.trace(light, fuse)


@pytest.fixture(scope="module")
def published() -> FusionNet:
    with torch.device("meta"):
        return FusionNet()


@pytest.fixture
def small() -> FusionNet:
    torch.manual_seed(0)
    network = FusionNet(1 / 8).eval()
    for name, parameter in network.named_parameters():
        if name.startswith("weight_layer"):
            nn.init.normal_(parameter, 0.02, 0.3 if name.endswith("bias") else 0.1)
    return network


@pytest.fixture
def instance() -> SiggraphNet:
    torch.manual_seed(1)
    return SiggraphNet(1 / 8).eval()


def test_published_size(published: FusionNet) -> None:
    assert sum(parameter.numel() for parameter in published.parameters()) == 35_270_831
    trained = [parameter for name in trained_parts() for parameter in published.get_submodule(name).parameters()]
    assert sum(parameter.numel() for parameter in trained) == 1_226_108


def test_keys_are_the_authors(published: FusionNet) -> None:
    layers = {f"weight_layer{n}" for n in ("", *"234567", "8_1", "8_2", "9_1", "9_2", "10_1", "10_2", "out")}
    stacks = [
        f"simple_{kind}_conv.{n}.{entry}" for kind in ("instance", "bg") for n in "024" for entry in ("weight", "bias")
    ]
    with torch.device("meta"):
        trunk = set(SiggraphNet().state_dict())
    keys = set(published.state_dict())
    assert len(keys) == 275
    assert keys - trunk == {f"{layer}.{entry}" for layer in layers for entry in stacks}
    assert trunk <= keys


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        ("weight_layer", 23_394),
        ("weight_layer2", 41_826),
        ("weight_layer3", 78_690),
        *((f"weight_layer{n}", 152_418) for n in (4, 5, 6, 7)),
        *((f"weight_layer8_{n}", 78_690) for n in (1, 2)),
        *((f"weight_layer{n}_{m}", 41_826) for n in (9, 10) for m in (1, 2)),
        ("weight_layerout", 5_538),
    ],
)
def test_weight_layers(published: FusionNet, layer: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in published.get_submodule(layer).parameters()) == parameters


def test_unused_layer_takes_no_gradient(published: FusionNet) -> None:
    assert not any(parameter.requires_grad for parameter in published.weight_layerout.parameters())


# Left, right, top and bottom margin, width and height as the authors' `get_box_info` printed them for sizes 256 and 32.
@pytest.mark.parametrize(
    ("box", "photo", "at_256", "at_32"),
    [
        ((10, 20, 200, 150), (333, 217), (7, 103, 23, 80, 146, 153), (0, 13, 2, 10, 19, 20)),
        ((0, 0, 333, 217), (333, 217), (0, 0, 0, 0, 256, 256), (0, 0, 0, 0, 32, 32)),
        ((40, 30, 41.9, 200), (333, 217), (30, 225, 35, 21, 1, 200), (3, 28, 4, 3, 1, 25)),
        ((332, 216, 333, 217), (333, 217), (255, 0, 254, 0, 1, 2), (31, 0, 31, 0, 1, 1)),
        ((300.9, 5, 332, 6.9), (333, 217), (230, 1, 5, 249, 25, 2), (28, 1, 0, 31, 3, 1)),
        ((12, 11, 13, 12), (500, 375), (6, 249, 7, 248, 1, 1), (0, 31, 0, 31, 1, 1)),
        ((29, 0, 58, 99), (100, 100), (74, 108, 0, 3, 74, 253), (9, 14, 0, 1, 9, 31)),
    ],
)
def test_box_tables_are_the_authors(
    box: tuple[float, ...], photo: tuple[int, int], at_256: tuple[int, ...], at_32: tuple[int, ...]
) -> None:
    for size, expected in ((256, at_256), (32, at_32)):
        ((left, top, right, bottom),) = box_table(boxes_of([box], (photo[1], photo[0])), (size, size))
        assert (left, size - right, top, size - bottom, right - left, bottom - top) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 8, 31])
def test_every_box_has_a_pixel_of_any_map(size: int) -> None:
    for low in range(-3, 12):
        for high in range(low, 14):
            start, end = box_span(low + 0.4, high + 0.6, 10, size)
            assert 0 <= start < end <= size


@pytest.mark.parametrize("crop_size", [(16, 16), (5, 9), (1, 1)], ids=str)
def test_placement_resizes_as_interpolate(crop_size: tuple[int, int]) -> None:
    boxes = [boxes_of(BOXES["overlapping"]), boxes_of([]), boxes_of(BOXES["thin"])]
    placement = Placement.of(boxes, (45, 60), crop_size, HERE)
    maps = torch.rand(8, *crop_size)
    placed = placement.resize(maps)
    assert placement.most == 4
    union = torch.zeros(3, 45, 60, dtype=torch.bool)
    for index, picture, slot, rows, columns in placement.regions():
        size = (rows.stop - rows.start, columns.stop - columns.start)
        expected = torch.zeros(45, 60)
        expected[rows, columns] = functional.interpolate(maps[None, None, index], size, mode="bilinear")[0, 0]
        torch.testing.assert_close(placed[index], expected, atol=1e-6, rtol=0)
        assert placement.inside[index].sum() == size[0] * size[1]
        assert placement.inside[index][rows, columns].all()
        assert (picture, slot) == (0 if index < 4 else 2, index % 4)
        union[picture] |= placement.inside[index]
    assert torch.equal(placement.union[:, 0], union)


@torch.no_grad()
@each_softmax
@pytest.mark.parametrize("corners", BOXES.values(), ids=BOXES.keys())
def test_one_layer_is_the_plain_one(corners: list[tuple[float, ...]], softmax: Softmax) -> None:
    torch.manual_seed(0)
    layer, boxes, channels = WeightGenerator(6), boxes_of(corners), 6
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 0.05, 0.2)
    crops, background = torch.randn(len(corners), channels, 32, 32), torch.randn(1, channels, 32, 32)
    placement = Placement.of([boxes], (32, 32), (32, 32), HERE)
    logits, background_logits = layer(crops, background)
    fused = blend(crops, background, softmax_shares(logits, background_logits, placement, softmax), placement)
    torch.testing.assert_close(fused, plain_layer(layer, crops, background, boxes, softmax), atol=1e-5, rtol=0)
    outside = ~placement.union.expand_as(fused)
    assert torch.equal(fused[outside], background[outside]), "outside of all boxes nothing may change"
    assert len(corners) == 0 or not torch.equal(fused, background)


def test_share_of_one_box_among_many() -> None:
    """With equal logits, a pixel in one of N boxes keeps 2 / (N + 1) of its features: the published washing-out."""
    corners = [(0, 0, 60, 90), *((60, 0, 120, 90) for _ in range(7))]
    placement = Placement.of([boxes_of(corners)], (16, 16), (4, 4), HERE)
    shares = softmax_shares(torch.zeros(8, 1, 4, 4), torch.zeros(1, 1, 16, 16), placement)
    torch.testing.assert_close(shares, torch.full((1, 9, 16, 16), 1 / 9))


def test_masked_shares_go_to_the_boxes_that_are_there() -> None:
    corners = [(0, 0, 60, 90), *((60, 0, 120, 90) for _ in range(7))]
    placement = Placement.of([boxes_of(corners)], (16, 16), (4, 4), HERE)
    shares = softmax_shares(torch.zeros(8, 1, 4, 4), torch.zeros(1, 1, 16, 16), placement, "masked")
    alone, together = shares[0, :, 8, 3], shares[0, :, 8, 12]
    torch.testing.assert_close(alone, torch.tensor([0.5, *[0.0] * 7, 0.5]))
    torch.testing.assert_close(together, torch.tensor([0.0, *[1 / 8] * 8]))


def test_boxes_share_what_they_cover_evenly() -> None:
    boxes = boxes_of([(0, 0, 60, 90), (30, 0, 90, 90)])
    placement = Placement.of([boxes, boxes_of([])], (3, 4), (2, 2), HERE)
    shares = cover_shares([boxes, boxes_of([])], placement, masks=False)
    expected = torch.tensor([[1, 0.5, 0, 0], [0, 0.5, 1, 0], [0, 0, 0, 1]])
    torch.testing.assert_close(shares[0], expected[:, None].expand(3, 3, 4))
    torch.testing.assert_close(shares[1], torch.tensor([0.0, 0, 1])[:, None, None].expand(3, 3, 4))


def test_masks_share_what_they_cover() -> None:
    """A map of half the photo's size: whole pixels count whole, the pixel at the edge of a mask by half."""
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[0, :, :3] = True
    mask[1, 4:, :] = True
    boxes = replace(boxes_of([(0, 0, 8, 8), (0, 4, 8, 8)], (8, 8)), mask=mask)
    placement = Placement.of([boxes], (8, 8), (2, 2), HERE)
    shares = cover_shares([boxes], placement, masks=True)
    count = mask.sum(dim=0)
    torch.testing.assert_close(shares[0, :2], mask / count.clamp(min=1))
    assert torch.equal(shares[0, 2], (count == 0).float())
    half = cover_shares([boxes], Placement.of([boxes], (4, 4), (2, 2), HERE), masks=True)
    assert torch.equal(half.sum(dim=1), torch.ones(1, 4, 4))
    assert half[0, 0, 0, 0] > 0.8 > half[0, 0, 0, 1] > 0.2 > half[0, 0, 0, 3]
    with pytest.raises(
        ValueError, match="masks of 1 instances, but their boxes have none: take boxes from annotations"
    ):
        cover_shares([boxes_of(BOXES["one"])], Placement.of([boxes_of(BOXES["one"])], (4, 4), (2, 2), HERE), masks=True)


@torch.no_grad()
def test_a_box_whose_instance_is_pasted_shows_its_features() -> None:
    """Weighting by box leaves nothing of the background in a box, and all of it elsewhere."""
    boxes = boxes_of([(30, 0, 60, 90)])
    placement = Placement.of([boxes], (6, 8), (6, 2), HERE)
    crops, background = torch.rand(1, 3, 6, 2), torch.rand(1, 3, 6, 8)
    fused = blend(crops, background, cover_shares([boxes], placement, masks=False), placement)
    assert torch.equal(fused[..., 2:4], crops)
    assert torch.equal(fused[..., :2], background[..., :2])


@torch.no_grad()
@pytest.mark.parametrize("level", ["encoder", "decoder"])
def test_fusion_at_one_level_is_the_plain_one(small: FusionNet, instance: SiggraphNet, level: Level) -> None:
    boxes, half = boxes_of(BOXES["overlapping"]), {"encoder": MAPS[:7], "decoder": MAPS[7:]}[level]
    light, features = torch.rand(1, 1, 64, 64) * 100, instance.features(torch.rand(4, 1, 64, 64) * 100)
    fused = small(light, [boxes], features, level=level)
    expected = plain_fusion(small, light, boxes, features, maps=half)
    torch.testing.assert_close(fused / 110, expected / 110, atol=1e-5, rtol=0)
    assert (fused - small(light, [boxes], features)).abs().max() > 1e-3


@pytest.mark.parametrize("weighting", ["learned", "box", "mask"])
@pytest.mark.parametrize("level", ["both", "encoder", "decoder"])
def test_only_parts_in_use_are_trained(level: Level, weighting: Weighting) -> None:
    layers = [part for part in trained_parts(weighting, level) if part.startswith("weight_layer")]
    count = {"both": 13, "encoder": 7, "decoder": 6}[level]
    assert len(layers) == (count if weighting == "learned" else 0)
    assert trained_parts(weighting, level)[-2:] == ["model10", "model_out"]


@torch.no_grad()
@each_softmax
@pytest.mark.parametrize("corners", BOXES.values(), ids=BOXES.keys())
def test_network_is_the_plain_one(
    small: FusionNet, instance: SiggraphNet, corners: list[tuple[float, ...]], softmax: Softmax
) -> None:
    boxes = boxes_of(corners)
    light, features = torch.rand(1, 1, 64, 64) * 100, instance.features(torch.rand(len(corners), 1, 64, 64) * 100)
    fused = small(light, [boxes], features, softmax=softmax)
    expected = plain_fusion(small, light, boxes, features, softmax)
    torch.testing.assert_close(fused / 110, expected / 110, atol=1e-5, rtol=0)


@torch.no_grad()
@each_softmax
def test_a_batch_is_its_pictures(small: FusionNet, instance: SiggraphNet, softmax: Softmax) -> None:
    pictures = [boxes_of(corners) for corners in BOXES.values()]
    light = torch.rand(len(pictures), 1, 40, 56) * 100
    crops = [torch.rand(len(boxes), 1, 32, 32) * 100 for boxes in pictures]
    together = small(light, pictures, instance.features(torch.cat(crops)), softmax=softmax)
    for index, boxes in enumerate(pictures):
        features = instance.features(crops[index])
        alone = plain_fusion(small, light[index : index + 1], boxes, features, softmax)
        torch.testing.assert_close(together[index : index + 1] / 110, alone / 110, atol=1e-5, rtol=0)


@torch.no_grad()
def test_without_boxes_it_is_its_trunk_to_the_bit(small: FusionNet, instance: SiggraphNet) -> None:
    full = SiggraphNet(1 / 8).eval()
    small.load_state_dict({**small.state_dict(), **full.state_dict()})
    light = torch.rand(2, 1, 64, 64) * 100
    fused = small(light, [boxes_of([]), boxes_of([])], instance.features(torch.zeros(0, 1, 64, 64)))
    assert torch.equal(fused, full(light))


@torch.no_grad()
@pytest.mark.parametrize(("size", "crop"), [((1, 1), 8), ((7, 13), 5), ((30, 50), 17), ((33, 64), 64)], ids=str)
def test_any_size(small: FusionNet, instance: SiggraphNet, size: tuple[int, int], crop: int) -> None:
    boxes = boxes_of(BOXES["at the borders"] + BOXES["thin"])
    features = instance.features(torch.rand(8, 1, crop, crop) * 100)
    chroma = small(torch.rand(1, 1, *size) * 100, [boxes], features)
    assert chroma.shape == (1, 2, *size)
    assert torch.isfinite(chroma).all()


@each_softmax
def test_gradient_of_the_blend_is_right(softmax: Softmax) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of(BOXES["overlapping"][:2]), boxes_of([]), boxes_of(BOXES["thin"][:1])]
    placement = Placement.of(boxes, (6, 8), (4, 3), HERE)
    shapes = ((3, 2, 4, 3), (3, 2, 6, 8), (3, 1, 4, 3), (3, 1, 6, 8))
    inputs = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def fuse(crops: Tensor, background: Tensor, logits: Tensor, background_logits: Tensor) -> Tensor:
        return blend(crops, background, softmax_shares(logits, background_logits, placement, softmax), placement)

    assert torch.autograd.gradcheck(fuse, inputs)


@each_softmax
def test_gradient_of_the_weight_layers_is_the_plain_one(
    small: FusionNet, instance: SiggraphNet, softmax: Softmax
) -> None:
    boxes = boxes_of(BOXES["overlapping"])
    small.double()
    light = torch.rand(1, 1, 32, 32, dtype=torch.float64) * 100
    features = {
        name: feature.detach() for name, feature in instance.double().features(light.expand(4, -1, -1, -1)).items()
    }
    trained = [parameter for name in trained_parts() for parameter in small.get_submodule(name).parameters()]
    chroma = small(light, [boxes], features, softmax=softmax)
    expected = plain_fusion(small, light, boxes, features, softmax)
    gradients = torch.autograd.grad(chroma.square().mean(), trained)
    for gradient, plain in zip(gradients, torch.autograd.grad(expected.square().mean(), trained), strict=True):
        torch.testing.assert_close(gradient, plain, atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_half_precision_stays_finite(small: FusionNet, instance: SiggraphNet) -> None:
    boxes = boxes_of(BOXES["whole and eight"])
    light, crops = torch.rand(1, 1, 32, 32) * 100, torch.rand(8, 1, 32, 32) * 100
    exact = small(light, [boxes], instance.features(crops))
    with torch.autocast("cpu", torch.bfloat16):
        half = small(light, [boxes], instance.features(crops))
    assert torch.isfinite(half).all()
    assert (half.float() - exact).abs().mean() < 0.05 * exact.abs().mean() + 0.5


def test_maps_and_layers_pair_up() -> None:
    assert tuple(WEIGHT_LAYERS) == MAPS
    assert all(before != after for before, after in pairwise(WEIGHT_LAYERS.values()))
