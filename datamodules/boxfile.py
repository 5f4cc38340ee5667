"""The box file: what a detector found, as COCO JSON with scores and a digest. Reads plain COCO files too."""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from datamodules.images import path_to_key
from datamodules.photos import Annotation, Photo, Segmentation

Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""An id, as the tensors of a batch can hold it."""


class BoxInfo(BaseModel):
    """Say where boxes come from. Keys of plain COCO files (`year`, `url`, ...) are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    detector: str | None = None
    weights_sha256: str | None = None
    score_threshold: float | None = None
    max_boxes: int | None = None
    luminance: str | None = None
    digest: str | None = None


class BoxImage(BaseModel):
    """Name one picture; `width` and `height` in pixels after its EXIF rotation."""

    model_config = ConfigDict(frozen=True)

    id: Number
    file_name: str
    width: int | None = None
    height: int | None = None

    @property
    def key(self) -> str:
        """The picture's key: its file name without the suffix."""
        return path_to_key(str(PurePosixPath(self.file_name)))


class BoxCategory(BaseModel):
    """Name a category."""

    model_config = ConfigDict(frozen=True)

    id: Number
    name: str


def pack_segmentation(content: object) -> Segmentation | None:
    """Return what a file says of a region in the form that takes little memory."""
    return content if content is None or isinstance(content, Segmentation) else Segmentation.pack(content)


def unpack_segmentation(segmentation: Segmentation | None) -> Any:
    """Return a region as it stands in a file."""
    return None if segmentation is None else segmentation.unpack()


class BoxAnnotation(BaseModel):
    """Hold one box: x, y, width, height in pixels of the photo after its EXIF rotation.

    A box may be any four numbers, since whoever takes it clips it and leaves out what has no area.
    """

    model_config = ConfigDict(frozen=True)

    id: Number
    image_id: Number
    category_id: Number
    bbox: tuple[float, float, float, float]
    score: FiniteFloat | None = None
    area: FiniteFloat | None = None
    iscrowd: bool | None = None
    segmentation: Annotated[
        Segmentation | None, PlainValidator(pack_segmentation), PlainSerializer(unpack_segmentation)
    ] = None

    def to_annotation(self) -> Annotation:
        """Return the same as the suite's own type; a missing area is that of the box, a finite number in any case."""
        area = min(self.bbox[2] * self.bbox[3], sys.float_info.max) if self.area is None else self.area
        crowd = bool(self.iscrowd)
        return Annotation(self.id, self.category_id, self.bbox, area, crowd, self.score, self.segmentation)


