"""Multiply-adds: those of a real pass, of another project's count, and none of the run's random numbers."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench import macs
from bench.build import build_method
from bench.catalog import methods, model_tree, with_settings
from bench.macs import count_gmacs
from bench.manifest import save_weights
from bench.speed import measure, random_batch
from datamodules.types import GrayBatch
from lightning_modules.base import Colorizer

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "global_size": 32}


@pytest.mark.parametrize("method", [name for name, card in methods().items() if card.trainable])
def test_shapes_alone_count_what_a_real_pass_counts(method: str) -> None:
    tree = with_settings(model_tree(method), SMALL)
    built = build_method(tree).eval()
    batch = random_batch(1, 3 if built.uses_boxes else 0, built.crop_size)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        built(batch)
    assert count_gmacs(tree, 3) == round(counter.get_total_flops() / 2e9, 3) > 0


@pytest.mark.parametrize(("method", "gflops"), [("zhang-eccv16", 83.60), ("zhang-siggraph17", 150.54)])
def test_published_sizes_count_what_openvino_counts(method: str, gflops: float) -> None:
    assert count_gmacs(model_tree(method), 8) == pytest.approx(gflops / 2, rel=2e-3)


@pytest.mark.parametrize("method", [name for name, card in methods().items() if not card.trainable])
def test_without_networks_nothing_is_counted(method: str) -> None:
    assert count_gmacs(model_tree(method), 8) == 0


@pytest.mark.slow
def test_speed_says_the_same_for_the_same_boxes(tmp_path: Path) -> None:
    tree = with_settings(model_tree("instcolor-fusion"), SMALL)
    save_weights("instcolor-fusion", tree, build_method(tree).networks(), tmp_path)
    counted = measure("instcolor-fusion", str(tmp_path), batch_size=1, boxes=5, precision="32", repeats=1)["gmacs"]
    fewer = count_gmacs(tree, 4)
    assert counted == count_gmacs(tree, 5)
    assert fewer is not None
    assert 0 < fewer < counted


def test_no_random_number_is_taken() -> None:
    before = torch.get_rng_state()
    macs._count.cache_clear()
    count_gmacs(with_settings(model_tree("instcolor-fusion"), SMALL), 2)
    assert torch.equal(torch.get_rng_state(), before)


class Reader(Colorizer):
    """Look at what the picture holds before anything is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Conv2d(1, 2, 1)

    def networks(self) -> dict[str, torch.nn.Module]:
        return {"reader": self.network}

    def colorize(self, gray: GrayBatch) -> Tensor:
        answer: Tensor = self.network(gray.light / gray.light.max().item())
        return answer


def test_a_method_that_reads_its_picture_fails_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(macs, "build_method", lambda _: Reader())
    assert count_gmacs({"class_path": "Reader"}, 0) is None
    assert "Reader: multiply-adds are not counted" in capsys.readouterr().err
