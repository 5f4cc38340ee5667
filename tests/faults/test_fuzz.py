"""Properties that hold for anything: boxes, names, rows, records and damaged pictures.

Each is tried on a few cases in every run of the tests, and on hundreds in the slow tier; the cases are always the same.
"""

import contextlib
import csv
import io
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image
from pydantic import ValidationError

from bench.errors import UsageError
from bench.files import path_below
from bench.record import count_rows, rows_digest, score_images, score_instances
from bench.report.page import _environment
from bench.rows import InstanceRow, Row, read_rows
from bench.scoring.evaluator import shorten_reason
from bench.scoring.instances import find_instances, place_box
from bench.sheet import escape_markdown
from bench.suite import check_name
from bench.tables import table_to_csv, unescape_text
from bench.terminal import CONTROL, visible, visible_lines
from datamodules.boxes import annotations_to_boxes, crop_boxes
from datamodules.boxfile import BoxFile, read_boxes
from datamodules.images import ImageError, path_to_key, printable_name, read_open
from datamodules.photos import Annotation
from datamodules.protocol import PROTOCOLS
from datamodules.types import Boxes

Property = Callable[..., None]
PROPERTIES: dict[str, tuple[Property, Mapping[str, SearchStrategy[Any]]]] = {}


def holds(**strategies: SearchStrategy[Any]) -> Callable[[Property], Property]:
    """Enter a function into the properties, with what its arguments are drawn from."""

    def enter(function: Property) -> Property:
        PROPERTIES[function.__name__] = function, strategies
        return function

    return enter


def attempt(name: str, examples: int) -> None:
    """Try a property on so many cases."""
    function, strategies = PROPERTIES[name]
    unhurried = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    unhurried(given(**strategies)(function))()


# Boxes

sides = st.integers(1, 900)
quarters = st.integers(-4000, 8000).map(lambda number: number / 4)
anything = st.floats(width=64)
any_box = st.tuples(anything, anything, anything, anything)
annotations = st.lists(
    st.builds(Annotation, st.integers(1, 9), st.just(1), any_box, st.just(1.0), st.booleans()), max_size=6
)
protocols = st.sampled_from(sorted(PROTOCOLS))


