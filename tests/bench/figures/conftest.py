"""Finished runs to draw, and what the artists of a plot hold."""

import csv
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from bench.figures.style import styled
from bench.figures.subjects import Subject, read_subjects
from bench.leaderboard import read_runs
from bench.record import RunRecord

KEYS = [f"photo-{number}" for number in range(7)]
METHODS = {"gray": 20.0, "zhang": 22.5, "instcolor-fusion": 24.0}


@pytest.fixture(scope="session")
def made(finish_run: Callable[..., RunRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output folder of three methods, whose scores are anything but smooth; to be left as it is."""
    out = tmp_path_factory.mktemp("made")
    for method, level in METHODS.items():
        scores = {key: {"psnr": level + (7 * n % 5) - len(method) % 3, "ssim": 0.9} for n, key in enumerate(KEYS)}
        detector = "yolo" if method == "instcolor-fusion" else "none"
        finish_run(out, scores, method=method, detector=detector, images=True)
    return out


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder for one test."""
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with styled():
        yield


@pytest.fixture(scope="session")
def subjects_of() -> Callable[..., list[Subject]]:
    """Return a function that reads what an output folder's plots are drawn from."""
    return lambda out, *metrics: read_subjects(read_runs([out]), metrics or ("psnr",))


@pytest.fixture(scope="session")
def subject_of(subjects_of: Callable[..., list[Subject]]) -> Callable[..., Subject]:
    """Return a function that reads the first subject of a level."""

    def find(out: Path, level: str = "image") -> Subject:
        return next(subject for subject in subjects_of(out) if subject.board.level == level)

    return find


@pytest.fixture(scope="session")
def lines_of() -> Callable[[Path], list[dict[str, str]]]:
    """Return a function that reads a CSV file."""
    return lambda path: [*csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


@pytest.fixture(scope="session")
def points_of() -> Callable[[Any], list[list[float]]]:
    """Return a function that gives the points of a line."""
    return lambda line: np.asarray(line.get_xydata()).tolist()


@pytest.fixture(scope="session")
def dots(points_of: Callable[[Any], list[list[float]]]) -> Callable[[Any], list[tuple[float, ...]]]:
    """Return a function that gives place, mean and ends of each dot, as the artists hold them."""

    def find(axes: Any) -> list[tuple[float, ...]]:
        found = []
        for container in axes.containers:
            if isinstance(container, ErrorbarContainer):
                line, _, bars = container.lines
                ends = tuple(bars[0].get_segments()[0][:, 0]) if bars else ()
                ((mean, place),) = points_of(line)
                found.append((place, mean, *ends))
        return found

    return find


@pytest.fixture(scope="session")
def texts() -> Callable[[bytes], list[str]]:
    """Return a function that gives the texts of an SVG file, which are no outlines."""

    def find(svg: bytes) -> list[str]:
        root = ElementTree.fromstring(svg)
        return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]

    return find
