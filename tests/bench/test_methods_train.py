"""Every method that learns, and every ablation that is a setting of one, is trained and then colours."""

import csv
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from bench import catalog
from bench.build import build_data, build_method
from bench.catalog import data_tree, with_settings
from bench.manifest import load_manifest, load_networks
from bench.recipe import Recipe, Stage, load_recipe
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
FALLING = {
    # The adversarial part need not fall: the discriminator learns against it.
    "colorgan": "absolute",
    "tiny-cnn": "loss",
    # Weights by rarity make the loss of a batch hang on its rarest colours; the plain part knows no weights.
    "tiny-cnn-rebalanced": "cross_entropy",
    "tiny-unet": "loss",
    "tiny-unet-rebalanced": "cross_entropy",
}
"""Parts of losses that fall in 200 steps on real photos, by the method."""
LEFT = {
    # A regression begins near grey, and without ImageNet's weights gains a few hundredths on it.
    "dahl-2016": 0.97,
    "zhang-eccv16-l2-ft": 0.99,
    # Histograms begin near the even one, far above what the commonest colours alone give.
    "larsson-eccv16": 0.9,
}
"""At most what is left of the loss of fixed photos after 200 steps, by the method; each is judged by its whole loss."""
CASES = [*((method, {}) for method in LEARNERS), *ABLATIONS]


def options(out: Path, **changes: Any) -> TrainingOptions:
    stages = {method: Stage(steps=2, learning_rate=1e-3, pretrained=False) for method in LEARNERS}
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


def photos(shared: Path) -> catalog.Tree:
    """Return the tree of real photos to train on."""
    return with_settings(data_tree("folder"), {"root": str(shared / "data" / "imagenet1000-256"), "val_fraction": 0.0})


@pytest.mark.slow
@pytest.mark.parametrize("method", FALLING)
def test_200_steps_on_real_photos_lower_the_loss(method: str, shared: Path, tmp_path: Path) -> None:
    demo = load_recipe("demo")
    stages = {each: demo.stage(each).model_copy(update={"steps": 200}) for each in catalog.training_stages(method)}
    recipe = demo.model_copy(update={"stages": stages, "batch_size": 8, "train_size": 48})
    recipe = recipe.model_copy(update={"model": {**recipe.model, "input_size": 48}})
    train(method, TrainingOptions(tmp_path, photos(shared), recipe, loggers=("none",)))
    with next(tmp_path.glob(f"**/{method}--s0/**/metrics.csv")).open(newline="") as file:
        curve = [float(row[f"train/{FALLING[method]}"]) for row in csv.DictReader(file)]
    assert len(curve) == 20
    assert fmean(curve[-5:]) < 0.9 * fmean(curve[:5])


@pytest.mark.slow
def test_200_steps_of_a_regression_are_worth_more_than_grey(shared: Path, tmp_path: Path) -> None:
    """It begins near grey, from where its loss falls by less than batches differ: compared on the same photos."""
    settings = load_recipe("demo").stage("tiny-cnn-l2").model_copy(update={"steps": 200})
    recipe = load_recipe("demo").model_copy(update={"stages": {"tiny-cnn-l2": settings}, "batch_size": 8})
    folder = train("tiny-cnn-l2", TrainingOptions(tmp_path, photos(shared), recipe, loggers=("none",)))
    built = build_method(recipe.tree("tiny-cnn-l2")).eval()
    load_networks(built.networks(), folder)
    data = build_data(photos(shared), train_size=64, batch_size=256)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    grey = 0.5 * (batch.chroma[:, :, ::2, ::2] / 110).square().sum(dim=1).mean()
    with torch.inference_mode():
        assert built.loss(batch)["loss"] < 0.97 * grey


@pytest.mark.slow
@pytest.mark.parametrize("method", LEFT)
def test_200_steps_lower_the_loss_of_the_same_photos(method: str, shared: Path, tmp_path: Path) -> None:
    demo = load_recipe("demo")
    stages = {each: demo.stage(each).model_copy(update={"steps": 200}) for each in catalog.training_stages(method)}
    recipe = demo.model_copy(update={"stages": stages, "batch_size": 8, "train_size": 48})
    recipe = recipe.model_copy(update={"model": {**recipe.model, "input_size": 48}})
    folder = train(method, TrainingOptions(tmp_path, photos(shared), recipe, loggers=("none",)))
    data = build_data(photos(shared), train_size=48, batch_size=64)
    data.setup("fit")
    batches = list(islice(data.train_dataloader(), 4))
    torch.manual_seed(0)
    built = build_method(recipe.tree(method)).eval()
    losses = []
    for _ in range(2):
        with torch.inference_mode():
            losses.append(fmean(float(built.loss(batch)["loss"]) for batch in batches))
        load_networks(built.networks(), folder)
    assert losses[1] < LEFT[method] * losses[0]


@pytest.mark.slow
def test_200_steps_of_edgeconnect_lower_the_error_of_lines_and_of_colours(shared: Path, tmp_path: Path) -> None:
    settings = load_recipe("demo").stage("edgeconnect").model_copy(update={"steps": 200})
    recipe = load_recipe("demo").model_copy(update={"stages": {"edgeconnect": settings}, "batch_size": 8})
    recipe = recipe.model_copy(update={"train_size": 48, "model": {**recipe.model, "input_size": 48}})
    folder = train("edgeconnect", TrainingOptions(tmp_path, photos(shared), recipe, loggers=("none",)))
    data = build_data(photos(shared), train_size=48, batch_size=32)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    built: Any = build_method(recipe.tree("edgeconnect")).eval()
    errors = []
    for _ in range(2):
        with torch.inference_mode():
            task = built.task(batch)
            lines = (built.edge_network(task.sketch) - task.edges).abs().mean()
            errors.append((float(lines), float((built.paint(task, task.edges) - task.picture).abs().mean())))
        load_networks(built.networks(), folder)
    (lines, colours), (lines_after, colours_after) = errors
    assert lines_after < 0.7 * lines, "0.60 was measured after the quarter of 200 steps that lines have"
    assert colours_after < 0.8 * colours
