"""The three stages: what each trains, what it leaves alone, and what it makes of boxes, grey pictures and odd sizes."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.huber import HuberLoss, colorful
from lightning_modules.networks.fusion import FusionNet, trained_parts
from lightning_modules.networks.siggraph import SiggraphNet
from lightning_modules.stages.full import FullColorizer
from lightning_modules.stages.fusion import FusionColorizer
from lightning_modules.stages.instance import InstanceColorizer

SIZE = 32
PHOTO = (60, 80)
Stage = Callable[[], Colorizer]
Corners = Sequence[tuple[float, ...]]
ONE = [(10.0, 5.0, 40.0, 50.0)]
TWO = [(10.0, 5.0, 60.0, 50.0), (30.0, 20.0, 80.0, 60.0)]


def batch_of(*pictures: Corners, size: int = SIZE, gray: Sequence[int] = ()) -> ColorBatch:
    """Make a batch of noise with the given boxes; the pictures and crops of the numbers in `gray` have no colour."""
    torch.manual_seed(4)
    boxes = tuple(
        Boxes(torch.tensor(each).reshape(-1, 4), torch.ones(len(each)), torch.ones(len(each)).long(), PHOTO)
        for each in pictures
    )
    count, crops = len(pictures), sum(len(each) for each in pictures)
    chroma, crop_chroma = torch.randn(count, 2, size, size) * 20, torch.randn(crops, 2, SIZE, SIZE) * 20
    for index in gray:
        chroma[index : index + 1] = 1.0
        crop_chroma[index : index + 1] = 1.0
    light = torch.rand(count, 1, size, size) * 100
    names = tuple(f"photo-{index}" for index in range(count))
    return ColorBatch(
        gray=GrayBatch(names, light, boxes, torch.rand(crops, 1, SIZE, SIZE) * 100),
        chroma=chroma,
        crop_chroma=crop_chroma,
        rgb=torch.zeros(count, 3, size, size, dtype=torch.uint8),
        label=torch.full((count,), -1),
        photo_size=(PHOTO,) * count,
    )


def loader_of(*batches: ColorBatch) -> Iterable[ColorBatch]:
    dataset: Any = batches
    return DataLoader(dataset, batch_size=None)


def full_stage() -> FullColorizer:
    torch.manual_seed(0)
    return FullColorizer(full=SiggraphNet(1 / 8), input_size=SIZE)


def instance_stage() -> InstanceColorizer:
    torch.manual_seed(0)
    full, instance = SiggraphNet(1 / 8), SiggraphNet(1 / 8)
    return InstanceColorizer(full=full, instance=instance, input_size=SIZE, crop_size=SIZE)


def fusion_stage(**settings: Any) -> FusionColorizer:
    torch.manual_seed(0)
    full, instance, fusion = SiggraphNet(1 / 8), SiggraphNet(1 / 8), FusionNet(1 / 8)
    for name, parameter in fusion.named_parameters():
        if name.startswith("weight_layer"):
            nn.init.normal_(parameter, 0.02, 0.1)
    return FusionColorizer(
        full=full, instance=instance, fusion=fusion, input_size=SIZE, crop_size=SIZE, learning_rate=1e-3, **settings
    )


def masked(batch: ColorBatch) -> ColorBatch:
    """Give every instance of a batch the left half of the photo as its mask."""
    left = torch.arange(PHOTO[1]) < PHOTO[1] // 2
    boxes = tuple(replace(each, mask=left.expand(len(each), *PHOTO)) for each in batch.gray.boxes)
    return replace(batch, gray=replace(batch.gray, boxes=boxes))


STAGES = [full_stage, instance_stage, fusion_stage]


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def authors_loss(chroma: Tensor, truth: Tensor) -> Tensor:
    """Return 10 times the Huber loss with its knee at 1/110 in chroma over 110, summed over channels."""
    error = (chroma / 110 - truth / 110).abs()
    knee = 1 / 110
    square = (error < knee).to(error)
    return 10 * (square * 0.5 * error**2 / knee + (1 - square) * (error - 0.5 * knee)).sum(1).mean()


def test_loss_is_the_authors() -> None:
    torch.manual_seed(0)
    chroma, truth = torch.randn(3, 2, 8, 8) * 3, torch.randn(3, 2, 8, 8)
    loss = HuberLoss()(chroma, truth)
    torch.testing.assert_close(loss, authors_loss(chroma, truth))
    torch.testing.assert_close(loss, functional.smooth_l1_loss(chroma, truth) * 2 * 10 / 110)


def test_gray_pictures_are_those_of_little_range() -> None:
    truth = torch.zeros(4, 2, 3, 3)
    truth[1, 0, 0, 0], truth[1, 1, 1, 1] = 6, -3.9
    truth[2, 0, 0, 0], truth[2, 1, 1, 1] = 6, -4
    truth[3] = 50
    assert colorful(truth).tolist() == [False, False, True, False]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("size", [SIZE, 45])
@torch.no_grad()
def test_chroma_has_the_size_of_the_light(stage: Stage, size: int) -> None:
    method = stage().eval()
    chroma = method(batch_of(ONE, [], TWO, size=size).gray)
    assert chroma.shape == (3, 2, size, size)
    assert torch.isfinite(chroma).all()
    assert method.uses_boxes is (len(method.networks()) > 1)


@pytest.mark.parametrize("stage", STAGES)
@torch.no_grad()
def test_size_of_the_network_may_be_odd(stage: Stage) -> None:
    method = stage().eval()
    method.input_size = 37
    assert method(batch_of(ONE, [], TWO, size=50).gray).shape == (3, 2, 50, 50)


@pytest.mark.parametrize("stage", [instance_stage, fusion_stage])
@torch.no_grad()
def test_without_boxes_it_is_the_full_network_to_the_bit(stage: Stage) -> None:
    method, batch = stage().eval(), batch_of([], [], [])
    assert torch.equal(method(batch.gray), method.networks()["full"](batch.gray.light))


@pytest.mark.parametrize("stage", STAGES)
@torch.no_grad()
def test_a_batch_is_its_pictures(stage: Stage) -> None:
    method = stage().eval()
    pictures: tuple[Corners, ...] = (ONE, [], TWO, [], TWO)
    gray = batch_of(*pictures).gray
    together, seen = method(gray), 0
    for index, corners in enumerate(pictures):
        crops = gray.crops[seen : seen + len(corners)]
        alone = GrayBatch((gray.key[index],), gray.light[index : index + 1], (gray.boxes[index],), crops)
        seen += len(corners)
        torch.testing.assert_close(together[index] / 110, method(alone)[0] / 110, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stage", [instance_stage, fusion_stage])
@torch.no_grad()
def test_chunks_change_nothing(stage: Callable[[], InstanceColorizer | FusionColorizer]) -> None:
    gray = batch_of(TWO, ONE, [], TWO).gray
    expected = stage().eval()(gray)
    for chunk in (1, 3):
        method = stage().eval()
        method.chunk = chunk
        torch.testing.assert_close(method(gray) / 110, expected / 110, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stage", [instance_stage, fusion_stage])
def test_missing_crops_are_named(stage: Stage) -> None:
    gray = batch_of(TWO).gray
    without = GrayBatch(gray.key, gray.light, gray.boxes, gray.crops[:0])
    with pytest.raises(ValueError, match="2 boxes but 0 crops"):
        stage().eval()(without)


@torch.no_grad()
def test_crops_are_pasted_in_the_order_of_the_boxes() -> None:
    method = instance_stage().eval()
    gray = batch_of([], TWO).gray
    chroma, plain, crops = method(gray), method.full(gray.light), method.instance(gray.crops)
    first, second = (slice(2, 26), slice(4, 24)), (slice(10, 32), slice(12, 32))
    expected = plain.clone()
    for crop, (rows, columns) in zip(crops, (first, second), strict=True):
        size = (rows.stop - rows.start, columns.stop - columns.start)
        expected[1][:, rows, columns] = functional.interpolate(crop[None], size, mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(chroma, expected)
    assert torch.equal(chroma[0], plain[0])


@pytest.mark.parametrize("stage", [full_stage, instance_stage])
def test_gray_truth_is_left_out_one_by_one(stage: Stage) -> None:
    method, batch = stage().eval(), batch_of(ONE, ONE, ONE, gray=[1])
    if isinstance(method, FullColorizer):
        chroma, truth = method(batch.gray), batch.chroma
    else:
        chroma, truth = method.networks()["instance"](batch.gray.crops), batch.crop_chroma
    torch.testing.assert_close(method.loss(batch)["loss"], authors_loss(chroma[[0, 2]], truth[[0, 2]]))


def test_fusion_learns_from_coloured_pictures_with_boxes() -> None:
    method, batch = fusion_stage(), batch_of(ONE, [], TWO, TWO, gray=[2])
    chroma = method(batch.gray)
    torch.testing.assert_close(method.train().loss(batch)["loss"], authors_loss(chroma[[0, 3]], batch.chroma[[0, 3]]))
    expected = authors_loss(chroma[[0, 1, 3]], batch.chroma[[0, 1, 3]])
    torch.testing.assert_close(method.eval().loss(batch)["loss"], expected)


@pytest.mark.parametrize(
    ("stage", "batch"),
    [
        (full_stage, batch_of(ONE, gray=[0])),
        (instance_stage, batch_of([], [])),
        (instance_stage, batch_of(ONE, gray=[0])),
        (fusion_stage, batch_of([], [])),
        (fusion_stage, batch_of(ONE, gray=[0])),
    ],
)
def test_nothing_to_learn_gives_zeros_to_every_parameter(stage: Stage, batch: ColorBatch) -> None:
    method = stage().train()
    loss = method.loss(batch)["loss"]
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, trained)
    assert loss.item() == 0
    assert all(gradient.eq(0).all() for gradient in gradients)


@pytest.mark.parametrize("stage", STAGES)
def test_every_trained_parameter_gets_a_gradient(stage: Stage) -> None:
    """Distributed training stops at a parameter without one."""
    method = stage().train()
    trained = {name: each for name, each in method.named_parameters() if each.requires_grad}
    loss = method.loss(batch_of(ONE, [], TWO))["loss"]
    gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    assert [name for name, gradient in zip(trained, gradients, strict=True) if gradient is None] == []


ABLATIONS = [
    {"softmax": "masked"},
    {"weighting": "box"},
    {"weighting": "mask"},
    {"level": "encoder"},
    {"level": "decoder"},
]


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_an_ablation_trains_what_it_uses(settings: dict[str, Any]) -> None:
    """Distributed training stops at a parameter without a gradient."""
    method, batch = fusion_stage(**settings).train(), masked(batch_of(ONE, [], TWO))
    trained = [each for each in method.parameters() if each.requires_grad]
    assert all(each is not None for each in torch.autograd.grad(method.loss(batch)["loss"], trained, allow_unused=True))
    assert method.uses_masks is (settings == {"weighting": "mask"})
    method.eval()
    assert not torch.allclose(method(batch.gray), fusion_stage().eval()(batch.gray), atol=1e-3)


def test_weighting_by_mask_asks_for_masks() -> None:
    with pytest.raises(ValueError, match="their boxes have none"):
        fusion_stage(weighting="mask").eval()(batch_of(ONE).gray)


def test_trained_parameters_of_the_published_fusion() -> None:
    with torch.device("meta"):
        method = FusionColorizer(full=SiggraphNet(), instance=SiggraphNet(), fusion=FusionNet())
    assert sum(each.numel() for each in method.parameters() if each.requires_grad) == 1_226_108
    sizes = {name: sum(each.numel() for each in part.parameters()) for name, part in method.networks().items()}
    assert sizes == {"full": 34_187_027, "instance": 34_187_027, "fusion": 35_270_831}


@pytest.mark.parametrize(
    ("stage", "learning"),
    [(full_stage, {"full"}), (instance_stage, {"instance"}), (fusion_stage, set())],
)
def test_frozen_networks_stay_in_eval_mode(stage: Stage, learning: set[str]) -> None:
    for method in (stage(), stage().train(), stage().eval().train()):
        modes = {
            name for name, network in method.networks().items() if any(each.training for each in network.modules())
        }
        assert modes == learning
        assert method.training


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start:UserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 asks torch in a way that torch has left
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("boxed", [True, False])
def test_a_fit_changes_only_what_it_trains(stage: Stage, boxed: bool) -> None:
    method = stage()
    before = copy.deepcopy(method.state_dict())
    batches = [batch_of(ONE, [], TWO) if boxed else batch_of([], []), batch_of(TWO, ONE)]
    trainer = pl.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, loader_of(*batches), loader_of(batch_of([], ONE)))
    assert torch.isfinite(trainer.callback_metrics["val/loss"])
    moved = changed(before, method.state_dict())
    if isinstance(method, FusionColorizer):
        allowed = tuple(f"fusion.{name}." for name in trained_parts())
        assert moved
        assert all(name.startswith(allowed) for name in moved)
    else:
        own = "full." if isinstance(method, FullColorizer) else "instance."
        expected = {name for name in before if name.startswith(own) and "model_class" not in name}
        assert moved == expected


def test_instance_inherits_from_full() -> None:
    method = instance_stage()
    before = copy.deepcopy(method.state_dict())
    for loaded in ((), ("instance",), ("full", "instance")):
        method.inherit(frozenset(loaded))
        assert changed(before, method.state_dict()) == set()
    method.inherit(frozenset({"full"}))
    gray = batch_of([]).gray
    assert torch.equal(method.instance.eval()(gray.light), method.full(gray.light))


@torch.no_grad()
def test_fusion_inherits_its_trunk_and_keeps_its_weight_layers() -> None:
    method = fusion_stage().eval()
    before = copy.deepcopy(method.state_dict())
    method.inherit(frozenset({"full", "instance", "fusion"}))
    assert changed(before, method.state_dict()) == set()
    method.inherit(frozenset({"full", "instance"}))
    moved = changed(before, method.state_dict())
    assert moved
    assert all(name.startswith("fusion.model") for name in moved)
    trunk = method.full.state_dict()
    assert all(torch.equal(value, trunk[name]) for name, value in method.fusion.state_dict().items() if name in trunk)


def test_another_loss_can_be_given() -> None:
    method = FullColorizer(full=SiggraphNet(1 / 8), loss=nn.L1Loss(), input_size=SIZE).eval()
    batch = batch_of([], [])
    torch.testing.assert_close(method.loss(batch)["loss"], (method(batch.gray) - batch.chroma).abs().mean())


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("stage", STAGES)
def test_the_loss_of_validation_is_the_mean_over_what_is_not_grey(stage: Stage) -> None:
    method = stage().eval()
    whole = [batch_of(ONE), batch_of(ONE, ONE, ONE, gray=[0]), batch_of(ONE, ONE, gray=[0, 1])]
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(method, loader_of(*whole), verbose=False)
    with torch.no_grad():
        losses = [float(method.loss(each)["loss"]) for each in whole]
    assert losses[2] == 0
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx((losses[0] + 2 * losses[1]) / 3, rel=1e-5)
