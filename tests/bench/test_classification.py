import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, get_model, get_model_weights, list_models, vgg16
from torchvision.models._api import WeightsEnum

from bench.downloads import KNOWN_FILES, METRIC_FILES
from bench.errors import UsageError
from bench.scoring.classification import (
    OF_GOOGLE,
    Classifier,
    has_imagenet_classes,
    imagenet_labels,
    load_classifier,
    prepare_for,
    tell_classes,
    top1,
)
from bench.scoring.classifiers import CLASSIFIERS, ClassifierFile
from bench.scoring.metrics import find_metric
from bench.scoring.networks import find_networks
from bench.scoring.scorer import Picture, Scorer
from datamodules.protocol import PROTOCOLS
from datamodules.sources.folder import FolderSource

DEVIATION = 0.224
"""The smallest of the three by which the transform divides."""


class Brightest(nn.Module):
    """Say which of the three channels is brightest, and keep what was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.seen.append(pictures)
        return pictures.mean(dim=(2, 3))


VGG16 = CLASSIFIERS["classification_top1"]
MOST_VALUES = 150e6


def make_pictures(count: int, height: int, width: int) -> Tensor:
    """Return smooth pictures in many colours, (count, 3, height, width) uint8."""
    coarse = torch.randint(0, 256, (count, 3, 6, 8), generator=torch.Generator().manual_seed(4)).float()
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").round().to(torch.uint8)


def test_labels_are_the_numbers_of_the_networks() -> None:
    classes = ("n01440764", "n15075141", "tench", "n00000000", "n02099601")
    names = VGG16_Weights.IMAGENET1K_V1.meta["categories"]
    labels = imagenet_labels(classes)
    assert labels == [0, 999, -1, -1, 207]
    assert [names[label] for label in labels if label >= 0] == ["tench", "toilet tissue", "golden retriever"]


@pytest.mark.parametrize(
    ("names", "known"), [(("tench/a", "b"), False), (("tench/a", "n01440764/b"), True), (("n00000000/a",), False)]
)
def test_a_set_without_a_class_of_the_networks_is_told_what_is_wanted(
    names: Sequence[str], known: bool, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.png").touch()
    source = FolderSource(tmp_path)
    assert has_imagenet_classes(source) == known
    assert tell_classes("mine", source, ("psnr",)) == []
    lines = tell_classes("mine", source, ("psnr", "classification_top1"))
    assert [re.findall(r"mine|n01440764|imagenet-ctest10k-v1", line) for line in lines] == (
        [] if known else [["mine", "n01440764", "imagenet-ctest10k-v1"]]
    )


def test_each_picture_is_right_or_wrong_or_of_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.scoring.classification.CHUNK", 2)
    red, green, blue = (torch.eye(3)[channel].mul(200).to(torch.uint8) for channel in range(3))
    pictures = torch.stack([red, green, blue, red, green])[:, :, None, None].expand(-1, -1, 256, 256)
    network = Brightest()
    classifier = Classifier(network, prepare_for(VGG16))
    assert top1(classifier, pictures, [0, -1, 1, 2, 1]) == [100.0, None, 0.0, 0.0, 100.0]
    assert [len(chunk) for chunk in network.seen] == [2, 2]
    assert top1(classifier, pictures[:2], [-1, -1]) == [None, None]
    assert top1(classifier, pictures[:0], []) == []
    assert len(network.seen) == 2


@pytest.mark.parametrize("size", [(256, 256), (300, 400), (120, 90)])
def test_pictures_are_prepared_as_torchvision_prepares_files(size: tuple[int, int]) -> None:
    pictures = make_pictures(3, *size)
    network = Brightest()
    top1(Classifier(network, prepare_for(VGG16)), pictures, [0, 0, 0])
    prepare = VGG16_Weights.IMAGENET1K_V1.transforms()
    files = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]
    wanted = torch.stack([prepare(file) for file in files])
    assert network.seen[0].shape == (3, 3, 224, 224)
    rounding = 0 if min(size) == 256 else 1 / 255 / DEVIATION
    assert (network.seen[0] - wanted).abs().max() <= rounding + 1e-6


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "32 missing: features.0.weight"),
        ([1, 2], "is no state dict"),
        ({"features.0.weight": np.ones(3)}, "cannot be read safely"),
    ],
)
def test_a_file_of_something_else_is_refused(state: object, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "vgg16-397923af.pth"
    torch.save(state, path)
    with pytest.raises(UsageError, match=rf"vgg16-397923af\.pth .*{reason}.*give the published file"):
        load_classifier("classification_top1", path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a file of the published one's form, half a gigabyte, with values that tell pictures apart."""
    with torch.device("meta"):
        form = vgg16().state_dict()
    generator = torch.Generator().manual_seed(0)
    gains = {name: (2 / value[0].numel()) ** 0.5 if value.dim() > 1 else 0.1 for name, value in form.items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg16-397923af.pth"
    torch.save({name: torch.randn(form[name].shape, generator=generator) * gain for name, gain in gains.items()}, path)
    yield path
    path.unlink()
    load_classifier.cache_clear()


@pytest.mark.slow
def test_whole_network_sees_what_torchvisions_sees(weights: Path) -> None:
    theirs = vgg16()
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    theirs.eval()
    pictures = make_pictures(5, 256, 280)
    with torch.no_grad():
        answers = theirs(VGG16_Weights.IMAGENET1K_V1.transforms()(pictures)).argmax(dim=1).tolist()
    assert len(set(answers)) > 1
    before = torch.get_rng_state()
    ours = load_classifier("classification_top1", weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert not ours.network.training
    assert not any(parameter.requires_grad for parameter in ours.network.parameters())
    assert top1(ours, pictures, answers) == [100.0] * 5
    wrong = [(answer + 1) % 1000 for answer in answers]
    assert top1(ours, pictures, [*wrong[:4], -1]) == [0.0] * 4 + [None]


def test_the_networks_are_torchvisions_with_their_default_weights() -> None:
    theirs = {name: get_model_weights(name).DEFAULT for name in list_models(torchvision.models)}
    with_classes = {name: one for name, one in theirs.items() if len(one.meta["categories"]) == 1000}
    assert {one.network: one.weights for one in CLASSIFIERS.values()} == {
        name: one.name for name, one in with_classes.items()
    }
    for metric, ours in CLASSIFIERS.items():
        (file,) = METRIC_FILES[metric]
        assert KNOWN_FILES[file].url == with_classes[ours.network].url
        assert KNOWN_FILES[file].digits.startswith(file.removesuffix(".pth").rpartition("-")[2])
        assert (ours.license == "BSD-3-Clause") == ("SWAG" not in with_classes[ours.network].meta.get("license", ""))
        assert find_metric(metric).companion == f"{metric}_truth"


def save_random(one: ClassifierFile, folder: Path) -> Path:
    """Write a file of the published one's form and name, with values that tell pictures apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = get_model(one.network)
        network.train()(torch.rand(4, 3, 96, 96))  # statistics of normalisation that are not those of nothing
    path = folder / one.file
    torch.save(network.state_dict(), path)
    return path


def theirs_of(one: ClassifierFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Return what torchvision itself builds when it is asked for the weights, whose download brings a file."""
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: torch.load(path, weights_only=True))
    network: nn.Module = get_model(one.network, weights=one.weights)
    return network.eval()


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "mnasnet0_5"])
def test_a_run_scores_predictions_and_truths_by_the_network_of_its_metric(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = f"classification_top1_{name}"
    path = save_random(CLASSIFIERS[metric], tmp_path)
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(tmp_path))
    networks, kept, notices = find_networks(["psnr", metric, "classification_top1_vit_h_14"], download=False)
    assert kept == ("psnr", metric)
    assert ["classification_top1_vit_h_14 is left out" in notice for notice in notices] == [True]
    prediction, truth = make_pictures(6, 240, 256).chunk(2)
    theirs = theirs_of(CLASSIFIERS[metric], path, monkeypatch)
    prepare = get_model_weights(name).DEFAULT.transforms()
    with torch.no_grad():
        named, true = (theirs(prepare(each)).argmax(1).tolist() for each in (prediction, truth))
    labels = [named[0], true[1], 999 - named[2]]
    pictures = [Picture(str(index), (240, 256), label=label) for index, label in enumerate(labels)]
    scored = Scorer("r", PROTOCOLS["native-v1"], ("psnr", metric), networks=networks).score(prediction, truth, pictures)
    for row, wanted, was, label in zip(scored.rows, named, true, labels, strict=True):
        assert row.scores[metric] == 100.0 * (wanted == label)
        assert row.scores[f"{metric}_truth"] == 100.0 * (was == label)
    assert scored.rows[0].scores[metric] == scored.rows[1].scores[f"{metric}_truth"] == 100.0


