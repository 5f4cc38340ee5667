"""The hostile corpus through whole runs: every file becomes the row that it should, and nothing else happens."""

import csv
import json
import os
import re
import socket
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.plan import Places
from bench.prepare import Options
from bench.runner import run
from bench.suite import parse_suite
from bench.tables import read_table
from bench.terminal import CONTROL
from datamodules.images import measure_image, read_image

SUITE = """
name: hostile-v1
methods: [gray]
datasets: [{id: folder, root: photos}]
metrics: [psnr, ssim]
"""
RUN = Path("runs/folder/gray--none--s0")


class Page(HTMLParser):
    """Collect what is no text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        data = tag == "script" and ("type", "application/json") in attrs
        self.tags.append("data island" if data else tag)
        self.attributes += attrs


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of everything below a folder, links not followed."""
    found = {}
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            facts = path.lstat()
            found[str(path.relative_to(root))] = (facts.st_size, facts.st_mtime_ns)
    return found


def check_rows(folder: Path, entries: Sequence[Any], protocol: str) -> None:
    """Compare the rows of a run with what the corpus expects of it."""
    expected = {entry.image: entry.status for entry in entries if entry.status is not None}
    rows = {row["image"]: row for row in read_table(folder / "images.csv")}
    assert {image: row["status"] for image, row in rows.items()} == expected
    assert all((row["psnr"] == "") == row["status"].startswith("error-") for row in rows.values())
    for entry in entries:
        if entry.size is not None:
            size = entry.size if protocol == "native-v1" else (256, 256)
            assert (rows[entry.image]["width"], rows[entry.image]["height"]) == tuple(map(str, size)), entry.why


def check_files(out: Path, private: Sequence[str]) -> None:
    """Check that everything that a run wrote can be read, and says nothing about the machine."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for path in out.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    for path in out.rglob("*.jsonl"):
        for line in path.read_text(encoding="ascii").splitlines():
            json.loads(line, parse_constant=refuse)
    for path in out.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert len({len(line) for line in csv.reader(file, strict=True)}) == 1, path.name
    for path in out.glob("*.html"):
        page = Page(path)
        assert page.tags.count("script") == 1
        assert not {"object", "iframe", "embed", "base"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"action", "formaction"}]
        assert all(
            (value or "").startswith(("data:", "#")) for name, value in page.attributes if name in {"src", "href"}
        )
        assert not CONTROL.search(path.read_text(encoding="utf-8").replace("\n", ""))
    for path in out.rglob("*"):
        if path.suffix in {".json", ".jsonl", ".csv", ".md", ".html", ".yaml"}:
            text = re.sub('"data:[^"]*"', "", path.read_text(encoding="utf-8"))
            assert not [word for word in private if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)], path.name


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of all connections and look-ups that are tried from now on."""
    tried: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(repr(arguments))
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_the_corpus_is_large(corpus: ModuleType) -> None:
    entries = corpus.corpus()
    images = [entry.image for entry in entries if entry.status is not None]
    assert len(images) == len(set(images)) >= 60
    assert sum(entry.status not in {"ok", "gray-truth", None} for entry in entries) >= 40
    assert all(entry.why for entry in entries)


def test_pictures_are_measured_as_they_are_decoded(corpus: ModuleType, tmp_path: Path) -> None:
    for entry in corpus.make(tmp_path / "photos"):
        if entry.size is not None:
            path = tmp_path / "photos" / entry.name
            assert measure_image(path) == read_image(path).shape[:2] == entry.size[::-1], entry.name


def test_a_run_names_every_hostile_picture(corpus: ModuleType, tmp_path: Path, calls: list[str]) -> None:
    entries = corpus.make(tmp_path / "photos")
    before, out = snapshot(tmp_path), tmp_path / "out"
    suite = parse_suite(f"{SUITE}protocol: native-v1", "hostile.yaml")
    failed = run(suite, Options(out, Places(tmp_path), download=False))
    assert failed == sum(entry.status in {"error-decode", "error-size"} for entry in entries)
    check_rows(out / RUN, entries, "native-v1")
    check_files(out, [str(tmp_path), f"{Path.home()}/"])
    after = snapshot(tmp_path)
    assert {name: facts for name, facts in after.items() if name.partition("/")[0] != "out"} == before
    assert calls == []


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["native-v1", "stretch256-v1"])
def test_the_command_line_survives_the_corpus(corpus: ModuleType, alone: Any, tmp_path: Path, protocol: str) -> None:
    entries = corpus.make(tmp_path / "photos")
    (tmp_path / "hostile.yaml").write_text(f"{SUITE}protocol: {protocol}")
    photos, out = snapshot(tmp_path / "photos"), tmp_path / "out"
    done = alone("run", "hostile.yaml", "--out", "out", "--save-images")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not CONTROL.search((done.stdout + done.stderr).replace("\n", ""))
    failed = sum(entry.status in {"error-decode", "error-size"} for entry in entries)
    assert f"{failed} pictures failed; each is named in its run's images.csv" in done.stderr
    check_rows(out / RUN, entries, protocol)
    check_files(out, [str(tmp_path), "/home", socket.gethostname()])
    good = sum(entry.status in {"ok", "gray-truth"} for entry in entries)
    assert sum(path.is_file() for path in (out / RUN / "images").rglob("*.png")) == good
    for command in ("status", "leaderboard", "report", "verify"):
        again = alone(command, "out")
        assert (again.returncode, "Traceback" in again.stderr) == (0, False), again.stderr
    outside = {path.name for path in tmp_path.glob("outside-*")}
    assert {path.name for path in tmp_path.iterdir()} - outside == {
        "hostile.yaml",
        "home",
        "out",
        "photos",
        "site",
        "tmp",
    }
    assert {path.name for path in (tmp_path / "home").glob("*/*")} <= {"matplotlib"}, "its font cache, and no more"
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert snapshot(tmp_path / "photos") == photos
    assert alone.calls == ""


@pytest.mark.slow
def test_hostile_predictions_are_scored_or_named(corpus: ModuleType, alone: Any, tmp_path: Path) -> None:
    entries = corpus.make(tmp_path / "photos")
    sizes = {entry.image: entry.size or (24, 20) for entry in entries if entry.status is not None}
    for image, size in (sizes | {"short-stream": (100, 100)}).items():
        path = tmp_path / "truth" / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(corpus.data("PNG", corpus.colours().resize(size)))
    done = alone("score", "photos", "truth", "--metrics", "psnr,ssim", "--protocol", "stretch256-v1", "--out", "out")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    rows = {row["image"]: row for row in read_table(tmp_path / "out/runs/folder/photos--none--s0/images.csv")}
    expected = {entry.image: entry.status.replace("gray-truth", "ok") for entry in entries if entry.status is not None}
    assert {image: row["status"] for image, row in rows.items()} == expected
    check_files(tmp_path / "out", [str(tmp_path), "/home", socket.gethostname()])
    assert alone.calls == ""


@pytest.mark.slow
def test_a_folder_scored_against_itself_is_perfect_or_broken(corpus: ModuleType, alone: Any, tmp_path: Path) -> None:
    entries = corpus.make(tmp_path / "photos")
    done = alone("score", "photos", "photos", "--metrics", "psnr,ssim", "--out", "out")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    folder = tmp_path / "out/runs/folder/photos--none--s0"
    check_rows(folder, entries, "native-v1")
    assert {row["psnr"] for row in read_table(folder / "images.csv")} == {"100.0", ""}
