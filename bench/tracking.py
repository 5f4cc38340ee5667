"""Dashboards: wandb, TensorBoard and MLflow as views of a run. The only file that imports wandb.

The truth is the run's own rows and its record. A dashboard that fails is reported once, and the run goes on without it.
"""

import netrc
import os
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from bench import catalog
from bench.record import RunRecord

PROJECT = "colorbench"
LONGEST_NAME = 100
INIT_SECONDS = 30


def slug(name: str) -> str:
    """Return a name that is safe as a folder's, for loggers that join it to a path.

    >>> slug("samples--gray--none--s0"), slug("../../x y")
    ('samples--gray--none--s0', 'x-y')
    """
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "run"
    if len(clean) <= LONGEST_NAME:
        return clean
    return f"{clean[: LONGEST_NAME - 9]}-{sha256(name.encode()).hexdigest()[:8]}"


def logged_in() -> bool:
    """Whether this user has a key for wandb, in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]:
        try:
            if netrc.netrc(path).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _wandb(folder: Path, run: str, identity: str | None) -> WandbLogger:
    """Build the wandb logger: offline unless the user is logged in, and silent about machine, user and code."""
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        mode=os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline"),  # type: ignore[arg-type]
        reinit="create_new",
        init_timeout=INIT_SECONDS,
        console="off",
        silent=True,
        host="",
        save_code=False,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    logger = WandbLogger(name=run, save_dir=folder, project=project, id=identity, settings=settings)
    logger._wandb_init.pop("anonymous", None)  # wandb warns of it even where it is None
    return logger


def _tensorboard(folder: Path, run: str, identity: str | None) -> TensorBoardLogger:
    """Build the TensorBoard logger; a training that is resumed goes on in the same folder."""
    return TensorBoardLogger(folder / "tensorboard", name=run, version="", default_hp_metric=False)


def _mlflow(folder: Path, run: str, identity: str | None) -> MLFlowLogger:
    """Build the MLflow logger: a local SQLite file unless `MLFLOW_TRACKING_URI` names a server."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    server = os.environ.get("MLFLOW_TRACKING_URI")
    store = (folder / "mlflow").absolute()
    if not server:
        store.mkdir(parents=True, exist_ok=True)
    return MLFlowLogger(
        experiment_name=PROJECT,
        run_name=run,
        tracking_uri=server or f"sqlite:///{store}/mlflow.db",
        artifact_location=None if server else (store / "artifacts").as_uri(),
        # without these two, MLflow writes the user's name and the path of the program
        tags={"mlflow.user": PROJECT, "mlflow.source.name": PROJECT} | ({"run_id": identity} if identity else {}),
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
            reason = str(error).strip().splitlines() or [type(error).__name__]
            rank_zero_warn(f"{self.kind} takes nothing more ({reason[0]}); the run goes on, its own files are complete")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send numbers."""
        self._attempt(lambda logger: logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send settings."""
        self._attempt(lambda logger: logger.log_hyperparams(params))

    def log_picture(self, tag: str, picture: Image.Image, step: int) -> None:
        """Send a picture."""
        self._attempt(lambda logger: send_picture(logger, tag, picture, step))

    def log_summary(self, facts: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Send what a finished run came to."""
        self._attempt(lambda logger: _send_summary(logger, facts, scores))

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


def _send_summary(logger: Logger, facts: Mapping[str, Any], scores: Mapping[str, float]) -> None:
    logger.log_hyperparams(dict(facts))
    if isinstance(logger, WandbLogger):
        logger.experiment.summary.update(dict(scores))
    else:
        logger.log_metrics(dict(scores), step=0)


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
    dashboards = [Dashboard(name, out, run) for name in dict.fromkeys(names) if name in BUILDERS]
    return [CSVLogger(out / "csv", name=slug(run)), *dashboards]


@rank_zero_only
def log_record(record: RunRecord, names: Sequence[str], out: Path) -> None:
    """Send the scores of a finished run, as `image/psnr`, `instance/psnr` and so on, to each dashboard named.

    Args:
        record: of the run.
        names: of `--logger`.
        out: output folder of the comparison; local files go to its `logs`.
    """
    run = f"{record.dataset}--{record.method}--{record.detector}--s{record.seed}"
    for name in dict.fromkeys(names):
        if name in BUILDERS:
            dashboard = Dashboard(name, out / "logs", run, record.run_id[:32])
            dashboard.log_summary(record_facts(record), record_scores(record))
            dashboard.finalize("success")


def record_scores(record: RunRecord) -> dict[str, float]:
    """Return the numbers of a record by dashboard name; those that it has not are absent."""
    levels = {"image": record.image, "instance": record.instance}
    scores = {
        f"{level}/{metric}": score.mean
        for level, metrics in levels.items()
        for metric, score in metrics.items()
        if score.mean is not None
    }
    scores |= {f"counts/{key}": float(value) for key, value in record.counts.model_dump(exclude_none=True).items()}
    if record.images_per_second is not None:
        scores["speed/images_per_second"] = record.images_per_second
    return scores


def record_facts(record: RunRecord) -> dict[str, Any]:
    """Return what names a run in a dashboard, and what its numbers depend on."""
    names = ("suite", "method", "detector", "dataset", "protocol", "seed")
    facts = {name: getattr(record, name) for name in (*names, "run_id", "partial", "untrained", "device", "precision")}
    return facts | {f"digest_{key}": value for key, value in record.digests.model_dump(exclude_none=True).items()}
