import csv
import os
import pickle
import struct
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
from jsonargparse import ArgumentParser
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from bench import catalog, tracking
from bench.build import restrict_imports
from bench.errors import UsageError
from bench.panels import PanelCallback
from bench.record import RunRecord
from bench.tracking import Dashboard, log_record, logged_in, record_scores, send_picture, slug, training_loggers

Finish = Callable[..., RunRecord]
CANARY = "canary0123456789canary0123456789canary01"


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, servers and settings of the machine away from the tests."""
    for name in [name for name in os.environ if name.startswith(("WANDB", "MLFLOW"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))


def events(folder: Path) -> Any:
    module = import_module("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def picture() -> Image.Image:
    return Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


def wandb_records(path: Path) -> Iterator[bytes]:
    """Yield the records of wandb's own offline file: LevelDB's log format behind seven bytes of its own."""
    content, place, block, kept = path.read_bytes(), 7, 32768, b""
    while place + 7 <= len(content):
        if block - place % block < 7:
            place += block - place % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        kept += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:
            yield kept
            kept = b""


def wandb_summary(path: Path) -> dict[str, str]:
    summary: dict[str, str] = {}
    for data in wandb_records(path):
        part = import_module("wandb.proto.wandb_internal_pb2").Record()
        part.ParseFromString(data)
        summary |= {item.key or "/".join(item.nested_key): item.value_json for item in part.summary.update}
    return summary


@pytest.mark.parametrize("name", ["../../esc", "a b/c", "", "...", "x" * 300, "säge", "-rf"])
def test_names_become_slugs(name: str) -> None:
    made = slug(name)
    assert 1 <= len(made) <= 100
    assert made[0].isascii()
    assert made[0].isalnum()
    assert "/" not in made


def test_curves_are_always_a_csv_file(tmp_path: Path) -> None:
    (logger,) = training_loggers((), tmp_path, "../../instcolor-full--s0")
    assert isinstance(logger, CSVLogger)
    logger.log_metrics({"train/loss": 0.5}, step=3)
    logger.save()
    (path,) = tmp_path.rglob("metrics.csv")
    with path.open() as file:
        assert list(csv.DictReader(file)) == [{"step": "3", "train/loss": "0.5"}]


def test_none_means_no_logger_and_unknown_names_are_answered(tmp_path: Path) -> None:
    assert training_loggers(["none"], tmp_path, "run") == []
    with pytest.raises(UsageError, match="did you mean wandb"):
        training_loggers(["wanb"], tmp_path, "run")


def test_tensorboard_has_curves_and_pictures(tmp_path: Path) -> None:
    _, dashboard = training_loggers(["tensorboard", "csv", "tensorboard"], tmp_path, "run")
    dashboard.log_metrics({"train/loss": 0.25}, step=7)
    assert send_picture(dashboard, "panels/val", picture(), 7)
    dashboard.finalize("success")
    read = events(tmp_path / "tensorboard" / "run")
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [(7, 0.25)]
    (image,) = read.Images("panels/val")
    assert (image.width, image.height, image.step) == (4, 4, 7)


def test_a_training_that_goes_on_stays_one_curve(tmp_path: Path) -> None:
    for step in range(2):
        _, dashboard = training_loggers(["tensorboard"], tmp_path, "run")
        dashboard.log_metrics({"train/loss": 1.0}, step=step)
        dashboard.finalize("success")
    assert [event.step for event in events(tmp_path / "tensorboard" / "run").Scalars("train/loss")] == [0, 1]


def test_final_scores_reach_tensorboard(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}, "b": {"psnr": 22.0}}, metrics=("psnr", "ssim"))
    log_record(record, ["tensorboard"], tmp_path)
    read = events(tmp_path / "logs" / "tensorboard" / "samples--gray--none--s0")
    assert read.Scalars("image/psnr")[0].value == 21.0
    assert read.Scalars("instance/psnr")[0].value == 20.0
    assert "image/ssim" not in read.Tags()["scalars"]
    assert record_scores(record)["counts/images"] == 2
    assert record_scores(record)["speed/images_per_second"] == 1.0


class Broken(CSVLogger):
    """Fail at every call, as a dashboard whose server is gone."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        raise ConnectionError("the server is gone\nand more")


