from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from torchvision.models import VGG16_Weights

from datamodules.synsets import imagenet_synsets

NAMED_OTHERWISE = {"n02012849", "n03126707", "n03710637", "n03710721"}
"""Classes of which there are two of one name: cranes and maillots, which every list tells apart in its own words."""


def list_of_ultralytics() -> dict[str, str]:
    """Return class names by synset, in the order of the class numbers, without importing the package."""
    spec = find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs ultralytics: the extra [yolo]")
    path = Path(next(iter(spec.submodule_search_locations)), "cfg", "datasets", "ImageNet.yaml")
    found: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))["map"]
    return found


def test_classes_are_sorted_as_a_folder_of_classes_is() -> None:
    synsets = imagenet_synsets()
    assert len(synsets) == len(set(synsets)) == 1000
    assert list(synsets) == sorted(synsets)


def test_order_is_that_of_another_list() -> None:
    assert list(imagenet_synsets()) == list(list_of_ultralytics())


def test_order_is_that_of_torchvisions_networks() -> None:
    theirs = dict(zip(imagenet_synsets(), VGG16_Weights.IMAGENET1K_V1.meta["categories"], strict=True))
    ours = {synset: name.replace("_", " ") for synset, name in list_of_ultralytics().items()}
    assert {synset for synset in ours if ours[synset].lower() != theirs[synset].lower()} == NAMED_OTHERWISE


def test_folders_of_real_photos_are_classes(shared: Path) -> None:
    folders = {path.name for path in (shared / "data" / "imagenet1000-256").iterdir() if path.is_dir()}
    assert len(folders) > 900
    assert folders <= set(imagenet_synsets())