def place_exactly(
    bbox: tuple[float, float, float, float], crop: tuple[int, int, int, int], size: tuple[int, int]
) -> tuple[int, ...]:
    """Return the pixels that a box touches, in whole fractions."""
    edges = []
    for axis in range(2):
        start, end, pixels = crop[axis], crop[axis + 2], size[1 - axis]
        low, high = Fraction(bbox[axis]), Fraction(bbox[axis]) + Fraction(bbox[axis + 2])
        low, high = (max(min(edge, Fraction(end)), Fraction(start)) for edge in (low, high))
        if low >= high:
            return 0, 0, 0, 0
        scale = Fraction(pixels, end - start)
        edges.append((math.floor((low - start) * scale), math.ceil((high - start) * scale)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


@holds(bbox=st.tuples(quarters, quarters, quarters, quarters), width=sides, height=sides, protocol=protocols)
def boxes_are_placed_exactly(bbox: tuple[float, float, float, float], width: int, height: int, protocol: str) -> None:
    crop, side = PROTOCOLS[protocol].crop(width, height), PROTOCOLS[protocol].size
    size = (side, side) if side else (height, width)
    expected = place_exactly(bbox, crop, size) if bbox[2] > 0 and bbox[3] > 0 else (0, 0, 0, 0)
    assert place_box(bbox, crop, size) == expected


@holds(found=annotations, width=sides, height=sides, protocol=protocols)
def every_annotation_is_scored_or_counted(found: list[Annotation], width: int, height: int, protocol: str) -> None:
    crop, side = PROTOCOLS[protocol].crop(width, height), PROTOCOLS[protocol].size
    size = (side, side) if side else (height, width)
    instances = find_instances(found, crop, size)
    assert len(instances.scored) + instances.left_out_small + instances.left_out_crowd == len(found)
    assert instances.left_out_crowd == sum(one.crowd for one in found)
    for _, (left, top, right, bottom) in instances.scored:
        assert 0 <= left < left + 16 <= right <= size[1]
        assert 0 <= top < top + 16 <= bottom <= size[0]


@holds(found=annotations, width=sides, height=sides)
def boxes_are_clipped_as_numpy_clips(found: list[Annotation], width: int, height: int) -> None:
    corners = []
    for one in found:
        x, y, wide, high = one.bbox
        with np.errstate(all="ignore"):
            clipped = np.clip([x, y, x + wide, y + high], 0, [width, height, width, height])
        if not one.crowd and np.isfinite(one.bbox).all() and clipped[2] > clipped[0] and clipped[3] > clipped[1]:
            corners.append(clipped)
    boxes = annotations_to_boxes(found, (height, width))
    np.testing.assert_array_equal(boxes.xyxy.numpy(), np.array(corners, np.float32).reshape(-1, 4))


@holds(bbox=st.tuples(quarters, quarters, quarters, quarters), width=st.integers(1, 40), height=st.integers(1, 40))
def crops_are_the_pixels_of_their_box(bbox: tuple[float, float, float, float], width: int, height: int) -> None:
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8)
    boxes: Boxes = annotations_to_boxes([Annotation(1, 1, bbox, 1.0)], (height, width))
    crops = crop_boxes(Image.fromarray(pixels), boxes, 8)
    assert len(crops) == len(boxes)
    for (left, top, right, bottom), crop in zip(boxes.xyxy.int().tolist(), crops, strict=True):
        left, top = min(left, width - 1), min(top, height - 1)
        cut = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
        wanted = Image.fromarray(np.ascontiguousarray(cut)).resize((8, 8), Image.Resampling.BILINEAR)
        assert np.array_equal(np.asarray(crop), np.asarray(wanted))


scalars = st.none() | st.booleans() | st.integers() | anything | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
places = st.sampled_from(
    [("images",), ("annotations",), ("categories",), ("info",), ("info", "detector"), ("info", "digest")]
    + [("images", 0, key) for key in ("id", "file_name", "width", "height")]
    + [("annotations", 0, key) for key in ("id", "image_id", "bbox", "area", "score", "iscrowd", "segmentation")]
    + [("categories", 0, key) for key in ("id", "name")]
)


@holds(changes=st.lists(st.tuples(places, values), max_size=3))
def a_box_file_is_refused_or_read_back(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    content: Any = {
        "info": {},
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12.0}],
    }
    for place, value in changes:
        with contextlib.suppress(TypeError, KeyError, IndexError):
            inner = content
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
    try:
        boxes = BoxFile.model_validate_json(json.dumps(content))
    except ValidationError:
        return
    for photo in boxes.photos.values():
        assert ".." not in photo.key.split("/")
        assert all(math.isfinite(one.area) or not np.isfinite(one.bbox).all() for one in photo.annotations)
        annotations_to_boxes(photo.annotations, (9, 9))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ValueError):  # numbers that are none
        boxes.write(Path(folder, "boxes.json"))
        assert read_boxes(Path(folder, "boxes.json")).digest == boxes.digest


# Names

names = st.text(max_size=300) | st.text(st.sampled_from("./\\~%a\0 '\n"), max_size=12)


@holds(key=names, suffix=st.sampled_from(["", ".png", ".truth.png"]))
def a_key_stays_below_its_folder(key: str, suffix: str) -> None:
    folder = Path("/nowhere/results")
    try:
        path = path_below(folder, key, suffix)
    except ValueError:
        return
    assert path.is_relative_to(folder)
    assert ".." not in path.parts
    assert path != folder
    assert all(len(os.fsencode(part)) <= 255 for part in path.parts)


