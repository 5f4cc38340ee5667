"""Loggers of trainings: curves as CSV files, and wandb, TensorBoard and MLflow through Lightning's own loggers.

A dashboard that fails is reported once, and the training goes on without it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from bench import catalog
from bench.dashboards.content import PROJECT, slug
from bench.dashboards.mlflow import ID, find_run, prepare_mlflow
from bench.dashboards.sending import reason
from bench.dashboards.wandb import quiet_settings
from bench.files import atomic_write
from bench.processes import is_first_process


def _wandb(folder: Path, run: str, identity: str | None) -> WandbLogger:
    """Build the wandb logger: offline unless the user is logged in, and silent about machine, user and code."""
    folder.mkdir(parents=True, exist_ok=True)
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    more = {"resume": "allow"} if identity else {}
    logger = WandbLogger(name=run, save_dir=folder, project=project, id=identity, settings=quiet_settings(**more))
    logger._wandb_init.pop("anonymous", None)  # wandb warns of it even where it is None
    return logger


def _tensorboard(folder: Path, run: str, identity: str | None) -> TensorBoardLogger:
    """Build the TensorBoard logger; a training that is resumed goes on in the same folder."""
    return TensorBoardLogger(folder / "tensorboard", name=run, version="", default_hp_metric=False)


def _mlflow(folder: Path, run: str, identity: str | None) -> MLFlowLogger:
    """Build the MLflow logger: a local SQLite file unless `MLFLOW_TRACKING_URI` names a server."""
    prepare_mlflow()
    server = os.environ.get("MLFLOW_TRACKING_URI")
    store = (folder / "mlflow").absolute()
    if not server:
        store.mkdir(parents=True, exist_ok=True)
    uri = server or f"sqlite:///{store}/mlflow.db"
    return MLFlowLogger(
        experiment_name=PROJECT,
        run_name=run,
        tracking_uri=uri,
        artifact_location=None if server else (store / "artifacts").as_uri(),
        # without these two, MLflow writes the user's name and the path of the program
        tags={"mlflow.user": PROJECT, "mlflow.source.name": PROJECT} | ({ID: identity} if identity else {}),
        run_id=find_run(uri, PROJECT, identity) if identity else None,
    )


BUILDERS: Mapping[str, Callable[[Path, str, str | None], Logger]] = {
    "wandb": _wandb,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
DASHBOARDS = (*BUILDERS, "csv")
"""What `--logger` takes besides `none`. Curves go to CSV files in any case."""


class Dashboard(Logger):
    """Stand before one of Lightning's loggers, so that its failure never becomes the run's.

    The logger is built at its first use and on the first process only.

    Args:
        kind: `wandb`, `tensorboard` or `mlflow`.
        folder: where its local files go.
        run: name of the run.
        identity: id under which the run is known to the dashboard; a new one where None.
    """

    def __init__(self, kind: str, folder: str | Path, run: str, identity: str | None = None) -> None:
        super().__init__()
        self.kind = catalog.known("dashboard", kind, BUILDERS)
        self.folder, self.run, self.identity = Path(folder), slug(run), identity
        self.failed = False
        self._logger: Logger | None = None

    @property
    def name(self) -> str:
        """Return the name of the run."""
        return self.run

    @property
    def version(self) -> str:
        """Return nothing: a run has one version."""
        return ""

    @property
    def save_dir(self) -> str:
        """Return the folder of the local files."""
        return str(self.folder)

    @property
    def experiment(self) -> Any:
        """Return what the dashboard's own library calls the run; None where it failed."""
        found: list[Any] = []
        self._attempt(lambda logger: found.append(getattr(logger, "experiment", None)))
        return found[0] if found else None

    @rank_zero_only
    def _attempt(self, action: Callable[[Logger], object]) -> None:
        if self.failed:
            return
        try:
            if self._logger is None:
                self._logger = BUILDERS[self.kind](self.folder, self.run, self.identity)
            action(self._logger)
        except Exception as error:
            self.failed = True
            told = f"{self.kind} takes nothing more ({reason(error)})"
            rank_zero_warn(f"{told}; the training goes on, its own files are complete")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send numbers."""
        self._attempt(lambda logger: logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send settings."""
        self._attempt(lambda logger: logger.log_hyperparams(params))

    def log_picture(self, tag: str, picture: Image.Image, step: int) -> None:
        """Send a picture."""
        self._attempt(lambda logger: send_picture(logger, tag, picture, step))

    def save(self) -> None:
        """Write what is kept back."""
        if self._logger is not None:
            self._attempt(lambda logger: logger.save())

    def finalize(self, status: str) -> None:
        """Close the run; what is sent later opens it again."""
        if self._logger is not None:
            self._attempt(lambda logger: _close(logger, status))
            self._logger = None


def send_picture(logger: Logger, tag: str, picture: Image.Image, step: int) -> bool:
    """Show a picture in any logger that can; tell whether it could."""
    if isinstance(logger, Dashboard):
        logger.log_picture(tag, picture, step)
    elif isinstance(logger, WandbLogger):
        logger.log_image(tag, [picture], step=step)
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(tag, np.asarray(picture), step, dataformats="HWC")
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, np.asarray(picture), f"{tag}/step-{step:08d}.png")
    elif isinstance(logger, CSVLogger):
        save_picture(Path(logger.log_dir), tag, picture, step)
    else:
        return False
    return True


def save_picture(folder: Path, tag: str, picture: Image.Image, step: int) -> Path:
    """Write a picture as `<tag>/step-<step>.png` below `folder`."""
    path = folder / tag / f"step-{step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def _close(logger: Logger, status: str) -> None:
    logger.finalize(status)
    if isinstance(logger, WandbLogger):
        logger.experiment.finish(exit_code=0 if status == "success" else 1)


def training_loggers(names: Sequence[str], out: Path, run: str) -> list[Logger]:
    """Build the loggers of a training: the curves as CSV, and each dashboard that is named.

    Args:
        names: of `--logger`; `none` alone leaves the CSV file out too.
        out: folder of all logs.
        run: name of this run; characters that a folder cannot have are replaced.

    Raises:
        UsageError: A name is unknown.
    """
    for name in names:
        catalog.known("logger", name, (*DASHBOARDS, "none"))
    if list(names) == ["none"]:
        return []
    chosen = [name for name in dict.fromkeys(names) if name in BUILDERS]
    identity = kept_identity(out, run) if chosen and is_first_process() else None
    dashboards = [Dashboard(name, out, run, identity) for name in chosen]
    return [CSVLogger(out / "csv", name=slug(run)), *dashboards]


def kept_identity(out: Path, run: str) -> str:
    """Return the id of a training in its dashboards, drawn at its first start and kept for those that resume it."""
    path = out / f"{slug(run)}.id"
    if not path.is_file():
        atomic_write(path, f"{uuid4().hex}\n")
    return path.read_text(encoding="ascii").strip()
