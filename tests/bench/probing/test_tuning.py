from pathlib import Path

import pytest
import torch

from bench import catalog
from bench.build import build_method
from bench.catalog import Tree
from bench.probing.backbone import Backbone
from bench.probing.data import load_data
from bench.probing.heads import DetectionModel
from bench.probing.settings import Input, Settings, Task, load_probe_recipe, probe_recipes
from bench.probing.targets import mirrored
from bench.probing.tuning import Model, fine_tune, put_head
from bench.progress import Advance

STEPS = Settings(size=64, steps=6, batch_size=3, learning_rate=0.02, clip=10)


def tree(root: Path) -> Tree:
    return catalog.data_tree("voc2007") | {"init_args": {"root": str(root), "num_workers": 0}}


def model(task: Task, settings: Settings, width: float = 1 / 16) -> Model:
    torch.manual_seed(0)
    method = build_method(catalog.with_settings(catalog.model_tree("zhang-eccv16"), {"width": width}))
    return put_head(task, Backbone(method, settings.size, Input.gray, ("conv5",)), settings)


@pytest.mark.parametrize("name", probe_recipes())
def test_recipes_are_valid_and_carry_their_name(name: str) -> None:
    assert load_probe_recipe(name).id == name


def test_learning_rate_drops_as_published() -> None:
    settings = load_probe_recipe("paper").classification
    rates = [settings.rate(step) for step in (0, 9_999, 10_000, 79_999)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 1e-3 * 0.5**7])


def test_mirroring_takes_objects_and_maps_along() -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.4, 0.9]])
    picture, target = mirrored(torch.arange(12.0).reshape(3, 2, 2), {"boxes": boxes, "map": torch.tensor([[1, 2]])})
    assert picture[0].tolist() == [[1, 0], [3, 2]]
    assert torch.allclose(target["boxes"], torch.tensor([[0.6, 0.2, 0.9, 0.9]]))
    assert target["map"].tolist() == [[2, 1]]


def test_tasks_want_what_the_annotators_drew(voc: Path) -> None:
    presence = load_data(tree(voc), Task.classification, 64, None)
    boxes = load_data(tree(voc), Task.detection, 64, None)
    maps = load_data(tree(voc), Task.segmentation, 64, None)
    assert (len(boxes.learnt), len(boxes.tested), boxes.counts()["classes"]) == (6, 4, 20)
    (shown,), (found,), (labels,) = (next(each.tested.batches(1)).targets for each in (presence, boxes, maps))
    certain = found["labels"][~found["difficult"]]
    assert set((shown["present"] == 1).nonzero().flatten().tolist()) == {int(label) - 1 for label in certain}
    assert bool(((found["boxes"] >= 0) & (found["boxes"] <= 1)).all())
    assert list(labels["map"].shape) == found["size"].tolist()
    assert boxes.digests == presence.digests != maps.digests


def test_training_repeats_itself_and_leaves_statistics_alone(voc: Path) -> None:
    data = load_data(tree(voc), Task.classification, STEPS.size, None)
    settings = STEPS.changed(steps=3)
    states = []
    for _ in range(2):
        tuned = model(Task.classification, settings)
        before = {name: value.clone() for name, value in tuned.named_buffers()}
        fine_tune(tuned, data.learnt, settings, 0, Advance("steps", 3, None))
        assert all(torch.equal(value, before[name]) for name, value in tuned.named_buffers())
        states.append(tuned.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "steps", "rate"),
    [(Task.classification, 60, 0.02), (Task.segmentation, 60, 0.005), (Task.detection, 30, 0.005)],
)
def test_fine_tuning_learns_real_photos(task: Task, steps: int, rate: float, voc: Path) -> None:
    settings = Settings(size=64, steps=steps, batch_size=3, learning_rate=rate, clip=10)
    data = load_data(tree(voc), task, settings.size, None)
    tuned = model(task, settings, width=1 / 8)
    torch.manual_seed(1)
    batch = next(data.learnt.batches(6))
    before = float(tuned.loss(batch.lab, batch.targets).detach())
    scores = tuned.score(data.learnt.batches(3))
    fine_tune(tuned, data.learnt, settings, 0, Advance("steps", steps, None))
    if isinstance(tuned, DetectionModel):
        torch.manual_seed(1)
    assert float(tuned.loss(batch.lab, batch.targets).detach()) < 0.8 * before
    assert tuned.score(data.learnt.batches(3))["mean"] >= scores["mean"]


@pytest.mark.slow
def test_supervised_features_are_those_of_torchvision(tmp_path: Path) -> None:
    from torchvision.models import alexnet

    from bench.probing.supervised import SUPERVISED, SupervisedBackbone
    from datamodules.color import rgb_to_lab

    torch.manual_seed(0)
    network = alexnet().eval()
    path = tmp_path / SUPERVISED["alexnet"].file
    torch.save(network.state_dict(), path)
    backbone = SupervisedBackbone("alexnet", path, 96, Input.color)
    rgb = torch.rand(2, 3, 96, 96) * 0.8 + 0.1
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        maps, wanted = backbone(rgb_to_lab(rgb)), network.features[:-1]((rgb - mean) / std)
        assert list(maps) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
        assert torch.allclose(maps["conv5"], wanted, atol=1e-3)
        gray = SupervisedBackbone("alexnet", path, 96, Input.gray)(rgb_to_lab(rgb))
    assert not torch.allclose(gray["conv1"], maps["conv1"], atol=1e-2)
