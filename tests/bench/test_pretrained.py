"""Parts of methods that begin from torchvision's ImageNet weights, with files of the same form made here."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from bench.catalog import data_tree, with_settings
from bench.errors import MissingError, UsageError
from bench.identity import TrainingOptions, identity
from bench.manifest import load_manifest
from bench.pretrained import FILES, check_parts, load_pretrained
from bench.recipe import Recipe, Stage
from bench.training import train
from lightning_modules.baselines.zhang import ZhangColorizer

SCENES = with_settings(data_tree("synthetic"), {"size": 48, "train": 4, "val": 1, "test": 1})


def first_layers(channels: int = 3, width: int = 64) -> nn.Sequential:
    """Return the first two convolutions of VGG, as torchvision numbers them."""
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Tensor]:
    """Leave a file that begins as torchvision's own does where weights are looked for, and return what it holds."""
    torch.manual_seed(3)
    layers = first_layers().state_dict()
    state = {f"features.{key}": tensor for key, tensor in layers.items()} | {"classifier.6.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / FILES["vgg16"])
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(tmp_path))
    return layers


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_names_are_those_of_torchvision(name: str) -> None:
    published = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    assert published.url.rpartition("/")[2] == FILES[name]


def test_a_part_gets_the_leading_layers(published: Mapping[str, Tensor], capsys: pytest.CaptureFixture[str]) -> None:
    part = first_layers()
    check_parts({"vgg16": part}, "larsson-eccv16")
    digests = load_pretrained({"vgg16": part}, "larsson-eccv16")
    assert all(torch.equal(tensor, published[key]) for key, tensor in part.state_dict().items())
    assert list(digests) == [FILES["vgg16"]]
    assert "larsson-eccv16: its vgg16 begins from" in capsys.readouterr().err


def test_a_layer_for_light_answers_as_the_published_one_to_a_gray_picture(published: Mapping[str, Tensor]) -> None:
    part, colored = first_layers(channels=1), first_layers()
    colored.load_state_dict(published)
    load_pretrained({"vgg16": part}, "larsson-eccv16")
    gray = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(part(gray), colored(gray.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("part", [first_layers(width=16), first_layers(channels=2)])
def test_another_width_is_refused_before_any_file_is_looked_for(part: nn.Module) -> None:
    with pytest.raises(UsageError, match=r"torchvision's vgg16: 0\.weight is .*width: 1\.0.*pretrained: false"):
        check_parts({"vgg16": part}, "larsson-eccv16")


def test_a_file_that_lacks_layers_is_refused(published: Mapping[str, Tensor]) -> None:
    deeper = nn.Sequential(*first_layers(), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 128, 3, padding=1))
    check_parts({"vgg16": deeper}, "larsson-eccv16")
    with pytest.raises(UsageError, match=r"does not hold torchvision's vgg16: 2 missing: 5\.weight, 5\.bias"):
        load_pretrained({"vgg16": deeper}, "larsson-eccv16")


def options(out: Path, stage: Stage, **model: float) -> TrainingOptions:
    recipe = Recipe(id="tiny", train_size=32, batch_size=2, model={"prior_photos": 1, **model}, stages={ID: stage})
    return TrainingOptions(out, SCENES, recipe, loggers=("none",))


ID = "zhang-eccv16"
STAGE = Stage(steps=1, learning_rate=1e-3)


@pytest.fixture
def with_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first two layers of `zhang-eccv16`, which have the form of VGG's, begin from its weights."""
    monkeypatch.setattr(ZhangColorizer, "pretrained", lambda self: {"vgg16": self.network.model1[:4]})
    monkeypatch.setenv("COLORBENCH_OFFLINE", "1")


@pytest.mark.usefixtures("with_vgg")
def test_a_training_says_how_the_file_is_got(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no weights vgg16-397923af\.pth .*colorbench weights fetch vgg16-397923af"):
        train(ID, options(tmp_path, STAGE))


@pytest.mark.usefixtures("with_vgg")
def test_a_training_at_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="zhang-eccv16 cannot begin from torchvision's vgg16"):
        train(ID, options(tmp_path, STAGE, width=0.25))


@pytest.mark.usefixtures("with_vgg")
def test_a_recipe_begins_from_random_weights_and_says_so(tmp_path: Path) -> None:
    without = options(tmp_path, STAGE.model_copy(update={"pretrained": False}), width=1 / 16)
    facts = load_manifest(train(ID, without)).training[ID]
    assert (facts["pretrained"], facts["begun_from"]) == (False, None)
    assert identity(ID, options(tmp_path, STAGE))["pretrained"] is None, "as of all trainings before"


@pytest.fixture
def whole_vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Tensor]:
    """Leave a file with all convolutions of a VGG-16 where weights are looked for, and return what it holds."""
    torch.manual_seed(3)
    state = {f"features.{key}": tensor for key, tensor in make_layers(cfgs["D"]).state_dict().items()}
    torch.save(state, tmp_path / FILES["vgg16"])
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(tmp_path))
    return state


@pytest.mark.slow
def test_a_method_is_trained_from_the_file_and_goes_on_without_it(
    whole_vgg: Mapping[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(id="tiny", train_size=32, batch_size=2, stages={"dahl-2016": STAGE})
    first = TrainingOptions(tmp_path / "first", SCENES, recipe, loggers=("none",))
    folder = train("dahl-2016", first)
    assert list(load_manifest(folder).training["dahl-2016"]["begun_from"]) == [FILES["vgg16"]]  # type: ignore[arg-type]  # wider than its type
    saved = load_file(folder / "network.safetensors")
    trunk = {key.removeprefix("trunk."): tensor for key, tensor in saved.items() if key.startswith("trunk.")}
    assert len(trunk) == 20
    assert all(torch.equal(tensor, whole_vgg[f"features.{key}"]) for key, tensor in trunk.items())
    monkeypatch.delenv("COLORBENCH_WEIGHTS")
    monkeypatch.setenv("COLORBENCH_OFFLINE", "1")
    again = train("dahl-2016", replace(first, out=tmp_path / "second", init=first.out))
    assert load_manifest(again).training["dahl-2016"]["begun_from"] is None
    assert torch.equal(load_file(again / "network.safetensors")["trunk.0.weight"], trunk["0.weight"])
