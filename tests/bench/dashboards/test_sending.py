"""Runs are sent as they finish or replayed, and no dashboard can fail a run."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.dashboards.content import FinishedRun
from bench.dashboards.sending import Sending, reason, replay
from bench.dashboards.wandb import Wandb
from bench.errors import CommandError

CANARY = "canary0123456789canary0123456789canary01"


def test_a_run_that_was_sent_as_it_finished_is_not_replayed(finished: FinishedRun) -> None:
    with Sending(["tensorboard", "csv"], finished.out) as dashboards:
        dashboards.send(finished.folder, finished.record)
    assert "nothing new" in replay([finished.out], ["tensorboard"])[0]


def test_a_dashboard_that_is_not_installed_fails_nothing(
    finished: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with Sending(["wandb", "tensorboard"], finished.out) as dashboards:
        dashboards.send(finished.folder, finished.record)
        dashboards.send(finished.folder, finished.record)
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("wandb takes nothing more") == 1
    assert f"colorbench replay {finished.out} --to wandb" in told
    assert told.count("tensorboard --logdir") == 1
    assert (finished.out / "logs/tensorboard/samples/gray--none--s0").is_dir()


def test_an_error_is_told_without_the_password_of_an_address() -> None:
    assert reason(ValueError("no answer of http://jane:secret@host/x\nand more")) == "no answer of http://host/x"
    assert reason(TimeoutError()) == "TimeoutError"


def test_replay_ends_with_status_1_where_a_dashboard_fails(
    finished: FinishedRun, colorbench: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> bool:
        raise ConnectionError("no dashboard today")

    monkeypatch.setattr(Wandb, "send", die)
    status, _, told = colorbench("replay", finished.out, "--to", "wandb", "--to", "tensorboard")
    assert status == 1
    assert "wandb: no dashboard today" in told
    assert "tensorboard: 1 of 1 run sent" in told
    status, told, _ = colorbench("replay", finished.out, "--to", "tensorboard")
    assert (status, told.count("nothing new to send")) == (0, 1)


def test_replay_wants_finished_runs_and_a_known_dashboard(
    tmp_path: Path, colorbench: Callable[..., tuple[int, str, str]]
) -> None:
    assert colorbench("replay", tmp_path, "--to", "tensorboard")[0] == 3
    assert colorbench("replay", tmp_path, "--to", "wanb")[0] == 2
    assert colorbench("replay", tmp_path)[0] == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "variable"), [("mlflow", "MLFLOW_TRACKING_URI"), ("wandb", "WANDB_BASE_URL")])
def test_a_server_that_does_not_answer_is_given_up(
    finished: FinishedRun, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        monkeypatch.setenv(variable, f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(CommandError, match=name):
            replay([finished.out], [name])
        assert time.monotonic() - began < 90
    assert not list(finished.out.glob("logs/wandb/*run-*"))
    monkeypatch.undo()
