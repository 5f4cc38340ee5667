"""A finished run that dashboards show, and what is asked of their files."""

import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.dashboards.content import FinishedRun
from bench.record import RunRecord

Finish = Callable[..., RunRecord]


@pytest.fixture(autouse=True)
def own_environment(no_accounts: None) -> None:
    """Keep the machine's accounts away from every test."""


@pytest.fixture(scope="session")
def scores() -> Mapping[str, dict[str, float]]:
    """Return the scores of twenty pictures."""
    return {f"photo{number:02d}": {"psnr": 20.0 + number, "ssim": 0.5 + number / 100} for number in range(20)}


@pytest.fixture
def finished(tmp_path: Path, finish_run: Finish, scores: Mapping[str, dict[str, float]]) -> FinishedRun:
    """Return a finished run of twenty pictures, with theirs."""
    record = finish_run(tmp_path / "out", scores, images=True)
    return FinishedRun(tmp_path / "out" / "runs" / "samples" / "gray--none--s0", record)


@pytest.fixture(scope="session")
def change() -> Callable[[FinishedRun, str, float], None]:
    """Return a function that gives a metric of a run another mean, as if a picture had been done anew."""

    def write(run: FinishedRun, name: str, mean: float) -> None:
        record = run.record.model_dump(by_alias=True)
        record["image"][name]["mean"] = mean
        (run.folder / "record.json").write_text(RunRecord.model_validate(record).to_json())

    return write


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that gives the files below a folder with their bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read


@pytest.fixture(scope="session")
def personal() -> Callable[[bytes, Path], list[str]]:
    """Return a function that finds what no dashboard may know and one does: paths and names of this machine."""

    def find(content: bytes, out: Path) -> list[str]:
        paths = [re.escape(str(each)) for each in (out.parent, Path.home(), Path.cwd())]
        words = [*paths, rf"(?<!\w){re.escape(socket.gethostname())}(?!\w)"]
        return [word for word in words if re.search(word.encode(), content)]

    return find
