"""A folder in the form of PASCAL VOC: pictures, boxes in XML, label maps, and lists of what belongs to a split."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from datamodules.boxfile import check_name
from datamodules.images import ImageError, open_file, read_image, read_indices
from datamodules.photos import Annotation, Photo
from datamodules.sources.coco import check_listed_size
from datamodules.sources.digest import digest_photos

ImageSet = Literal["Main", "Segmentation"]

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The objects, numbered from 1 as in the label maps, where 0 is the background."""

VOID = 255
"""Pixels of a label map that belong to no class: borders, and what is not scored."""

NUMBERS = {name: number for number, name in enumerate(CLASSES, 1)}
MOST_BYTES = 2**22
"""Largest annotation file that is read."""


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuse the declarations that entities come with, before any is defined."""

    def doctype(self, name: str, *_: str | None) -> None:
        raise ValueError(f"it declares a document type {name!r}, which an annotation needs none of")


def parse_xml(data: bytes) -> ElementTree.Element:
    """Return the root of an XML text in which nothing is declared, so that no entity can be expanded.

    Raises:
        ValueError: It is no XML, or declares a document type.
    """
    try:
        return ElementTree.fromstring(data, ElementTree.XMLParser(target=_NoDoctype()))  # noqa: S314 - no entities
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error


def read_objects(data: bytes, first: int) -> tuple[tuple[int, int] | None, tuple[Annotation, ...]]:
    """Return the (height, width) that an annotation names, None where it does not, and its objects.

    Convention:
        VOC counts pixels from 1 and includes the last one: a box of xmin 1 and xmax 3 has x 0 and width 3. Objects that
        are marked difficult become `crowd`, which is neither trained on nor counted as missed.

    Args:
        data: the XML.
        first: id of the first object; the others follow.

    Raises:
        ValueError: It is no such XML, or names an object that VOC does not know.
    """
    root = parse_xml(data)
    size = root.find("size")
    objects = (_annotation(node, first + place) for place, node in enumerate(root.iter("object")))
    return None if size is None else (int(_number(size, "height")), int(_number(size, "width"))), tuple(objects)


def _annotation(node: ElementTree.Element, number: int) -> Annotation:
    name = (node.findtext("name") or "").strip()
    if name not in NUMBERS:
        raise ValueError(f"an object is called {name!r}; VOC knows {', '.join(CLASSES)}")
    box = node.find("bndbox")
    if box is None:
        raise ValueError(f"a {name} has no bndbox")
    left, top, right, bottom = (_number(box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    width, height = right - left + 1, bottom - top + 1
    difficult = (node.findtext("difficult") or "0").strip() == "1"
    return Annotation(number, NUMBERS[name], (left - 1, top - 1, width, height), width * height, difficult)


def _number(node: ElementTree.Element, key: str) -> float:
    text = node.findtext(key)
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{key} of a {node.tag} is {text!r}, not a number")
    return value


class VocSource:
    """Give the pictures that a list of a VOC folder names, with their objects.

    Args:
        root: holds `JPEGImages`, `Annotations`, `ImageSets` and, for label maps, `SegmentationClass`.
        split: name of the list, such as `trainval`.
        image_set: `Main`, or `Segmentation` for the pictures that have label maps.

    Raises:
        FileNotFoundError: There is no such list, or a picture's annotation is missing.
        ValueError: A name leads out of the folder or stands twice, or an annotation cannot be read.
    """

    classes: Sequence[str] = ()
    categories: Mapping[int, str] = MappingProxyType(dict(enumerate(CLASSES, 1)))

    def __init__(self, root: str | Path, split: str, image_set: ImageSet = "Main") -> None:
        self.root = Path(root)
        listed = self.root / "ImageSets" / image_set / f"{split}.txt"
        if not listed.is_file():
            raise FileNotFoundError(f"there is no list {listed}: give a VOC folder, with JPEGImages and ImageSets")
        keys = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not keys or len(set(keys)) < len(keys):
            raise ValueError(f"{listed} names no picture, or one of them twice")
        self.image_set: ImageSet = image_set
        self.sizes: dict[str, tuple[int, int]] = {}
        self.photos: Sequence[Photo] = self._photos(sorted(keys))

    def _photos(self, keys: Sequence[str]) -> tuple[Photo, ...]:
        photos, objects = [], 0
        for key in keys:
            photos.append(self._photo(key, 1 + objects))
            objects += len(photos[-1].annotations)
        return tuple(photos)

    def _photo(self, key: str, first: int) -> Photo:
        check_name(key)
        path = self.root / "Annotations" / f"{key}.xml"
        if not path.is_file():
            raise FileNotFoundError(f"there is no annotation {path}, but ImageSets names {key}")
        try:
            with open_file(path, self.root) as file:
                size, objects = read_objects(file.read(MOST_BYTES), first)
        except (ValueError, ImageError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if size is not None:
            self.sizes[key] = size
        return Photo(key, objects, file_name=f"JPEGImages/{key}.jpg")

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            ImageError: The file is missing, broken or refused, or has another size than its annotation says.
        """
        picture = read_image(self._path(key), root=self.root)
        check_listed_size(picture, self.sizes.get(key))
        return picture

    def read_labels(self, key: str) -> NDArray[np.uint8]:
        """Return the label map of a picture, (H, W) uint8: 0 background, 1 to 20 a class, 255 void.

        Raises:
            ImageError: The file is missing, broken or refused, or holds other numbers.
        """
        labels = read_indices(self._label_path(key), root=self.root)
        if ((labels > len(CLASSES)) & (labels != VOID)).any():
            raise ImageError(f"the label map holds {labels[labels != VOID].max()}, but classes go up to {len(CLASSES)}")
        return labels

    def digest(self) -> str:
        """Return the sha256 over names, bytes and boxes of all pictures, and for `Segmentation` of their label maps."""
        pictures = digest_photos(self.photos, lambda key: open_file(self._path(key), self.root))
        if self.image_set == "Main":
            return pictures
        maps = digest_photos(self.photos, lambda key: open_file(self._label_path(key), self.root))
        return hashlib.sha256(f"{pictures}\n{maps}".encode()).hexdigest()

    def _path(self, key: str) -> Path:
        return self.root / "JPEGImages" / f"{key}.jpg"

    def _label_path(self, key: str) -> Path:
        return self.root / "SegmentationClass" / f"{key}.png"
