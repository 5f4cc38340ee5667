"""Every method that learns, and every ablation that is a setting of one, is trained and then colours."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench import catalog
from bench.build import build_data, build_method
from bench.catalog import data_tree, with_settings
from bench.manifest import load_manifest, load_networks
from bench.recipe import Recipe, Stage
from bench.training import TrainingOptions, train

SMALL = {"width": 0.0625, "input_size": 32, "crop_size": 32, "global_size": 32, "prior_photos": 2}
SCENES = with_settings(data_tree("synthetic"), {"size": 48, "train": 4, "val": 1, "test": 2})
LEARNERS = [method for method, card in catalog.methods().items() if card.trainable]
ABLATIONS: list[tuple[str, dict[str, Any]]] = [
    ("iizuka-siggraph16", {"global_branch": False}),
    ("iizuka-siggraph16", {"scene_weight": 0.0}),
    ("iizuka-siggraph16", {"space": "rgb"}),
    ("iizuka-siggraph16", {"space": "yuv"}),
    ("instcolor-fusion", {"weighting": "box"}),
    ("instcolor-fusion", {"weighting": "mask"}),
    ("instcolor-fusion", {"level": "encoder"}),
    ("instcolor-fusion", {"level": "decoder"}),
    ("instcolor-fusion", {"weighting": "box", "level": "encoder"}),
    ("zhang-eccv16", {"rebalance": False}),
    ("zhang-eccv16", {"neighbours": 10}),
]
CASES = [*((method, {}) for method in LEARNERS), *ABLATIONS]


def options(out: Path, **changes: Any) -> TrainingOptions:
    stages = {method: Stage(steps=2, learning_rate=1e-3) for method in LEARNERS}
    recipe = Recipe(id="tiny", train_size=32, batch_size=2, model=SMALL, stages=stages)
    return TrainingOptions(out, SCENES, recipe, loggers=("none",), **changes)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a training of the first two stages of the family, so that each case has one stage to train."""
    out = tmp_path_factory.mktemp("before")
    train("instcolor-instance", options(out))
    return out


@pytest.mark.parametrize(
    ("method", "settings"), CASES, ids=["-".join([method, *map(str, given.values())]) for method, given in CASES]
)
def test_it_learns_and_colours(method: str, settings: dict[str, Any], before: Path, tmp_path: Path) -> None:
    start = before if method.startswith("instcolor-") else None
    folder = train(method, options(tmp_path, settings=settings, init=start))
    manifest = load_manifest(folder)
    assert manifest.training[method]["steps_done"] == 2
    tree = manifest.tree(method)
    assert with_settings(tree, settings) == tree
    built = build_method(tree).eval()
    load_networks(built.networks(), folder)
    photos = build_data(SCENES, crop_size=built.crop_size, masks=built.uses_masks, batch_size=2)
    photos.setup("test")
    batch = next(iter(photos.test_dataloader()))
    with torch.inference_mode():
        chroma = built(batch.gray)
    assert chroma.shape == batch.chroma.shape
    assert chroma.isfinite().all()
    assert chroma.std() > 0
