"""The 1000 classes of ImageNet-1k by the names that their folders bear. Knows no torch."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet-1k's classes, such as `n01440764`, by the index that networks give them.

    Convention: the sorted order, as torchvision, Keras and timm number them; the challenge's own kit numbers otherwise.
    """
    return tuple((files("datamodules") / "manifests" / "imagenet-synsets.txt").read_text("ascii").split())