def as_published(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with the names that files of DenseNet and of vision transformers have."""
    if name.startswith("densenet"):
        old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in state.items()}
        return {key: value for key, value in old.items() if not key.endswith("num_batches_tracked")}
    if name.startswith("vit"):
        linear = {"mlp.0": "mlp.linear_1", "mlp.3": "mlp.linear_2"}
        return {re.sub(r"mlp\.[03]", lambda found: linear[found[0]], key): value for key, value in state.items()}
    return state


@pytest.mark.slow
@pytest.mark.parametrize("one", CLASSIFIERS.values(), ids=lambda one: one.network)
def test_every_network_takes_weights_of_its_published_form(
    one: ClassifierFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = get_model_weights(one.network)[one.weights].meta["num_params"]
    if size > MOST_VALUES:
        pytest.skip(f"{size / 1e6:.0f} million values are more than this test writes")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        settings = {"init_weights": False} if one.network in OF_GOOGLE else {}
        state = get_model(one.network, **settings).state_dict()
    path = tmp_path / one.file
    torch.save(as_published(one.network, state), path)
    before = torch.get_rng_state()
    load_classifier.cache_clear()
    ours = load_classifier(one.metric, path)
    load_classifier.cache_clear()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(value.is_meta for value in (*ours.network.parameters(), *ours.network.buffers()))
    theirs = theirs_of(one, path, monkeypatch)
    pictures = ours.prepare(make_pictures(1, 240, 256))
    with torch.no_grad():
        torch.testing.assert_close(ours.network(pictures), theirs(pictures), rtol=0, atol=0)
