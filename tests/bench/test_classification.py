import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16

from bench.errors import UsageError
from bench.scoring.classification import (
    has_imagenet_classes,
    imagenet_labels,
    load_classifier,
    tell_classes,
    top1,
)
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
    assert top1(network, pictures, [0, -1, 1, 2, 1]) == [100.0, None, 0.0, 0.0, 100.0]
    assert [len(chunk) for chunk in network.seen] == [2, 2]
    assert top1(network, pictures[:2], [-1, -1]) == [None, None]
    assert top1(network, pictures[:0], []) == []
    assert len(network.seen) == 2


@pytest.mark.parametrize("size", [(256, 256), (300, 400), (120, 90)])
def test_pictures_are_prepared_as_torchvision_prepares_files(size: tuple[int, int]) -> None:
    pictures = make_pictures(3, *size)
    network = Brightest()
    top1(network, pictures, [0, 0, 0])
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
        load_classifier(path)


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
    ours = load_classifier(weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert not ours.training
    assert not any(parameter.requires_grad for parameter in ours.parameters())
    assert top1(ours, pictures, answers) == [100.0] * 5
    wrong = [(answer + 1) % 1000 for answer in answers]
    assert top1(ours, pictures, [*wrong[:4], -1]) == [0.0] * 4 + [None]
