"""A study of three methods, and answers to it as its page writes them."""

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.perception.answers import COLUMNS
from bench.perception.key import Key, Trial
from bench.perception.page import make_key
from bench.perception.plan import Settings
from bench.perception.stimuli import Gathered, gather
from bench.record import RunRecord
from bench.tables import escape_text, quote

PICTURES = [f"album/photo {number}" for number in range(8)]
METHODS = ("gray", "sepia", "vivid")

Choose = Callable[[Trial], str]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the runs lie, once a test has asked for `gathered`."""
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture(scope="session")
def known() -> dict[Path, Gathered]:
    """Return what was gathered before, because it is the same for every test."""
    return {}


@pytest.fixture
def output(tmp_path: Path, finished: Path, gathered: Gathered) -> Path:
    """Return an output folder with three methods whose pictures all differ."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def _finish(out: Path, finish_run: Callable[..., RunRecord]) -> None:
    for number, method in enumerate(METHODS):
        finish_run(out, {key: {"psnr": 20.0, "ssim": 0.9} for key in PICTURES}, method=method, images=True)
        folder = out / "runs" / "samples" / f"{method}--none--s0" / "images"
        for place, key in enumerate(PICTURES):
            pixels = np.full((40, 60, 3), (60 * number, 20 * place, 90), np.uint8)
            Image.fromarray(pixels).save(folder / f"{key}.png")


@pytest.fixture
def gathered(finished: Path, known: dict[Path, Gathered], finish_run: Callable[..., RunRecord]) -> Gathered:
    """Return the methods and pictures of the runs; nobody writes there."""
    if finished not in known:
        _finish(finished, finish_run)
        known[finished] = gather(finished)
    return known[finished]


@pytest.fixture
def key(gathered: Gathered, small: Settings) -> Key:
    """Return the key of the small study."""
    return make_key(small, gathered, "salt")


@pytest.fixture
def small() -> Settings:
    """Return a study of preference: 6 trials and 2 checks for each of 4 participants."""
    return Settings(trials=6, participants=4, practice=2, checks=2)


def as_page_writes(key: Key, participant: str, session: int, choose: Choose, /, **cells: object) -> list[list[str]]:
    """Return the cells of a whole session; `cells` replaces what all lines have."""
    rows: list[list[str]] = []
    check, exposure = key.study, f"{1000 * (key.exposure or 2):.1f}"
    for place, trial in enumerate(key.sessions[session], 1):
        told = (key.study, participant, session, place, trial.id, choose(trial), f"{500 + place}.0", exposure)
        measured = ("", 1, 0, "16.67", "1280x800@1", "2026-01-02T03:04:05.678Z")
        line = {**dict(zip(COLUMNS, (*told, *measured), strict=False)), **cells}
        row = [str(line[name]) for name in COLUMNS[:-1]]
        check = f"{zlib.crc32(chr(9).join([check, *row]).encode()):08x}"
        rows.append([*row, check])
    return rows


@pytest.fixture
def answer(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the answers of a participant, and gives the file."""

    def write(key: Key, participant: str, session: int, choose: Choose, /, **cells: object) -> Path:
        rows = as_page_writes(key, participant, session, choose, **cells)
        lines = [",".join(COLUMNS), *(",".join(quote(escape_text(cell)) for cell in row) for row in rows)]
        path = tmp_path / "answers" / f"{len(list(tmp_path.glob('answers/*')))}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