@holds(raw=st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def every_file_has_a_key_that_can_be_written(raw: bytes) -> None:
    name = printable_name(os.fsdecode(raw))
    name.encode("utf-8")
    assert "\\" not in name
    key = path_to_key(name)
    assert name.startswith(key)
    assert json.loads(json.dumps(key)) == key


@holds(name=names)
def a_name_is_short_and_plain_or_refused(name: str) -> None:
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    good = 1 <= len(name) <= 100 and set(name) <= plain and name[0].isalnum()
    if good:
        assert check_name(name) == name
    else:
        with pytest.raises(UsageError):
            check_name(name)


cells = st.text(max_size=12) | st.text(st.sampled_from("'=+-@\t\r\n,\" a"), max_size=6)


@holds(lines=st.lists(st.tuples(cells, cells, st.floats(allow_nan=False, allow_infinity=False)), max_size=5))
def tables_are_read_back_and_run_nothing(lines: list[tuple[str, str, float]]) -> None:
    text = table_to_csv(("a", "b", "c"), lines).encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    _, *found = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert [(unescape_text(a), unescape_text(b), float(c)) for a, b, c in found] == lines
    assert not [cell for line in found for cell in line[:2] if cell.startswith(tuple("=+-@\t\r"))]


class Words(HTMLParser):
    """Collect the text and the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags = "", list[str]()
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


words = st.text(max_size=20) | st.text(st.sampled_from("<>&\"'`*_[]()!|#~\\{}%/=:;a1 \n\x1b\u202e"), max_size=16)


@holds(text=words)
def a_page_shows_names_as_text(text: str) -> None:
    template = _environment().from_string('<p title="{{ text | visible }}">{{ text | visible }}</p>')
    page = Words(template.render(text=text))
    assert page.tags == ["p"]
    assert page.words == visible(text)


@holds(text=words)
def markdown_shows_names_as_text(text: str) -> None:
    from markdown_it import MarkdownIt  # comes with rich

    escaped = escape_markdown(text)
    assert "\n" not in escaped
    page = Words(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"| a |\n|---|\n| {escaped} |\n"))
    assert page.tags == ["table", "thead", "tr", "th", "tbody", "tr", "td"]
    assert "".join(page.words.split()) == "a" + "".join(visible(text).split())


@holds(text=st.text())
def the_terminal_obeys_no_name(text: str) -> None:
    assert not CONTROL.search(visible(text))
    assert not CONTROL.search(visible_lines(text).replace("\n", ""))
    assert len(visible(text)) == len(text)


folders = st.lists(
    st.text(st.sampled_from("abc xyz.-_1"), min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=4
)


@holds(parts=folders, before=st.sampled_from(["cannot open ", "cannot open '", "", "file://", "in ("]))
def reasons_name_no_folder(parts: list[str], before: str) -> None:
    folder = "/home/secret/" + "/".join(part.strip() for part in parts)
    kept = shorten_reason(f"{before}{folder}/photo.png: gone")
    assert "secret" not in kept
    assert "photo.png" in kept


# Rows and records

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)
scores = st.fixed_dictionaries({"psnr": st.none() | finite, "ssim": st.none() | finite})
instances = st.builds(
    InstanceRow,
    instance=st.integers(0, 2**63 - 1),
    category_id=st.integers(0, 99),
    category=words.map(lambda text: text.encode("utf-8", "replace").decode()),
    area=finite,
    size=st.sampled_from(["small", "medium", "large"]),
    x=st.integers(0, 99),
    y=st.integers(0, 99),
    width=st.integers(16, 99),
    height=st.integers(16, 99),
    scores=scores,
)


def make_row(image: str, failed: bool, gray: bool, values: Any, found: list[InstanceRow]) -> Row:
    """Return a row, with an error or with scores."""
    if failed:
        return Row(run_id="r", image=image, status="error-decode", message="it is broken")
    status = "gray-truth" if gray else "ok"
    return Row.model_validate(
        {"run_id": "r", "image": image, "status": status, "width": 99, "height": 99, "scores": values}
        | {"instances": found, "n_instances": len(found)}
    )


images = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
rows_of = st.builds(make_row, images, st.booleans(), st.booleans(), scores, st.lists(instances, max_size=2))
row_sets = st.lists(rows_of, max_size=8, unique_by=lambda row: row.image)
tails = st.sampled_from([b"", b"\0" * 40, b'{"run_id":"r","image":"torn', b"{", b"\0\n"])


@holds(row=rows_of)
def a_row_is_one_line_and_read_back(row: Row) -> None:
    line = row.to_json()
    assert len(line.splitlines()) == 1
    assert Row.model_validate(json.loads(line)) == row
    assert Row.model_validate(json.loads(line)).to_json() == line


@holds(rows=row_sets, data=st.data())
def any_split_of_rows_over_processes_is_the_whole(rows: list[Row], data: st.DataObject) -> None:
    order = data.draw(st.permutations(rows + data.draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []))
    ranks = [data.draw(st.integers(0, 3)) for _ in order]
    with tempfile.TemporaryDirectory() as folder:
        for rank in range(4):
            lines = [f"{row.to_json()}\n".encode() for row, own in zip(order, ranks, strict=True) if own == rank]
            Path(folder, f"rows.rank{rank}.jsonl").write_bytes(b"".join(lines) + data.draw(tails))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_rows(Path(folder), "r")
    assert found == {row.image: row for row in rows}
    assert list(found) == sorted(found)


@holds(rows=row_sets, data=st.data())
def means_and_digests_hang_on_no_order(rows: list[Row], data: st.DataObject) -> None:
    other = data.draw(st.permutations(rows))
    for metric in ("psnr", "ssim"):
        assert score_images(rows, metric).model_dump_json() == score_images(other, metric).model_dump_json()
        assert score_instances(rows, metric).model_dump_json() == score_instances(other, metric).model_dump_json()
    assert (count_rows(rows), rows_digest(rows)) == (count_rows(other), rows_digest(other))


@holds(rows=row_sets)
def a_mean_is_the_plain_one(rows: list[Row]) -> None:
    counted = [row.scores["psnr"] for row in rows if row.status == "ok"]
    numbers = [Fraction(value) for value in counted if value is not None]
    score = score_images(rows, "psnr")
    assert score.n == len(numbers)
    if numbers:
        assert score.mean == pytest.approx(float(sum(numbers) / len(numbers)), rel=1e-12, abs=1e-12)
    assert type(score).model_validate_json(score.model_dump_json()) == score


# Pictures


def whole_files() -> dict[str, bytes]:
    """Return a small picture in every format, with what else files of that format hold."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    picture, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    extras: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": exif, "progressive": True},
        "PNG": {"exif": exif, "dpi": (72, 72)},
        "GIF": {"save_all": True, "append_images": [picture], "transparency": 0},
        "WEBP": {"lossless": True, "exif": exif},
        "TIFF": {"compression": "tiff_lzw"},
        "MPO": {"save_all": True, "append_images": [picture]},
    }
    files = {}
    for kind in ("BMP", "PPM", *extras):
        memory = io.BytesIO()
        picture.save(memory, kind, **extras.get(kind, {}))
        files[kind] = memory.getvalue()
    return files


