"""Pairing by name: whatever the order, whatever is missing, and never by position."""

import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.pairs import Pairing, batches, common_patterns, complaints, fits, near_names, pair_folders, pair_names
from datamodules.protocol import PROTOCOLS

NATIVE, STRETCH, CENTER = (PROTOCOLS[name] for name in ("native-v1", "stretch256-v1", "centercrop256-v1"))
NAMES = st.text(st.sampled_from("abAÄ1-_ %["), min_size=1, max_size=3)
Files = dict[str, list[str]]
FOLDERS = st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=2, unique=True), max_size=12)


def paint(path: Path, size: tuple[int, int] = (6, 4)) -> Path:
    """Save a picture of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)
    return path


def shuffled(folder: Files, seed: int) -> Files:
    return dict(random.Random(seed).sample(list(folder.items()), len(folder)))


@given(FOLDERS, FOLDERS, st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_every_name_is_in_its_place_whatever_the_order(ours: Files, theirs: Files, seed: int) -> None:
    pairing = pair_names(ours, theirs)
    for key in {*ours, *theirs}:
        given, wanted = len(ours.get(key, [])), len(theirs.get(key, []))
        assert (key in pairing.matched) == (given == wanted == 1)
        assert (key in pairing.missing) == (given == 0)
        assert (key in pairing.surplus) == (wanted == 0)
        assert (key in pairing.ambiguous) == (max(given, wanted) > 1)
    assert pairing.whole == (ours.keys() == theirs.keys() and not pairing.ambiguous)
    assert pair_names(shuffled(ours, seed), shuffled(theirs, seed + 1)) == pairing


@given(FOLDERS.filter(len), st.data())
@settings(max_examples=40, deadline=None)
def test_a_renamed_prediction_is_named_and_never_taken_for_another(theirs: Files, data: st.DataObject) -> None:
    truth = {key: [key] for key in theirs}
    renamed = data.draw(st.sampled_from(sorted(truth)))
    ours = {f"{key}!" if key == renamed else key: names for key, names in truth.items()}
    pairing = pair_names(ours, truth)
    assert (pairing.missing, pairing.surplus) == ((renamed,), (f"{renamed}!",))
    assert pairing.matched == tuple(sorted(truth.keys() - {renamed}))


def test_folders_are_paired_by_relative_name_without_suffix(tmp_path: Path) -> None:
    for name in ("b/1.png", "a.PNG", "only-ours.png"):
        paint(tmp_path / "ours" / name)
    for name in ("a.bmp", "b/1.tif", "c.png", "b/2.png"):
        paint(tmp_path / "theirs" / name)
    pairing = pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE)
    assert pairing.matched == ("a", "b/1")
    assert pairing.missing == ("b/2", "c")
    assert pairing.surplus == ("only-ours",)
    assert pairing.sizes == {"a": (4, 6), "b/1": (4, 6)}


def test_two_files_of_one_name_are_named_and_match_nothing(tmp_path: Path) -> None:
    for name in ("ours/a.png", "ours/a.bmp", "ours/b.png", "theirs/a.png", "theirs/b.png", "theirs/b.gif"):
        paint(tmp_path / name)
    pairing = pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE)
    assert pairing.matched == ()
    assert pairing.ambiguous == {"a": ("a.bmp", "a.png"), "b": ("b.gif", "b.png")}
    (line,) = complaints(pairing, NATIVE)
    assert line == "ambiguous, one name for several files: 2: 'a' (a.bmp, a.png), 'b' (b.gif, b.png)"


@pytest.mark.parametrize(
    ("given", "native", "square"),
    [((40, 30), True, True), ((30, 40), False, False), ((256, 256), False, True), ((256, 255), False, False)],
)
def test_which_sizes_can_be_compared(given: tuple[int, int], native: bool, square: bool) -> None:
    assert fits(given, (40, 30), NATIVE) == native
    assert fits(given, (40, 30), STRETCH) == fits(given, (40, 30), CENTER) == square


def test_other_sizes_are_named_with_both(tmp_path: Path) -> None:
    """F26: no option resizes predictions. How to do it is a choice that changes scores; protocols have one."""
    for name, size in {"a": (6, 4), "b": (4, 6), "c": (256, 256)}.items():
        paint(tmp_path / "ours" / f"{name}.png", size)
        paint(tmp_path / "theirs" / f"{name}.png")
    native = pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE)
    assert native.matched == ("a",)
    assert native.resized == {"b": ((6, 4), (4, 6)), "c": ((256, 256), (4, 6))}
    (line,) = complaints(native, NATIVE)
    assert line.endswith("2: 'b' (4 x 6, truth 6 x 4), 'c' (256 x 256, truth 6 x 4)")
    stretched = pair_folders(tmp_path / "ours", tmp_path / "theirs", STRETCH)
    assert (stretched.matched, list(stretched.resized)) == (("a", "c"), ["b"])
    assert stretched.sizes == {"a": (256, 256), "c": (256, 256)}


def test_sizes_are_those_after_the_rotation(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 6)).save(tmp_path / "ours" / "a.jpg", exif=exif)
    paint(tmp_path / "theirs" / "a.png")
    assert pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE).matched == ("a",)


def test_a_file_that_cannot_be_measured_stays_in_its_pair(tmp_path: Path) -> None:
    paint(tmp_path / "theirs" / "a.png")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "a.png").write_bytes(b"no picture")
    pairing = pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE)
    assert pairing.matched == ("a",)
    assert pairing.sizes == {}
    assert batches(pairing, 4, 100) == [("a",)]


def test_the_first_ten_are_named_and_all_are_counted() -> None:
    keys = tuple(f"{number:02}" for number in range(13))
    (line,) = complaints(Pairing((), missing=keys), NATIVE)
    assert line.startswith("missing, truth without prediction: 13: '00', '01'")
    assert line.endswith("'09' and 3 more")
    (line,) = complaints(Pairing((), missing=keys[:10]), NATIVE)
    assert line.endswith("'09'")


def test_names_that_would_write_to_the_terminal_are_shown_harmless() -> None:
    (line,) = complaints(Pairing((), surplus=("a\x1b[2J\nb",)), NATIVE)
    assert "\x1b" not in line
    assert "\n" not in line


def test_names_alike_but_for_capitals_or_accents_are_a_hint() -> None:
    composed, taken_apart = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    pairing = pair_names(
        {"IMG_1": ["a"], taken_apart: ["b"], "x": ["c"]}, {"img_1": ["a"], composed: ["b"], "y": ["c"]}
    )
    assert near_names(pairing) == [(taken_apart, composed), ("IMG_1", "img_1")]
    assert complaints(pairing, NATIVE)[-1].endswith("prediction 'IMG_1', truth 'img_1'")


@pytest.mark.parametrize(("given", "wanted"), [("p4.jpg.png", "p4.jpg"), ("p4.png", "p4.JPG.png")])
def test_a_second_suffix_is_a_hint_how_to_rename(given: str, wanted: str, tmp_path: Path) -> None:
    paint(tmp_path / "ours/sub" / given)
    paint(tmp_path / "theirs/sub" / wanted)
    *_, line = complaints(pair_folders(tmp_path / "ours", tmp_path / "theirs", NATIVE), NATIVE)
    names = (f"sub/{name.rpartition('.')[0]}.*" for name in (given, wanted))
    assert line == "alike but for a second suffix, to be renamed: 1: prediction '{}' to '{}'".format(*names)


@given(
    st.dictionaries(NAMES, st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=30),
    st.integers(1, 5),
    st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_batches_hold_each_pair_once_and_one_size_each(
    sizes: dict[str, tuple[int, int]], most: int, most_pixels: int
) -> None:
    keys = (*sorted(sizes), "~broken")
    made = batches(Pairing(keys, sizes=sizes), most, most_pixels)
    assert sorted(key for batch in made for key in batch) == sorted(keys)
    for batch in made[:-1]:
        assert len({sizes[key] for key in batch}) == 1
        assert list(batch) == sorted(batch)
        height, width = sizes[batch[0]]
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * height * width <= most_pixels
    assert made[-1] == ("~broken",)


def test_missing_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pair_folders(tmp_path / "nowhere", tmp_path, NATIVE)


@pytest.mark.parametrize(
    ("ours", "truth", "patterns"),
    [
        (["fake_a", "fake_b", "x/fake_c"], ["a", "b", "x/c"], ["fake_{name}"]),
        (["a_gray", "a_out", "b_out"], ["a", "b"], ["{name}_out"]),
        (["a_gray", "b_gray", "a_out", "b_out"], ["a", "b"], ["{name}_gray", "{name}_out"]),
        (["a_out", "b_put"], ["a", "b"], []),
        (["b"], ["a", "b"], []),
    ],
)
def test_how_predictions_are_called_is_read_off_those_that_are_surplus(
    ours: list[str], truth: list[str], patterns: list[str]
) -> None:
    pairing = pair_names({key: [key] for key in ours}, {key: [key] for key in truth})
    assert common_patterns(pairing) == patterns
    said = [line for line in complaints(pairing, NATIVE) if "--named" in line]
    ways = " or ".join(f"--named '{pattern}'" for pattern in patterns)
    assert said == ([f"called after their truths: give {ways}"] if patterns else [])
