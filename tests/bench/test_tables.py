import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import CommandError
from bench.files import atomic_write, path_below
from bench.tables import escape_text, format_cell, read_table, unescape_text, write_table


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@a", "\ta", "\ra"])
def test_what_a_spreadsheet_would_run_is_escaped(text: str) -> None:
    """F54: there is no option that writes cells raw. Reading back restores them."""
    assert escape_text(text) == f"'{text}"
    assert unescape_text(f"'{text}") == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("'=+-@\t\r\n,\"aé "), max_size=6))
def test_escapes_read_back(text: str) -> None:
    escaped = escape_text(text)
    assert not escaped.startswith(tuple("=+-@\t\r"))
    assert unescape_text(escaped) == text


def test_numbers_are_not_escaped_and_read_back() -> None:
    cells = [format_cell(value) for value in (-1, -0.1, 1 / 3, 1e-9, None)]
    assert cells == ["-1", "-0.1", "0.3333333333333333", "1e-09", ""]


def test_tables_read_back(tmp_path: Path) -> None:
    names = ["a,b", 'c"d', "e\nf", "g\r\nh", "g\rh", "'=i", "=j", "é"]
    write_table(tmp_path / "new" / "t.csv", ["name", "value"], [(name, -1.5) for name in names])
    assert read_table(tmp_path / "new" / "t.csv") == [{"name": name, "value": "-1.5"} for name in names]
    with (tmp_path / "new" / "t.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == len(names) + 1


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    atomic_write(path, "old\r\n")
    with path.open("rb") as reader:
        atomic_write(path, "new")
        assert reader.read() == b"old\r\n"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    atomic_write(path, "old")

    def refuse(_: object, __: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CommandError, match=r"file\.txt cannot be written: No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CommandError, match=r"t\.txt cannot be written: "):
        atomic_write(tmp_path / "file" / "t.txt", "new")


def test_names_stay_below_their_folder(tmp_path: Path) -> None:
    assert path_below(tmp_path, "a b/.c/-d", ".png") == tmp_path / "a b" / ".c" / "-d.png"
    assert path_below(tmp_path, "photo.v2", ".png") == tmp_path / "photo.v2.png"
    (tmp_path / "link").symlink_to(tmp_path.parent)
    for key in ("", "/etc/passwd", "../a", "a/../../b", "a\0b", "link/a"):
        with pytest.raises(ValueError, match="folder"):
            path_below(tmp_path, key, ".png")


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127 + "x", "%E9" * 251, "a/" + "😀" * 63 + "/b"])
def test_names_that_are_too_long_with_their_suffix_are_cut_and_told_apart(name: str, tmp_path: Path) -> None:
    paths = [path_below(tmp_path, key, ".truth.png") for key in (name, f"{name}1", f"1{name}")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert len(set(paths)) == 3
    assert path_below(tmp_path, name, ".truth.png") == paths[0]
    assert all(path.name.endswith(".truth.png") for path in paths)
