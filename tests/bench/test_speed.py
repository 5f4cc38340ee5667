"""Speed: every method can be measured, in every number format."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from skimage import data

from bench.build import build_method
from bench.catalog import methods, model_tree, with_settings
from bench.errors import CommandError
from bench.manifest import save_weights
from bench.speed import measure, measure_together, random_batch
from datamodules.color import rgb_to_lab

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "global_size": 32}


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("method", methods())
def test_every_method_is_measured(tmp_path: Path, method: str, precision: str) -> None:
    folder = None
    if methods()[method].trainable:
        tree = with_settings(model_tree(method), SMALL)
        save_weights(method, tree, build_method(tree).networks(), tmp_path)
        folder = str(tmp_path)
    measured = measure(method, folder, batch_size=2, boxes=2, precision=precision, repeats=1)
    assert measured["images_per_second"] > 0
    assert bool(measured["gmacs"]) == bool(measured["parameters"]) == (folder is not None)


@pytest.mark.slow
def test_devices_measure_at_the_same_time() -> None:
    measured = measure_together(2, method="gray", weights=None, batch_size=1, boxes=0, precision="32", repeats=1)
    assert measured["devices"] == 2
    assert measured["images_per_second"] > 1000 / measured["ms_per_image"]


@pytest.mark.slow
def test_a_process_that_cannot_measure_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="could not measure zhang-eccv16"):
        measure_together(
            2, method="zhang-eccv16", weights=str(tmp_path), batch_size=1, boxes=0, precision="32", repeats=1
        )


@pytest.mark.parametrize("method", [name for name, card in methods().items() if card.trainable])
def test_half_precision_gives_full_precision_chroma(method: str) -> None:
    torch.manual_seed(0)
    model = build_method(with_settings(model_tree(method), SMALL)).eval()
    batch = random_batch(1, 3 if model.uses_boxes else 0, model.crop_size if model.uses_boxes else None)
    rgb = torch.from_numpy(data.astronaut()[::2, ::2])  # type: ignore[no-untyped-call]  # skimage's samples have none
    photo = rgb_to_lab(rgb.permute(2, 0, 1)[None] / 255)[:, :1]
    batch = replace(batch, light=photo.float())
    with torch.inference_mode():
        exact = model(batch)
        with torch.autocast("cpu", torch.bfloat16):
            chroma = model(batch)
    assert chroma.dtype == torch.float32
    far = (chroma - exact).abs() > 0.05 * exact.abs().max()
    assert float(far.float().mean()) < 0.01, "norms of single pictures enlarge the rounding where nothing is drawn"
