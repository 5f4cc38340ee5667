"""Any COCO-style folder of pictures with its JSON of instances."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.boxfile import read_boxes
from datamodules.images import ImageError, open_file, read_image
from datamodules.photos import Photo
from datamodules.sources.digest import digest_photos


class CocoSource:
    """Give the pictures that a COCO file lists.

    Convention:
        Boxes are pixels of the photo after its EXIF rotation, as the JSON's own width and height must be: a photo of
        another size is refused with `error-size`, never scored in the wrong place.

    Args:
        root: holds `train2017/ val2017/ annotations/instances_<split>2017.json`, or with `annotations` the pictures.
        split: `val2017`, or `val` for short; without meaning where `annotations` is given.
        annotations: a COCO file; None for that of `root`.

    Raises:
        FileNotFoundError: The JSON, or every picture, is missing.
        ValueError: The JSON is no COCO file, or names files outside of the folder.
    """

    def __init__(self, root: str | Path, split: str = "val2017", annotations: str | Path | None = None) -> None:
        if annotations is None:
            self.pictures, self.instances = find_split(Path(root), split)
        else:
            self.pictures, self.instances = Path(root), Path(annotations)
        if not self.instances.is_file():
            raise FileNotFoundError(f"there is no COCO file {self.instances}")
        listed = read_boxes(self.instances)
        self.sizes = listed.sizes
        self.photos: Sequence[Photo] = tuple(listed.photos.values())
        self.paths = {photo.key: self.pictures / str(photo.file_name) for photo in self.photos}
        self.categories: Mapping[int, str] = {category.id: category.name for category in listed.categories}
        if self.paths and not any(map(os.path.exists, self.paths.values())):  # Path.exists raises on long names
            first = self.photos[0].file_name
            raise FileNotFoundError(
                f"none of the {len(self.paths)} pictures of {self.instances.name} is in {self.pictures}: no {first}"
            )

    @property
    def classes(self) -> Sequence[str]:
        """Pictures have no label, so there are no classes."""
        return ()

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            ImageError: The file is missing, broken or refused, or has another size than its JSON says.
        """
        picture = read_image(self.paths[key], root=self.pictures)
        check_listed_size(picture, self.sizes.get(key))
        return picture

    def digest(self) -> str:
        """Return the sha256 over names, bytes and annotations of all pictures."""
        return digest_photos(self.photos, lambda key: open_file(self.paths[key], self.pictures))


def check_listed_size(picture: NDArray[np.uint8], listed: tuple[int, int] | None) -> None:
    """Refuse a picture of another (height, width) than its JSON gives, if it gives one: its boxes would be misplaced.

    Raises:
        ImageError: `error-size`.
    """
    height, width, _ = picture.shape
    if listed is not None and listed != (height, width):
        raise ImageError(
            f"{width} x {height} pixels after the EXIF rotation, but its JSON says {listed[1]} x {listed[0]}",
            "error-size",
        )


def find_split(root: Path, split: str) -> tuple[Path, Path]:
    """Return the folder of pictures, in `root` or in its `images`, and the JSON of a split.

    Raises:
        FileNotFoundError: There is no JSON, naming the places.
    """
    names = tuple(dict.fromkeys((split, f"{split.removesuffix('2017')}2017")))
    for name in names:
        instances = root / "annotations" / f"instances_{name}.json"
        if instances.is_file():
            nested = root / "images" / name
            return (nested if nested.is_dir() and not (root / name).is_dir() else root / name), instances
    tried = " and no ".join(f"annotations/instances_{name}.json" for name in names)
    raise FileNotFoundError(
        f"{root} has no {tried}: give the folder that has it, or the JSON as `annotations` of the dataset `coco`"
    )
