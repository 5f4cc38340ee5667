from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.images import ImageError, read_indices
from datamodules.masks import segmentation_to_mask
from datamodules.sources.coco import CocoSource
from datamodules.sources.voc import NUMBERS, VocSource, parse_xml, read_objects
from datamodules.voc import VocDataModule

OBJECT = "<object><name>dog</name>{}<bndbox><xmin>1</xmin><ymin>3</ymin><xmax>3</xmax><ymax>{}</ymax></bndbox></object>"


def annotation(*objects: str) -> bytes:
    size = "<size><width>20</width><height>10</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC</folder>{size}{''.join(objects)}</annotation>".encode()


def write(root: Path, name: str = "2007_000001", data: bytes | None = None) -> Path:
    """Write a folder of one grey picture with one dog, and its label map."""
    for folder in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), "gray").save(root / "JPEGImages" / f"{name}.jpg")
    (root / "Annotations" / f"{name}.xml").write_bytes(annotation(OBJECT.format("", 10)) if data is None else data)
    labels = np.zeros((10, 20), np.uint8)
    labels[2:, :3] = 12
    labels[0] = 255
    Image.fromarray(labels).save(root / "SegmentationClass" / f"{name}.png")
    for image_set in ("Main", "Segmentation"):
        (root / "ImageSets" / image_set / "test.txt").write_text(f"{name}\n")
    return root


def test_boxes_are_counted_from_one_and_include_their_last_pixel() -> None:
    size, (plain, difficult) = read_objects(
        annotation(OBJECT.format("", 10), OBJECT.format("<difficult>1</difficult>", 4)), 5
    )
    assert size == (10, 20)
    assert (plain.bbox, plain.area, plain.category_id, plain.crowd) == ((0, 2, 3, 8), 24, 12, False)
    assert (plain.id, difficult.id, difficult.crowd) == (5, 6, True)


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
        '<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><annotation/>',
        "<!DOCTYPE a><annotation/>",
    ],
)
def test_declarations_are_refused_before_anything_is_expanded(declared: str) -> None:
    with pytest.raises(ValueError, match="document type"):
        parse_xml(declared.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<annotation>", "no XML"),
        (b"", "no XML"),
        (annotation("<object><name>unicorn</name></object>"), "unicorn.*VOC knows"),
        (annotation("<object><name>dog</name></object>"), "no bndbox"),
        (annotation(OBJECT.format("", "nan")), "ymax.*not a number"),
        (annotation(OBJECT.format("", "")), "ymax.*not a number"),
        (b"<annotation>&b;</annotation>", "no XML"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_file(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"(?s)2007_000001\.xml.*{message}"):
        VocSource(write(tmp_path, data=data), "test")


def test_names_stay_inside_and_stand_once(tmp_path: Path) -> None:
    listed = write(tmp_path) / "ImageSets" / "Main" / "test.txt"
    listed.write_text("../../secret\n")
    with pytest.raises(ValueError, match="relative path inside"):
        VocSource(tmp_path, "test")
    listed.write_text("2007_000001\n2007_000001  1\n")
    with pytest.raises(ValueError, match="twice"):
        VocSource(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match=r"val\.txt"):
        VocSource(tmp_path, "val")


def test_label_maps_are_numbers_and_belong_to_the_digest(tmp_path: Path) -> None:
    source = VocSource(write(tmp_path), "test", "Segmentation")
    labels = source.read_labels("2007_000001")
    assert (labels[0, 0], labels[5, 0], labels[5, 10]) == (255, 12, 0)
    before, main = source.digest(), VocSource(tmp_path, "test").digest()
    path = tmp_path / "SegmentationClass" / "2007_000001.png"
    Image.fromarray(np.full((10, 20), 21, np.uint8)).save(path)
    assert VocSource(tmp_path, "test", "Segmentation").digest() != before
    assert VocSource(tmp_path, "test").digest() == main
    with pytest.raises(ImageError, match="holds 21"):
        source.read_labels("2007_000001")
    Image.new("RGB", (20, 10)).save(path)
    with pytest.raises(ImageError, match="mode RGB"):
        read_indices(path)


def test_photo_of_another_size_than_its_annotation_says_is_refused(tmp_path: Path) -> None:
    source = VocSource(write(tmp_path), "test")
    Image.new("RGB", (21, 10)).save(tmp_path / "JPEGImages" / "2007_000001.jpg")
    with pytest.raises(ImageError, match="21 x 10"):
        source.read("2007_000001")


def test_real_photos_keep_their_boxes_and_masks(voc: Path, shared: Path) -> None:
    data, coco = VocDataModule(voc, image_set="Segmentation"), CocoSource(shared / "data" / "coco", "val2017")
    source, truth = data.list_source("test"), {photo.key: photo for photo in coco.photos}
    assert len(source.photos) == 4
    for photo in source.photos:
        given = {each.bbox: each for each in truth[photo.key].annotations}
        assert all(np.isclose(list(given), each.bbox, atol=1e-9).all(1).any() for each in photo.annotations)
        labels, size = source.read_labels(photo.key), coco.sizes[photo.key]
        assert set(np.unique(labels)) - {0, 255} <= {each.category_id for each in photo.annotations}
        last = [each for each in truth[photo.key].annotations if coco.categories[each.category_id] in NUMBERS]
        if last and last[-1].segmentation is not None and not last[-1].crowd:
            mask = segmentation_to_mask(last[-1].segmentation.unpack(), size)
            assert (labels[mask] > 0).all()
    learnt, held = data.source("train"), data.source("val")
    assert (len(learnt.photos), len(held.photos)) == (5, 1)
