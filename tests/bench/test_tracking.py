import csv
import pickle
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
from bench.dashboards.content import slug
from bench.errors import UsageError
from bench.panels import PanelCallback
from bench.tracking import Dashboard, send_picture, training_loggers


@pytest.fixture(autouse=True)
def own_environment(no_accounts: None) -> None:
    """Keep the machine's accounts away from every test."""


def events(folder: Path) -> Any:
    module = import_module("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def picture() -> Image.Image:
    return Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


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


def test_a_training_keeps_its_id_in_dashboards(tmp_path: Path) -> None:
    def identities(run: str) -> list[str | None]:
        loggers = training_loggers(["wandb", "mlflow"], tmp_path, run)
        return [logger.identity for logger in loggers if isinstance(logger, Dashboard)]

    first = identities("stage--s0")
    assert len(set(first)) == 1
    assert first[0] is not None
    assert identities("stage--s0") == first
    assert identities("stage--s1") != first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_training_that_goes_on_is_one_run_of_wandb_and_mlflow(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    for step in range(2):
        for dashboard in training_loggers(["wandb", "mlflow"], tmp_path, "run")[1:]:
            dashboard.log_metrics({"train/loss": 1.0 - step}, step=step)
            dashboard.finalize("success")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.0)]
    files = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert {path.stem for path in files} == {f"run-{(tmp_path / 'run.id').read_text().strip()}"}


class Broken(CSVLogger):
    """Fail at every call, as a dashboard whose server is gone."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        raise ConnectionError("the server is gone\nand more")


def test_a_dead_dashboard_is_told_once_and_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "BUILDERS", {"wandb": lambda folder, run, identity: Broken(folder)})
    dashboard = Dashboard("wandb", tmp_path, "run")
    with pytest.warns(UserWarning, match="wandb takes nothing more \\(the server is gone\\); the training goes on"):
        dashboard.log_metrics({"train/loss": 1.0}, 1)
    dashboard.log_metrics({"train/loss": 1.0}, 2)
    dashboard.log_hyperparams({"seed": 1})
    dashboard.log_picture("panels/val", picture(), 2)
    dashboard.save()
    dashboard.finalize("success")
    assert dashboard.experiment is None


def test_a_dashboard_can_be_sent_to_another_process(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(Dashboard("mlflow", tmp_path, "run", "id")))
    assert (copy.kind, copy.run, copy.identity, copy.folder) == ("mlflow", "run", "id", tmp_path)
    assert not list(tmp_path.iterdir())


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
