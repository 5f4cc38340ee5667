"""What networks see in coloured pictures: whether colour makes things recognisable."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from bench.scoring.classifiers import CLASSIFIERS, ClassifierFile
from bench.scoring.perceptual import full_precision
from bench.scoring.states import check_state, read_state
from datamodules.photos import PhotoSource
from datamodules.synsets import imagenet_synsets
from lightning_modules.state_dicts import with_counters

CHUNK = 8
RIGHT, WRONG = 100.0, 0.0
"""In percent, so that the mean of a set is its accuracy."""

OF_GOOGLE = frozenset({"googlenet", "inception_v3"})
"""Networks whose published weights want inputs of another scale, which torchvision sets only with its own download."""

REGNET = "regnet_"
"""Networks that look at values while they are built, so that they cannot be built without memory."""

RENAMED = (
    (re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.(\d\.)"), r"\1\2"),
    (re.compile(r"(\.mlp\.)linear_1\."), r"\g<1>0."),
    (re.compile(r"(\.mlp\.)linear_2\."), r"\g<1>3."),
)
"""Names in published files of DenseNet and of vision transformers, and what the layers are called since."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """Hold a network of ImageNet's classes, and how pictures are prepared for it."""

    network: nn.Module
    prepare: Callable[[Tensor], Tensor]

    def to(self, device: torch.device) -> "Classifier":
        """Return the same on a device."""
        return replace(self, network=self.network.to(device))


def imagenet_labels(classes: Sequence[str]) -> list[int]:
    """Return the number that ImageNet's networks give to each class, -1 to those that are none of its.

    Args:
        classes: names by label, such as `n01440764`.
    """
    numbers = {synset: number for number, synset in enumerate(imagenet_synsets())}
    return [numbers.get(name, -1) for name in classes]


def has_imagenet_classes(source: PhotoSource) -> bool:
    """Whether any picture is of a class that ImageNet's networks know."""
    numbers = imagenet_labels(source.classes)
    return any(numbers[photo.label] >= 0 for photo in source.photos if photo.label >= 0)


def tell_classes(name: str, source: PhotoSource, metrics: Sequence[str]) -> list[str]:
    """Return a line that says so where metrics ask for classes and a dataset cannot have them, else none."""
    asking = [metric for metric in metrics if metric in CLASSIFIERS]
    if not asking or has_imagenet_classes(source):
        return []
    verb = "stays" if len(asking) == 1 else "stay"
    return [
        f"{name}: {', '.join(asking)} {verb} empty, since no picture has an ImageNet class: it wants folders named by "
        "synsets, such as n01440764, and no COCO file, or a standard set with labels, such as imagenet-ctest10k-v1"
    ]


@cache
def load_classifier(metric: str, path: Path) -> Classifier:
    """Build the network of a metric with its weights from a file; draws no random number.

    Args:
        metric: that asks it.
        path: state dict of torchvision's network.

    Raises:
        UsageError: The file is not such a state dict.
    """
    file = CLASSIFIERS[metric]
    network = build_classifier(file.network)
    state = {_renamed(name): value for name, value in read_state(path).items()}
    check_state(state, network, f"{path.name} does not hold {file.network}")
    network.load_state_dict(_in_todays_form(state, network), assign=True)
    return Classifier(network.requires_grad_(False).eval(), prepare_for(file))


def build_classifier(name: str) -> nn.Module:
    """Return a network of torchvision as it is for its published weights, without values or with meaningless ones."""
    settings = {"transform_input": True, "init_weights": False} if name in OF_GOOGLE else {}
    place = "cpu" if name.startswith(REGNET) else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(place):
        network: nn.Module = get_model(name, **settings)
    return network


def prepare_for(file: ClassifierFile) -> Callable[[Tensor], Tensor]:
    """Return the transform of the weights: (B, 3, H, W) uint8 to what the network takes."""
    transform: Callable[[Tensor], Tensor] = get_model_weights(file.network)[file.weights].transforms()
    return transform


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = old.sub(new, name)
    return name


def _in_todays_form(state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """Return a state dict that says it was written by this version of torchvision, as its names are."""
    form = network.state_dict()
    form.update(with_counters(state, form))
    return form


def top1(classifier: Classifier, rgb: Tensor, labels: Sequence[int]) -> list[float | None]:
    """Return whether the likeliest class of each picture is its own.

    Convention: pictures are prepared as for the published accuracy of the weights, with torchvision's own transform;
    for VGG-16 shorter side to 256, bilinear with antialiasing, the central 224 x 224, mean and deviation of ImageNet.
    Zhang et al. asked the VGG-16 of Caffe, whose accuracy is another.

    Args:
        classifier: of `load_classifier`, on the device of the pictures.
        rgb: (B, 3, H, W) uint8 sRGB.
        labels: B numbers of ImageNet classes, -1 for a picture of none.

    Returns:
        B values: 100 or 0 percent; None for a picture of no class.
    """
    known = [index for index, label in enumerate(labels) if label >= 0]
    values: list[float | None] = [None] * len(labels)
    with full_precision(rgb.device):
        for start in range(0, len(known), CHUNK):
            chunk = known[start : start + CHUNK]
            answers = classifier.network(classifier.prepare(rgb[chunk])).argmax(dim=1).tolist()
            for index, answer in zip(chunk, answers, strict=True):
                values[index] = RIGHT if answer == labels[index] else WRONG
    return values
