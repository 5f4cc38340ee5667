"""How fast instance-aware colorization is beside a plain version of the published algorithm, on the same machine.

`uv run pytest tests/benchmarks -m benchmark -n 0 -s` prints the figures, ratios within one run; equal output is
asserted, time is not: it hangs on the machine. The plain version takes pictures one by one, pads every map of every
instance to full size, stacks them and takes the softmax, in the layout that PyTorch begins with. Both do without
gradients, which the authors' test keeps.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import catalog
from bench.build import build_data, build_method
from bench.device import peak_memory_mb, reset_peak_memory
from bench.scoring.comparison import Comparison, Region, psnr
from bench.speed import random_batch
from datamodules.color import lab_to_rgb8
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.networks.blending import blend, softmax_shares
from lightning_modules.networks.boxtables import Placement, box_table
from lightning_modules.networks.fusion import WEIGHT_LAYERS, FusionNet, WeightGenerator
from lightning_modules.networks.siggraph import MAPS, SiggraphTrunk, Tap, untapped
from lightning_modules.stages.fusion import FusionColorizer

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).resolve().parents[2]
SIDE, BOXES = 256, 8
STRIDES = dict(zip(MAPS, (1, 2, 4, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1), strict=True))
HERE = torch.device("cpu")
SPREAD = 15.0
"""Standard deviation, in CIE units, that untrained networks' chroma is brought to: about that of photos."""


def plain_layer(layer: WeightGenerator, crops: Tensor, background: Tensor, boxes: Boxes) -> Tensor:
    """Fuse one map of one picture as published."""
    height, width = background.shape[-2:]
    logits, features, union = [], [], torch.zeros(1, 1, height, width)
    for crop, (left, top, right, bottom) in zip(torch.split(crops, 1), box_table(boxes, (height, width)), strict=True):
        margins, size = (left, width - right, top, height - bottom), (bottom - top, right - left)
        resized = functional.interpolate(layer.simple_instance_conv(crop), size, mode="bilinear")
        logits.append(functional.pad(resized, margins))
        features.append(functional.pad(functional.interpolate(crop, size, mode="bilinear"), margins))
        inside = torch.zeros(1, 1, height, width)
        inside[..., top:bottom, left:right] = 1
        union = torch.clamp(union + inside, 0, 1)
    logits.append(layer.simple_bg_conv(background) + (1 - union) * 1e5)
    shares = torch.softmax(torch.cat(logits, 1), 1).permute(1, 0, 2, 3).contiguous()
    return (torch.cat([*features, background]) * shares).sum(0, keepdim=True)


def weights_of(network: FusionNet, name: str) -> WeightGenerator:
    layer = network.get_submodule(WEIGHT_LAYERS[name])
    assert isinstance(layer, WeightGenerator)
    return layer


def plain_trace(network: nn.Module, light: Tensor, tap: Tap) -> Tensor:
    """Run a network in the layout that PyTorch begins with."""
    assert isinstance(network, SiggraphTrunk)
    return network.decode(*network.encode(network.planes(light).contiguous(), tap), tap)


def plain_picture(method: FusionColorizer, light: Tensor, crops: Tensor, boxes: Boxes) -> Tensor:
    """Colour one picture: by the full network without boxes, else by the fusion with the features of all crops."""
    if not len(boxes):
        return plain_trace(method.networks()["full"], light, untapped)
    features: dict[str, Tensor] = {}

    def keep(name: str, feature: Tensor) -> Tensor:
        features[name] = feature.relu() if name.endswith("_up") else feature
        return feature

    def fuse(name: str, background: Tensor) -> Tensor:
        return plain_layer(weights_of(method.fusion, name), features[name], background, boxes)

    plain_trace(method.instance, crops, keep)
    return plain_trace(method.fusion, light, fuse)


def plain_batch(method: FusionColorizer, gray: GrayBatch) -> Tensor:
    crops = torch.split(gray.crops, [len(boxes) for boxes in gray.boxes])
    pictures = zip(torch.split(gray.light, 1), crops, gray.boxes, strict=True)
    return torch.cat([plain_picture(method, *picture) for picture in pictures])


def published() -> FusionColorizer:
    """Build the method at its published size, untrained, with weight layers that decide something."""
    torch.manual_seed(0)
    method = build_method(catalog.model_tree("instcolor-fusion"))
    assert isinstance(method, FusionColorizer)
    for name, parameter in method.fusion.named_parameters():
        if name.startswith("weight_layer"):
            nn.init.normal_(parameter, 0.0, 0.05)
    return method.eval()


def with_spread(method: FusionColorizer, light: Tensor) -> FusionColorizer:
    """Scale the heads so that chroma spreads as that of photos."""
    for network in (method.networks()["full"], method.fusion):
        assert isinstance(network, SiggraphTrunk)
        head = network.model_out[0]
        assert isinstance(head, nn.Conv2d)
        with torch.no_grad():
            head.weight *= SPREAD / network.trace(light, untapped).std()
    return method