def test_a_dead_dashboard_is_told_once_and_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "BUILDERS", {"wandb": lambda folder, run, identity: Broken(folder)})
    dashboard = Dashboard("wandb", tmp_path, "run")
    with pytest.warns(UserWarning, match="wandb takes nothing more \\(the server is gone\\); the run goes on"):
        dashboard.log_metrics({"train/loss": 1.0}, 1)
    dashboard.log_metrics({"train/loss": 1.0}, 2)
    dashboard.log_hyperparams({"seed": 1})
    dashboard.log_picture("panels/val", picture(), 2)
    dashboard.save()
    dashboard.finalize("success")
    assert dashboard.experiment is None


def test_a_dashboard_that_is_not_installed_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish_run: Finish
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}}, metrics=("psnr",))
    with pytest.warns(UserWarning, match="wandb takes nothing more"):
        log_record(record, ["wandb"], tmp_path)


def test_a_dashboard_can_be_sent_to_another_process(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(Dashboard("mlflow", tmp_path, "run", "id")))
    assert (copy.kind, copy.run, copy.identity, copy.folder) == ("mlflow", "run", "id", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("machine api.wandb.ai login user password secret", True),
        ("machine other.org login user password secret", False),
        ("not a netrc", False),
        (None, False),
    ],
)
def test_logged_in_reads_the_netrc_file(tmp_path: Path, content: str | None, expected: bool) -> None:
    if content is not None:
        (tmp_path / "netrc").write_text(content)
        (tmp_path / "netrc").chmod(0o600)
    assert logged_in() is expected


def test_logged_in_reads_the_key_and_the_server_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example.org")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    assert logged_in()


def test_wandb_is_offline_and_keeps_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish_run: Finish
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}}, metrics=("psnr",))
    log_record(record, ["wandb"], tmp_path)
    (path,) = (tmp_path / "logs").glob("wandb/offline-run-*/run-*.wandb")
    assert path.name == f"run-{record.run_id[:32]}.wandb"
    deadline = time.monotonic() + 20
    while "image/psnr" not in (summary := wandb_summary(path)) and time.monotonic() < deadline:
        time.sleep(0.1)  # wandb's own process closes the file, a little after the run has ended
    assert float(summary["image/psnr"]) == 20
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert CANARY.encode() not in written
    assert os.uname().nodename.encode() not in written


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_curves_pictures_and_no_user(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    _, dashboard = training_loggers(["mlflow"], tmp_path, "run")
    dashboard.log_metrics({"train/loss": 0.25}, step=7)
    assert send_picture(dashboard, "panels/val", picture(), 7)
    dashboard.finalize("success")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.data.metrics == {"train/loss": 0.25}
    assert run.data.tags["mlflow.user"] == "colorbench"
    assert run.info.run_name == "run"
    assert len(list(tmp_path.rglob("step-00000007.png"))) == 1


def test_any_logger_of_lightning_can_show_a_picture(tmp_path: Path) -> None:
    assert send_picture(CSVLogger(tmp_path, name="csv"), "panels/val", picture(), 5)
    with Image.open(next(tmp_path.rglob("step-00000005.png"))) as read:
        assert np.array_equal(np.asarray(read), np.asarray(picture()))
    board = TensorBoardLogger(tmp_path, name="board", version="")
    assert send_picture(board, "panels/val", picture(), 5)
    board.finalize("success")
    assert len(events(tmp_path / "board").Images("panels/val")) == 1


@pytest.mark.parametrize("name", ["cpu", "gpu", "wandb"])
def test_trainer_settings_build_a_trainer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    restrict_imports()
    tree = catalog.read_yaml(catalog.HERE / "configs" / "trainer" / f"{name}.yaml")
    tree["trainer"] |= {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(pl.Trainer, "trainer")
    trainer = parser.instantiate(parser.parse_object(tree)).trainer
    kinds = [logger.kind for logger in trainer.loggers if isinstance(logger, Dashboard)]
    assert kinds == {"cpu": [], "gpu": ["tensorboard"], "wandb": ["wandb"]}[name]
    assert any(isinstance(callback, PanelCallback) for callback in trainer.callbacks)
    assert not list(tmp_path.glob("logs/*"))
