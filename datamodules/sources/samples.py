"""The colour photos that lie inside scikit-image, matplotlib and ultralytics, with instances drawn for this project."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.images import read_image
from datamodules.photos import Annotation, Photo, Segmentation

OPTIONAL_PACKAGE = "ultralytics"
"""The package whose photos `samples-core` does without."""


class SamplesSource:
    """Give the photos that come with installed packages. Imports none of these packages.

    Args:
        split: `train` or `test`, which never part the two pictures of a stereo pair; None for all photos.
        core: False for `samples`, all photos; True for `samples-core`, without those of ultralytics; None for
            `samples` where ultralytics is installed, else `samples-core`.

    Raises:
        FileNotFoundError: A package or one of its photos is missing.
        ValueError: A photo is not the one that was annotated.
    """

    def __init__(self, split: Literal["train", "test"] | None = None, core: bool | None = None) -> None:
        if split not in {None, "train", "test"}:
            raise ValueError(f"samples have no split {split!r}: choose train, test or None for all")
        self.split = split
        self.core = find_package(OPTIONAL_PACKAGE) is None if core is None else core
        self.paths = {image["key"]: find_photo(image) for image in self.images}

    @property
    def id(self) -> str:
        """The dataset's id: `samples`, or `samples-core` without the photos of ultralytics."""
        return "samples-core" if self.core else "samples"

    @cached_property
    def images(self) -> Sequence[Mapping[str, Any]]:
        """Entries of the annotation file for this split, sorted by key."""
        chosen = [image for image in read_index()["images"] if self.split in {None, image["split"]}]
        chosen = [image for image in chosen if not (self.core and image["package"] == OPTIONAL_PACKAGE)]
        return sorted(chosen, key=lambda image: str(image["key"]))

    @cached_property
    def photos(self) -> Sequence[Photo]:
        """All pictures, sorted by key."""
        found: dict[int, list[Annotation]] = defaultdict(list)
        for entry in read_index()["annotations"]:
            found[entry["image_id"]].append(to_annotation(entry))
        return tuple(
            Photo(
                image["key"],
                tuple(found[image["id"]]),
                file_name=f"{image['key']}{Path(image['file_name']).suffix}",
                image_id=image["id"],
            )
            for image in self.images
        )

    @cached_property
    def categories(self) -> Mapping[int, str]:
        """Names of the annotations' category ids: those of COCO, and above 900 our own."""
        return {entry["id"]: entry["name"] for entry in read_index()["categories"]}

    @property
    def classes(self) -> Sequence[str]:
        """Nothing: the photos have no label."""
        return ()

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB.

        Raises:
            datamodules.images.ImageError: The file is broken.
        """
        return read_image(self.paths[key])

    def digest(self) -> str:
        """Return the sha256 over the dataset's id, its photos and their annotations, in hexadecimal.

        The photos' own digests, which are compared with the files when a source is made, stand for their bytes.
        """
        numbers = {image["id"] for image in self.images}
        annotations = [entry for entry in read_index()["annotations"] if entry["image_id"] in numbers]
        content = [self.id, self.images, annotations]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_index() -> dict[str, Any]:
    """Return the annotation file: COCO JSON whose images name their package, split and sha256 too."""
    text = files("datamodules.sources").joinpath("data/samples.json").read_text(encoding="utf-8")
    index: dict[str, Any] = json.loads(text)
    return index


def to_annotation(entry: Mapping[str, Any]) -> Annotation:
    """Return an entry of the annotation file as the suite's own type."""
    x, y, width, height = entry["bbox"]
    crowd = bool(entry["iscrowd"])
    region = Segmentation.pack(entry["segmentation"])
    return Annotation(entry["id"], entry["category_id"], (x, y, width, height), entry["area"], crowd, None, region)


def find_package(name: str) -> Path | None:
    """Return the folder of an installed top-level package without importing it; None where there is none."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def find_photo(image: Mapping[str, Any]) -> Path:
    """Return the file of an entry after comparing its digest.

    Raises:
        FileNotFoundError: The package is not installed, or it does not hold the file.
        ValueError: The file has another digest than the photo that was annotated.
    """
    package, name = str(image["package"]), str(image["file_name"])
    folder = find_package(package)
    if folder is None:
        remedy = "colorbench[yolo]" if package == OPTIONAL_PACKAGE else "colorbench"
        raise FileNotFoundError(
            f"the photo {image['key']!r} comes with {package}, which is not installed: pip install '{remedy}'"
            + (", or choose samples-core" if package == OPTIONAL_PACKAGE else "")
        )
    path = Path(folder, name)
    if not path.is_file():
        raise FileNotFoundError(f"{package} as installed holds no {name}: install the version of constraints.txt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != image["sha256"]:
        raise ValueError(
            f"{package} as installed holds another {name} than the one that was annotated: its sha256 is {digest}, "
            f"not {image['sha256']}; install the version of constraints.txt"
        )
    return path
