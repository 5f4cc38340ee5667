"""The corpus of hostile files, made in a folder of its own."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """Import a module that stands beside this file; tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def corpus() -> ModuleType:
    """Return the module that makes the hostile pictures."""
    return load("corpus")


RECORDER = """
import os, socket

HERE = {"127.0.0.1", "::1", "localhost"}
connect, look_up = socket.socket.connect, socket.getaddrinfo


def refuse(what):
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{what!r}\\\\n")
    raise OSError("no network in this test")


def connect_here(self, address):
    if self.family != socket.AF_UNIX and address[0] not in HERE:
        refuse(address)
    return connect(self, address)


def look_up_here(host, *rest, **options):
    return look_up(host, *rest, **options) if host in HERE else refuse(host)


socket.socket.connect, socket.getaddrinfo = connect_here, look_up_here
"""


@dataclass
class Alone:
    """Run the real command line in a process that reaches no network, with folders of its own for everything.

    Attributes:
        folder: holds `home`, `tmp` and what else a test puts there.
        environment: further variables.
        seconds: after which a command counts as hanging.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 300

    def __call__(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Return what `colorbench` with these arguments printed, and how it ended."""
        return self.python("-c", "from bench.cli import main; main()", *arguments)

    def python(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run Python."""
        for name in ("home", "tmp", "site"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "site" / "sitecustomize.py").write_text(RECORDER)
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "site"), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "CALLS": str(self.folder / "calls"),
        }
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=own | self.environment,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=self.seconds,
        )

    @property
    def calls(self) -> str:
        """Return the connections that were tried."""
        path = self.folder / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    """Return a way to run the real command line, with everything below the test's own folder."""
    return Alone(tmp_path)
