"""What VGG-16 sees in coloured pictures: whether colour makes things recognisable."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16

from bench.scoring.perceptual import full_precision
from bench.scoring.states import check_state, read_state
from datamodules.photos import PhotoSource
from datamodules.synsets import imagenet_synsets

CHUNK = 8
RIGHT, WRONG = 100.0, 0.0
"""In percent, so that the mean of a set is its accuracy."""


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
    """Return a line that says so where `classification_top1` is asked for and a dataset cannot have it, else none."""
    if "classification_top1" not in metrics or has_imagenet_classes(source):
        return []
    return [
        f"{name}: classification_top1 stays empty, since no picture has an ImageNet class: it wants folders named by "
        "synsets, such as n01440764, and no COCO file, or a standard set with labels, such as imagenet-ctest10k-v1"
    ]


@cache
def load_classifier(path: Path) -> nn.Module:
    """Build torchvision's VGG-16 with its weights from a file; draws no random number.

    Args:
        path: state dict of `torchvision.models.vgg16`.

    Raises:
        UsageError: The file is not such a state dict.
    """
    state = read_state(path)
    with torch.device("meta"):
        network: nn.Module = vgg16()
    check_state(state, network, f"{path.name} does not hold VGG-16")
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def top1(network: nn.Module, rgb: Tensor, labels: Sequence[int]) -> list[float | None]:
    """Return whether the likeliest class of each picture is its own.

    Convention: pictures are prepared as for the network's published accuracy, with torchvision's own transform: shorter
    side to 256, bilinear with antialiasing, the central 224 x 224, mean and deviation of ImageNet. Zhang et al. asked
    the VGG-16 of Caffe, whose accuracy is another.

    Args:
        network: of `load_classifier`, on the device of the pictures.
        rgb: (B, 3, H, W) uint8 sRGB.
        labels: B numbers of ImageNet classes, -1 for a picture of none.

    Returns:
        B values: 100 or 0 percent; None for a picture of no class.
    """
    prepare = VGG16_Weights.IMAGENET1K_V1.transforms()
    known = [index for index, label in enumerate(labels) if label >= 0]
    values: list[float | None] = [None] * len(labels)
    with full_precision(rgb.device):
        for start in range(0, len(known), CHUNK):
            chunk = known[start : start + CHUNK]
            answers = network(prepare(rgb[chunk])).argmax(dim=1).tolist()
            for index, answer in zip(chunk, answers, strict=True):
                values[index] = RIGHT if answer == labels[index] else WRONG
    return values
