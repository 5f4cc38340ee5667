"""MLflow, read back from its own server and its own store."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.dashboards.content import FinishedRun
from bench.dashboards.sending import replay

Change = Callable[[FinishedRun, str, float], None]
Tree = Callable[[Path], dict[str, bytes]]
Personal = Callable[[bytes, Path], list[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start MLflow's own server, and return its address."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *places]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        await_server(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def await_server(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def mlflow_runs(uri: str, project: str = "colorbench") -> tuple[Any, list[Any]]:
    """Return MLflow's client and all runs of an experiment that are not deleted."""
    client = import_module("mlflow.tracking").MlflowClient(uri)
    return client, list(client.search_runs([client.get_experiment_by_name(project).experiment_id]))


def check_mlflow(client: Any, run: Any, finished: FinishedRun) -> None:
    assert run.data.metrics | finished.scores == run.data.metrics
    assert (run.info.status, run.info.run_name) == ("FINISHED", "samples--gray--none--s0")
    assert {name: run.data.params[name] for name in finished.facts} == {
        name: str(v) for name, v in finished.facts.items()
    }
    assert (run.data.tags["mlflow.user"], run.data.tags["suite"]) == ("colorbench", "test-v1")
    history = client.get_metric_history(run.info.run_id, "image-quantiles/psnr")
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == list(range(101))
    assert sorted(point.value for point in history) == pytest.approx(finished.curves["image-quantiles/psnr"])
    for name in finished.scores:
        assert len(client.get_metric_history(run.info.run_id, name)) == 1, name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_replay_to_a_real_mlflow_server_is_idempotent(
    server: str, finished: FinishedRun, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert "1 of 1" in replay([finished.out], ["mlflow"])[0]
    client, (run,) = mlflow_runs(server)
    check_mlflow(client, run, finished)
    kept = Path(client.download_artifacts(run.info.run_id, "", str(finished.out.parent)))
    assert (kept / "record.json").read_bytes() == (finished.folder / "record.json").read_bytes()
    assert (kept / "breakdown.csv").read_bytes() == (finished.folder / "breakdown.csv").read_bytes()
    table = client.load_table(run.info.experiment_id, "pictures.json", [run.info.run_id])
    assert list(table["image"]) == [line.image for line in finished.pictures.lines]
    assert list(table["psnr"]) == [line.scores["psnr"] for line in finished.pictures.lines]
    with Image.open(kept / table["truth"][0]["filepath"]) as picture:
        assert picture.size == (64, 64)
    assert "nothing new" in replay([finished.out], ["mlflow"])[0]
    client, (again,) = mlflow_runs(server)
    assert again.info.run_id == run.info.run_id
    check_mlflow(client, again, finished)
    change(finished, "psnr", 33.0)
    replay([finished.out], ["mlflow"])
    client, (changed,) = mlflow_runs(server)
    assert changed.data.metrics["image/psnr"] == 33


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_replay_to_a_local_mlflow_is_idempotent_and_can_be_moved(
    finished: FinishedRun,
    change: Change,
    tree: Tree,
    personal: Personal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    store = finished.out / "logs/mlflow"
    assert "1 of 1" in replay([finished.out], ["mlflow"])[0]
    assert "nothing new" in replay([finished.out], ["mlflow"])[0]
    client, (run,) = mlflow_runs(f"sqlite:///{store}/mlflow.db")
    check_mlflow(client, run, finished)
    (kept,) = store.glob("artifacts/colorbench/*/artifacts")
    assert (kept / "images.csv").read_bytes() == (finished.folder / "images.csv").read_bytes()
    assert Counter(path.suffix for path in kept.rglob("*.png")) == {".png": 36}
    change(finished, "psnr", 33.0)
    replay([finished.out], ["mlflow"])
    client, (run,) = mlflow_runs(f"sqlite:///{store}/mlflow.db")
    assert run.data.metrics["image/psnr"] == 33
    assert len(list(store.glob("artifacts/colorbench/*"))) == 1
    found = {name: personal(content, finished.out) for name, content in tree(store).items() if not name.endswith("png")}
    assert [name for name, words in found.items() if words] == []