FILES = whole_files()
damage = st.tuples(
    st.sampled_from(["cut", "insert", "remove", "double", "flip", "zeros"]), st.floats(0, 1), st.integers(1, 64)
)


def hurt(content: bytes, kind: str, place: float, length: int) -> bytes:
    """Return a file with one damage."""
    start = int(place * len(content))
    head, part, tail = content[:start], content[start : start + length], content[start + length :]
    after = {
        "cut": b"",
        "insert": bytes(range(length)) + part + tail,
        "remove": tail,
        "double": part + part + tail,
        "flip": bytes(255 - byte for byte in part) + tail,
        "zeros": bytes(len(part)) + tail,
    }
    return head + after[kind]


@holds(kind=st.sampled_from(sorted(FILES)), damages=st.lists(damage, max_size=4))
def a_damaged_picture_is_an_array_or_an_error(kind: str, damages: list[tuple[str, float, int]]) -> None:
    content = FILES[kind]
    for each in damages:
        content = hurt(content, *each)
    with contextlib.suppress(*([ImageError] if damages else [])):
        picture = read_open(io.BytesIO(content), max_pixels=1_000_000)
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)


@pytest.mark.parametrize("name", PROPERTIES)
def test_few_cases(name: str) -> None:
    attempt(name, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_many_cases(name: str) -> None:
    attempt(name, 400)
