"""Finished runs for MLflow: a SQLite file in the output folder, or the server that `MLFLOW_TRACKING_URI` names.

A run is found by a tag with its id, wherever it was sent from. The last thing that it is given is the digest of what
was sent: with an equal digest nothing is sent; otherwise the run is sent whole, and then what stood there before is
deleted, in MLflow's sense: it can be restored until `mlflow gc`.

The local store holds no path: it may be moved, and is looked at with `mlflow server --artifacts-destination`.
"""

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.dashboards.content import PERCENTS, PROJECT, FinishedRun
from bench.files import writing

ID = "colorbench.id"
DIGEST = "colorbench.digest"
LOCAL = "mlflow-artifacts:/"
TABLE = "pictures.json"
MOST_METRICS = 1000
"""What MLflow takes in one call."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""No report of its use, no chatter, and no minutes of waiting for a server; the user's own settings go before."""


class MLflow:
    """Send finished runs.

    Args:
        logs: folder of an output folder's logs.
        project: name of the experiment; as `MLFLOW_EXPERIMENT_NAME` says, or `PROJECT`, where None.
    """

    def __init__(self, logs: Path, project: str | None) -> None:
        self.folder = logs / "mlflow"
        self.project = project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        self.server = os.environ.get("MLFLOW_TRACKING_URI")
        self._client: Any = None

    @property
    def hint(self) -> str:
        """Return how to look at the runs."""
        if self.server:
            return f"experiment {self.project} on the server that MLFLOW_TRACKING_URI names"
        artifacts = str((self.folder / "artifacts").absolute())
        places = ["--backend-store-uri", self._database, "--artifacts-destination", artifacts]
        return shlex.join(["mlflow", "server", *places])

    @property
    def _database(self) -> str:
        return f"sqlite:///{self.folder.absolute()}/mlflow.db"

    @property
    def client(self) -> Any:
        """Return MLflow's client; the local store is made where it is missing."""
        if self._client is None:
            prepare_mlflow()
            from mlflow.tracking import MlflowClient

            if not self.server:
                self._make_store()
            self._client = MlflowClient(self.server or self._database)
        return self._client

    def _make_store(self) -> None:
        """Make the SQLite file, whose first experiment MLflow would else give a path below the current folder."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        SqlAlchemyStore(self._database, LOCAL)  # type: ignore[no-untyped-call]  # MLflow leaves it untyped

    def send(self, run: FinishedRun) -> bool:
        """Send a run; return whether there was something to send.

        Raises:
            Exception: MLflow's own, where its server does not answer; what was sent before stands as it was.
        """
        experiment = self._experiment()
        before = _runs_of(self.client, experiment, run.identity)
        current = [each for each in before if each.data.tags.get(DIGEST) == run.digest]
        if not current:
            self._send(run, experiment)
        for old in [each for each in before if each not in current[:1]]:
            self.client.delete_run(old.info.run_id)
            if self._is_local(old.info.artifact_uri):
                shutil.rmtree(self._local_folder(old.info.artifact_uri).parent, ignore_errors=True)
        return not current

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.project)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.server else f"{LOCAL}{self.project}"
        return str(self.client.create_experiment(self.project, artifact_location=place))

    def _send(self, run: FinishedRun, experiment: str) -> None:
        from mlflow.entities import Metric, Param

        began, ended = round(run.started * 1000), round(run.ended * 1000)
        made = self.client.create_run(experiment, start_time=began, run_name=run.name, tags=_tags(run))
        identity = made.info.run_id
        params = [Param(name, str(value)) for name, value in {**run.facts, **run.details}.items()]
        self.client.log_batch(identity, params=params)
        curves = [(name, curve[step], step) for name, curve in run.curves.items() for step in PERCENTS]
        points = [*((name, value, 0) for name, value in run.scores.items()), *curves]
        metrics = [Metric(name, value, ended, step) for name, value, step in points]
        for start in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(identity, metrics=metrics[start : start + MOST_METRICS])
        with tempfile.TemporaryDirectory() as folder:
            write_artifacts(run, Path(folder))
            self._send_artifacts(identity, made.info.artifact_uri, Path(folder))
        self.client.set_terminated(identity, end_time=ended)
        self.client.set_tag(identity, DIGEST, run.digest)

    def _send_artifacts(self, identity: str, uri: str, folder: Path) -> None:
        if self._is_local(uri):
            with writing(self.folder):
                shutil.copytree(folder, self._local_folder(uri))
        else:
            self.client.log_artifacts(identity, str(folder))

    def _is_local(self, uri: str) -> bool:
        return not self.server and uri.startswith(LOCAL)

    def _local_folder(self, uri: str) -> Path:
        return self.folder / "artifacts" / uri.removeprefix(LOCAL)

    def close(self) -> None:
        """Do nothing: every run is complete."""


def _runs_of(client: Any, experiment: str, identity: str) -> list[Any]:
    """Return the runs with an id of ours."""
    return list(client.search_runs([experiment], filter_string=f"tags.`{ID}` = '{identity}'"))


def find_run(uri: str, project: str, identity: str) -> str | None:
    """Return MLflow's id of the newest run with an id of ours in an experiment; None where there is none."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(project)
    found = [] if experiment is None else _runs_of(client, experiment.experiment_id, identity)
    return str(found[0].info.run_id) if found else None


def prepare_mlflow() -> None:
    """Apply `SETTINGS`, which MLflow reads when it is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def _tags(run: FinishedRun) -> dict[str, str]:
    """Return what tells a run from others; without the first two MLflow writes the user's name and the program."""
    names: Sequence[str] = ("suite", "dataset", "protocol", "method", "detector")
    return {
        "mlflow.user": "colorbench",
        "mlflow.source.name": "colorbench",
        "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]),
        ID: run.identity,
        **{name: str(run.facts[name]) for name in names},
    }


def write_artifacts(run: FinishedRun, folder: Path) -> None:
    """Write the files of a run to a folder: record, tables, and pictures with a table that MLflow can show."""
    for name, path in run.files.items():
        shutil.copyfile(path, folder / name)
    table = run.pictures
    (folder / "pictures").mkdir()
    lines = []
    for number, line in enumerate(table.lines):
        cells: list[Any] = [line.image, line.status, line.instances]
        for version in table.versions:
            small = line.thumbnail(version)
            name = f"pictures/{number:02d}-{version}.png"
            if small is not None:
                small.save(folder / name)
            shown = {"type": "image", "filepath": name, "compressed_filepath": name}
            cells.append(None if small is None else shown)
        lines.append([*cells, *(line.scores[metric] for metric in table.metrics)])
    columns = ["image", "status", "instances", *table.versions, *table.metrics]
    (folder / TABLE).write_text(json.dumps({"columns": columns, "data": lines}), encoding="utf-8")