class BoxFile(BaseModel):
    """Hold the boxes of a set of photos."""

    model_config = ConfigDict(frozen=True)

    info: BoxInfo = Field(default_factory=BoxInfo)
    images: tuple[BoxImage, ...]
    categories: tuple[BoxCategory, ...]
    annotations: tuple[BoxAnnotation, ...]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse numbers that are given twice, names that leave the folder, and boxes of unknown pictures."""
        for what, entries in (("images", self.images), ("annotations", self.annotations)):
            refuse_twice(what, [entry.id for entry in entries])
        for image in self.images:
            check_name(image.file_name)
        refuse_twice("pictures", [image.key for image in self.images])
        known = {image.id for image in self.images}
        for annotation in self.annotations:
            if annotation.image_id not in known:
                raise ValueError(f"annotation {annotation.id} is of picture {annotation.image_id}, which is not listed")
        return self

    @cached_property
    def photos(self) -> Mapping[str, Photo]:
        """All pictures with their boxes, by key, sorted by key."""
        found: dict[int, list[Annotation]] = {image.id: [] for image in self.images}
        for annotation in self.annotations:
            found[annotation.image_id].append(annotation.to_annotation())
        photos = (
            Photo(image.key, tuple(found[image.id]), file_name=image.file_name, image_id=image.id)
            for image in self.images
        )
        return {photo.key: photo for photo in sorted(photos, key=lambda photo: photo.key)}

    @cached_property
    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """(height, width) of the pictures that the file gives it for, by key."""
        return {
            image.key: (image.height, image.width)
            for image in self.images
            if image.height is not None and image.width is not None
        }

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content without `info.digest`, as canonical JSON, in hexadecimal."""
        content = self.model_dump(mode="python", exclude_none=True)
        content["info"].pop("digest", None)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def boxes(self, key: str) -> tuple[Annotation, ...]:
        """Return the boxes of a picture in the file's order; none for a picture that the file doesn't list."""
        photo = self.photos.get(key)
        return () if photo is None else photo.annotations

    def check_size(self, key: str, size: tuple[int, int]) -> None:
        """Refuse a photo whose (height, width) is not what its boxes were measured in.

        Raises:
            ValueError: The sizes differ.
        """
        listed = self.sizes.get(key, size)
        if listed != size:
            raise ValueError(
                f"the box file gives {key!r} as {listed[1]} x {listed[0]} pixels, but the photo, after its EXIF "
                f"rotation, has {size[1]} x {size[0]}: make the boxes from these photos"
            )

    def write(self, path: Path) -> None:
        """Write the file with its digest, whole or not at all."""
        content = self.model_dump(mode="python", exclude_none=True)
        content["info"] = {**dict.fromkeys(BoxInfo.model_fields), **content["info"], "digest": self.digest}
        text = json.dumps(content, indent=1, allow_nan=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def collect_boxes(
    info: BoxInfo,
    photos: Iterable[tuple[Photo, tuple[int, int], Sequence[Annotation]]],
    categories: Mapping[int, str],
) -> BoxFile:
    """Make a box file of what was found in photos.

    Args:
        info: the detector and its settings.
        photos: each photo, its (height, width) after the EXIF rotation, and its boxes. Pictures keep their `image_id`
            if all have one, else they are numbered from 1 in order of name; boxes are numbered from 1.
        categories: names by category id.
    """
    ordered = sorted(photos, key=lambda found: found[0].key)
    numbered = all(photo.image_id is not None for photo, _, _ in ordered)
    images: list[BoxImage] = []
    annotations: list[BoxAnnotation] = []
    for place, (photo, (height, width), boxes) in enumerate(ordered, start=1):
        number = photo.image_id if numbered and photo.image_id is not None else place
        images.append(BoxImage(id=number, file_name=photo.file_name or photo.key, width=width, height=height))
        for box in boxes:
            annotations.append(
                BoxAnnotation(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=box.category_id,
                    bbox=box.bbox,
                    score=box.score,
                    area=box.area,
                    segmentation=box.segmentation,
                )
            )
    names = tuple(BoxCategory(id=number, name=name) for number, name in sorted(categories.items()))
    return BoxFile(info=info, images=tuple(images), categories=names, annotations=tuple(annotations))


def read_boxes(path: Path) -> BoxFile:
    """Read a box file or any COCO file with boxes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: This is no COCO file, naming what is missing; or its digest is not that of its content.
    """
    text = path.read_bytes()
    try:
        boxes = BoxFile.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{path.name} is no COCO file with boxes: {describe(error)}") from None
    if boxes.info.detector is not None and boxes.info.digest not in (None, boxes.digest):
        raise ValueError(
            f"{path.name} was changed after it was written: its digest is {boxes.digest}, not {boxes.info.digest}. "
            "Detect again, or remove info.digest if the change was meant"
        )
    return boxes


def describe(error: ValidationError) -> str:
    """Return the first three complaints of pydantic on one line, without its links."""
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [".".join(str(part) for part in one["loc"]) + ": " + one["msg"] for one in complaints[:3]]
    more = f" and {len(complaints) - 3} more" if len(complaints) > 3 else ""
    return "; ".join(line.removeprefix(": ") for line in lines) + more


def refuse_twice(what: str, names: Sequence[int | str]) -> None:
    """Refuse names that are not unique."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what}: {twice[0]!r} is given twice")


def check_name(name: str) -> None:
    """Refuse a file name that is absolute or leads out of its folder."""
    path = PurePosixPath(name)
    if not path.parts or "\0" in name or "\\" in name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"images: file_name {name!r} must be a relative path inside of the data folder, with /")