def layer_inputs(layout: torch.memory_format) -> tuple[FusionNet, list[tuple[str, Tensor, Tensor]], Boxes]:
    """Return the published fusion network, and for each map those of eight crops and that of one picture."""
    torch.manual_seed(0)
    network = FusionNet().eval()
    maps = []
    for name in MAPS:
        size = (network.map_channels[name], SIDE // STRIDES[name], SIDE // STRIDES[name])
        crops, background = torch.rand(BOXES, *size), torch.rand(1, *size)
        maps.append((name, crops.contiguous(memory_format=layout), background.contiguous(memory_format=layout)))
    return network, maps, random_batch(1, BOXES, None).boxes[0]


def our_layers(network: FusionNet, maps: list[tuple[str, Tensor, Tensor]], boxes: Boxes) -> list[Tensor]:
    fused = []
    for name, crops, background in maps:
        height, width = background.shape[-2:]
        placement = Placement.of([boxes], (height, width), (height, width), HERE)
        shares = softmax_shares(*network.logits(name, crops, background), placement)
        fused.append(blend(crops, background, shares, placement))
    return fused


def plain_layers(network: FusionNet, maps: list[tuple[str, Tensor, Tensor]], boxes: Boxes) -> list[Tensor]:
    return [plain_layer(weights_of(network, name), crops, background, boxes) for name, crops, background in maps]


WAYS = {"ours": (our_layers, torch.channels_last), "plain": (plain_layers, torch.contiguous_format)}


def peak_above(way: str) -> float:
    """Return how many MB above what was there before the layers of one way take, measured in a process of its own."""
    command = [sys.executable, __file__, way]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    return float(json.loads(done.stdout))


@torch.inference_mode()
def test_fusion_layers(interleaved: Callable[..., dict[str, float]]) -> None:
    ours, plain = (layer_inputs(WAYS[way][1]) for way in ("ours", "plain"))
    for mine, theirs in zip(our_layers(*ours), plain_layers(*plain), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
    seconds = interleaved(3, ours=lambda: our_layers(*ours), plain=lambda: plain_layers(*plain))
    memory = {way: peak_above(way) for way in WAYS}
    faster, less = seconds["plain"] / seconds["ours"], memory["plain"] / memory["ours"]
    print(
        f"\nfusion layers, {BOXES} boxes, {SIDE} px, {torch.get_num_threads()} threads: seconds {seconds}, MB {memory}"
    )
    print(f"{faster:.2f} x faster, {less:.2f} x less memory")


@torch.inference_mode()
def test_whole_inference(interleaved: Callable[..., dict[str, float]]) -> None:
    gray = random_batch(1, BOXES, SIDE)
    method = with_spread(published(), gray.light)

    def half() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            chroma: Tensor = method(gray)
            return chroma

    difference = (method(gray) - plain_batch(method, gray)).abs().max()
    seconds = interleaved(2, plain=lambda: plain_batch(method, gray), ours=lambda: method(gray), bf16=half)
    faster = {name: seconds["plain"] / seconds[name] for name in ("ours", "bf16")}
    print(f"\ninference of a picture with {BOXES} boxes: seconds {seconds}, x faster {faster}")
    print(f"largest difference in float32: {difference:.1e} CIE units")
    assert difference < 110 * 1e-5


def photos(shared: Path) -> ColorBatch:
    """Return four photos with up to eight of their annotated boxes."""
    data = build_data(
        catalog.data_tree("coco"),
        root=str(shared / "data" / "coco"),
        crop_size=SIDE,
        max_boxes=BOXES,
        eval_batch_size=4,
        num_workers=0,
    )
    data.setup("test")
    batch: ColorBatch = next(iter(data.test_dataloader()))
    return batch


@torch.inference_mode()
def test_half_precision_keeps_the_score(shared: Path) -> None:
    batch = photos(shared)
    method, light = with_spread(published(), batch.gray.light), batch.gray.light
    exact = method(batch.gray)
    with torch.autocast("cpu", torch.bfloat16):
        half = method(batch.gray)
    regions = [Region(index) for index in range(len(batch))]
    scores = [psnr(Comparison(lab_to_rgb8(light, chroma), batch.rgb), regions) for chroma in (exact, half)]
    changes = [after - before for before, after in zip(*scores, strict=True)]
    print(f"\nPSNR of {len(batch)} photos in bf16 less that in float32, in dB: {[round(each, 4) for each in changes]}")
    assert max(map(abs, changes)) <= 0.05


if __name__ == "__main__":
    run, layout = WAYS[sys.argv[1]]
    with torch.inference_mode():
        given = layer_inputs(layout)
        reset_peak_memory()
        before = peak_memory_mb()
        run(*given)
        print(json.dumps(peak_memory_mb() - before))
