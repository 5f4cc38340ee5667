"""Names that lead elsewhere, mean two things, or speak to the terminal; folders and pictures of great size.

Decided otherwise than `faults.md`: `CON` and `nul` are good names, since Windows is not supported; and look-alikes of
letters never come up in names of runs, which are ASCII, while photos may be called anything.
"""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import MissingError, UsageError
from bench.prepare import open_source
from bench.suite import parse_suite
from bench.terminal import CONTROL
from datamodules.images import MAX_PIXELS, find_images, read_image

Colorbench = Callable[..., tuple[int, str, str]]


def png() -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (12, 12), "red").save(memory, "PNG")
    return memory.getvalue()


def folder_of(tmp_path: Path, *names: str | bytes) -> Path:
    """Return a folder with pictures of these names."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    return folder


AMBIGUOUS: dict[str, tuple[str | bytes, str | bytes]] = {
    "two formats": ("a.jpg", "a.png"),
    "two cases of a suffix": ("a.png", "a.PNG"),
    "a byte and its number": (b"caf\xe9.png", "caf%E9.png"),
    "a backslash and its number": ("a\\b.png", "a%5Cb.png"),
    "names that rule the terminal": ("\x1b[31ma.png", "\x1b[31ma.jpg"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_names_that_mean_one_picture_are_refused_with_both(name: str, tmp_path: Path, colorbench: Colorbench) -> None:
    folder_of(tmp_path, *AMBIGUOUS[name])
    (tmp_path / "a.yaml").write_text("{name: a, methods: [gray], datasets: [{id: folder, root: photos}]}")
    status, _, said = colorbench("run", tmp_path / "a.yaml", "--out", tmp_path / "out")
    assert (status, "are both the picture" in said) == (2, True)
    assert not CONTROL.search(said.replace("\n", ""))


ROOTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "an empty folder": Path.mkdir,
    "a file": Path.touch,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a folder of folders": lambda path: (path / "notes").mkdir(parents=True),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_without_pictures_is_named(name: str, tmp_path: Path) -> None:
    ROOTS[name](tmp_path / "photos")
    tree = {"class_path": "datamodules.folder.FolderDataModule", "init_args": {"root": str(tmp_path / "photos")}}
    with pytest.raises(MissingError, match=r"no (folder|picture)"):
        open_source(tree, "native-v1")


RUN_NAMES = (
    "../../x",
    "/x",
    "a/b",
    ".",
    "..",
    ".x",
    "-x",
    "",
    "x" * 101,
    "a b",
    "a\nb",
    "gr\u0430y",
    "ﬁ",
    "a\0",
    "a:b",
)


@pytest.mark.parametrize("name", RUN_NAMES)
@pytest.mark.parametrize("place", ["name", "method", "dataset"])
def test_names_of_runs_are_short_and_plain(name: str, place: str) -> None:
    quoted = "".join(f"\\u{ord(character):04x}" for character in name)
    given = {"name": "a", "method": "gray", "dataset": "folder"} | {place: quoted}
    text = (
        f'{{name: "{given["name"]}", methods: [{{id: gray, name: "{given["method"]}"}}],'
        f'datasets: [{{id: folder, name: "{given["dataset"]}"}}]}}'
    )
    with pytest.raises(UsageError, match="cannot be a name"):
        parse_suite(text, "a.yaml")


@pytest.mark.parametrize("name", ["CON", "nul", "a.b", "a..b", "0", "x" * 100])
def test_other_names_are_good(name: str) -> None:
    suite = parse_suite(f'{{name: "{name}", methods: [gray], datasets: [samples]}}', "a.yaml")
    assert suite.name == name


@pytest.mark.parametrize("what", ["suite", "suite.yaml", "root", "annotations", "weights"])
def test_paths_that_no_file_system_takes_are_wrong_usage(what: str, tmp_path: Path, colorbench: Colorbench) -> None:
    long = "x" * 300
    fields = {"root": f"root: {long}", "annotations": f"root: ., annotations: {long}"}
    data = f"{{id: coco, {fields[what]}}}" if what in fields else "synthetic"
    method = f"{{id: zhang-eccv16, weights: {long}}}" if what == "weights" else "gray"
    (tmp_path / "a.yaml").write_text(f"{{name: a, methods: [{method}], datasets: [{data}]}}")
    suite = long + what.removeprefix("suite") if what.startswith("suite") else tmp_path / "a.yaml"
    status, _, said = colorbench("run", suite, "--out", tmp_path / "out")
    assert (status, long in said) == (2, True), said


@pytest.mark.slow
def test_the_largest_picture_that_is_allowed_is_read(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5)
    Image.new("1", (side, side), 1).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (side, side, 3)
    assert picture[::999, ::999].min() == 255
    assert (tmp_path / "a.png").stat().st_size < 100_000


@pytest.mark.slow
def test_a_hundred_thousand_files_are_found_in_seconds(tmp_path: Path) -> None:
    for number in range(100_000):
        (tmp_path / f"{number}.png").touch()
    began = time.monotonic()
    assert len(find_images(tmp_path)) == 100_000
    assert time.monotonic() - began < 30
