"""An output folder that somebody damaged: each command says what cannot be read, or makes anew what rows can tell."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import CommandError
from bench.leaderboard import read_boards
from bench.plan import Places
from bench.prepare import Options
from bench.report.page import write_report
from bench.runner import run
from bench.status import read_status
from bench.suite import Suite

FIELDS = {"name": "a-v1", "methods": ["gray"], "datasets": [{"id": "synthetic", "count": 1, "size": 32}]}
RUN = "runs/synthetic/gray--none--s0"
FILES = (f"{RUN}/record.json", f"{RUN}/rows.rank0.jsonl", f"{RUN}/config.yaml", f"{RUN}/images.csv", "plan.json")
CONTENTS = {
    "nothing": b"",
    "bytes": b"\xff\xfe\0",
    "null": b"null",
    "another mapping": b'{"runs": [{"folder": "../../x"}], "expected": 5, "a": NaN}',
    "nesting": b"[" * 100_000,
}


def again(out: Path) -> int:
    suite = Suite.model_validate({**FIELDS, "metrics": ["psnr"], "protocol": "native-v1"})
    return run(suite, Options(out, Places(out), download=False))


COMMANDS: dict[str, Callable[[Path], object]] = {
    "leaderboard": lambda out: read_boards([out]),
    "report": write_report,
    "status": read_status,
    "run": again,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert again(out) == 0
    return out


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_or_made_anew(file: str, finished: Path, tmp_path: Path) -> None:
    for name, content in CONTENTS.items():
        for command in COMMANDS:
            out = tmp_path / f"{name}-{command}"
            shutil.copytree(finished, out)
            (out / file).write_bytes(content)
            said = attempt(COMMANDS[command], out)
            assert not said or Path(file).name in said or RUN in said, (name, command)
            if command == "run" and not said:
                assert json.loads((out / RUN / "record.json").read_bytes())["counts"]["images"] == 1


def attempt(command: Callable[[Path], object], out: Path) -> str:
    """Return what a command complains of, nothing where it does its work."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torn last line")
        try:
            command(out)
        except CommandError as error:
            return str(error)
    return ""
