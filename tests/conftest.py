"""What every test may ask for, and what none may do: reach the network, or find the user's own settings."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname(), "", None}

os.environ.pop("COLORBENCH_WEIGHTS", None)
os.environ |= {"MPLBACKEND": "Agg", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """Refuse every connection to another machine, as a machine without a network would."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE:
            raise ConnectionRefusedError(f"tests reach no network: {address[0]}")
        connect(self, address)

    def look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
        if host not in HERE:
            raise socket.gaierror(socket.EAI_NONAME, f"tests reach no network: {host}")
        return look_up(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        patch.setattr(socket, "getaddrinfo", look_up_here)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real photos and weights that stands beside a checkout of the maintainers."""
    folder = Path(os.environ.get("COLORBENCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no photos at {folder}: set COLORBENCH_SHARED to a folder that holds data/ and weights/")
    return folder


@pytest.fixture
def colorbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line and gives its exit status, standard output and standard error."""
    from bench import cli

    monkeypatch.setattr(cli, "raise_on_signals", lambda: None)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["colorbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Return a headless Chromium, the distribution's own; mark tests that ask for it with `browser`."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on the path: install the distribution's")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()
