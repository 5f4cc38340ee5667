"""Finished runs for wandb, and the settings that trainings share with them. The only file that imports wandb.

A run has the same id whenever and wherever it is sent. What was sent is known by a digest that stands in the run's
folder below `logs/wandb`: an equal run is not sent again, of a changed one the new folder replaces the old. The folders
of other projects and servers stay: they may not be synced yet.

- Offline there is one folder a run, and `wandb sync` sends it.
- On a server that has the run already, whether `wandb sync` or a replay from another machine brought it there, its
  numbers and steps are written over, because the run is never resumed; an artifact of equal content is no new version.
  One that was deleted there is refused, because wandb gives an id once: restore it there, or take another project.

wandb keeps absolute paths of this machine in its local files, of those that are to be uploaded and in its logs; it
sends neither. The logs are removed. The places of files stay in the offline file until it is synced: so long its
folder must not be moved, nor be published where the name of the user's folder is nobody's business.
"""

import json
import netrc
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.dashboards.content import PERCENTS, PROJECT, FinishedRun
from bench.dashboards.pictures import PictureLine, PictureTable
from bench.files import atomic_write

if TYPE_CHECKING:
    import wandb

INIT_SECONDS = 30
FINISH_SECONDS = 120
ANSWER_SECONDS = 10
RETRIES = 2
LONGEST_TAG = 64
SENT = "sent.json"
HOST = "https://api.wandb.ai"


def logged_in() -> bool:
    """Whether this user has a key for wandb, in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or HOST).hostname or ""
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]:
        try:
            if netrc.netrc(path).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def mode() -> str:
    """Return how wandb is used: as `WANDB_MODE` says, else online where the user is logged in, else offline."""
    return os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")


def quiet_settings(**more: Any) -> "wandb.Settings":
    """Return settings that say nothing of machine, user and code, and give up on a server that does not answer."""
    import wandb

    return wandb.Settings(
        mode=mode(),  # type: ignore[arg-type]  # wandb itself refuses what is no mode of its own
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
        **more,
    )


class Wandb:
    """Send finished runs: group by suite, job type by dataset and protocol, so that reports group at once.

    Args:
        logs: folder of an output folder's logs.
        project: of wandb; as `WANDB_PROJECT` says, or `PROJECT`, where None.
    """

    def __init__(self, logs: Path, project: str | None) -> None:
        self.logs, self.project = logs, project or os.environ.get("WANDB_PROJECT") or PROJECT
        self.folder = logs / "wandb"
        self._begun = False
        self._written: list[Path] = []

    @property
    def hint(self) -> str:
        """Return how to look at the runs."""
        if mode() == "offline":
            sync = f"wandb sync {shlex.quote(str(self.folder))}/offline-run-*"
            return f"offline; once you are logged in: {sync} (until then do not move the folder: wandb keeps its path)"
        return f"project {self.project} on {self._server}"

    @property
    def _server(self) -> str:
        return urlsplit(os.environ.get("WANDB_BASE_URL") or HOST).hostname or ""

    def send(self, run: FinishedRun) -> bool:
        """Send a run; return whether there was something to send.

        Raises:
            Exception: wandb's own, where its server does not answer; what was sent before stands as it was.
        """
        target = mode() if mode() == "offline" else f"{mode()} {self._server}"
        wanted = {"digest": run.digest, "project": self.project, "target": target}
        sent = {folder: _sent(folder) for folder in self._folders(run)}
        known = [folder for folder, said in sent.items() if said == wanted]
        try:
            folder = known[0] if known else self._send(run)
        except BaseException:
            _remove(each for each in self._folders(run) if each not in sent)
            raise
        _remove(each for each, said in sent.items() if each != folder and _is_replaced(said, wanted))
        atomic_write(folder / SENT, json.dumps(wanted, indent=1) + "\n")
        return not known

    def _folders(self, run: FinishedRun) -> list[Path]:
        """Return wandb's own folders of a run, also of one that was killed while it was sent."""
        return sorted(self.folder.glob(f"*run-*-{run.identity}"))

    def _send(self, run: FinishedRun) -> Path:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        self._begun = True
        begun = wandb.init(
            project=self.project,
            dir=self.logs,
            id=run.identity,
            name=run.name,
            group=run.record.suite,
            job_type=f"{run.record.dataset}/{run.record.protocol}",
            tags=[tag[:LONGEST_TAG] for tag in run.tags],
            config={**run.facts, **run.details},
            settings=quiet_settings(
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
                x_graphql_timeout_seconds=ANSWER_SECONDS,
                x_graphql_retry_max=RETRIES,
                x_file_stream_timeout_seconds=ANSWER_SECONDS,
                x_file_stream_retry_max=RETRIES,
                x_file_transfer_retry_max=RETRIES,
            ),
        )
        folder = Path(begun.dir).parent
        self._written.append(folder)
        with _staging_in(folder):
            _log(begun, run)
            begun.finish()
        return folder

    def close(self) -> None:
        """Wait until wandb's own process has written everything, and remove its logs, which hold paths."""
        import wandb

        if not self._begun:
            return
        wandb.teardown()
        _remove(folder / "logs" for folder in self._written)
        for link in ("debug.log", "debug-internal.log", "latest-run"):
            (self.folder / link).unlink(missing_ok=True)
        self._begun = False
        self._written.clear()


def _remove(folders: Iterable[Path]) -> None:
    """Remove folders; what another process has just written or taken away there does not matter."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _sent(folder: Path) -> Any:
    """Return what a folder of wandb says was sent from it; None where that was never finished."""
    try:
        return json.loads((folder / SENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_replaced(said: Any, wanted: Mapping[str, str]) -> bool:
    """Whether a folder holds what is sent now, or was never finished; other projects and servers keep theirs."""
    return not isinstance(said, dict) or all(said.get(key) == wanted[key] for key in ("project", "target"))


@contextmanager
def _staging_in(folder: Path) -> Iterator[None]:
    """Let wandb keep the files of artifacts beside the run, so that they are there when it is sent, and go with it."""
    name = "WANDB_DATA_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _log(begun: "wandb.Run", run: FinishedRun) -> None:
    """Log each thing once: a step a per cent for the curves, the rest with the last of them, and the record."""
    import wandb

    begun.define_metric("percent", summary="none")
    curves = run.curves
    for name in curves:
        begun.define_metric(name, step_metric="percent", summary="none")
    rest: dict[str, Any] = dict(run.scores)
    for name, values in run.observations.items():
        rest[name.replace("/", "-distribution/")] = wandb.Histogram(values)
    if run.pictures.lines:
        rest["pictures"] = _table(run.pictures)
    for percent in PERCENTS:
        row = {name: values[percent] for name, values in curves.items()}
        begun.log({"percent": percent, **row, **(rest if percent == PERCENTS[-1] else {})}, step=percent)
    artifact = wandb.Artifact(f"{run.name[:80]}-{run.identity[:8]}", type="record")
    for name, path in run.files.items():
        artifact.add_file(str(path), name=name)
    begun.log_artifact(artifact)


def _table(table: PictureTable) -> "wandb.Table":
    import wandb

    columns: list[str | int] = ["image", "status", "instances", *table.versions, *table.metrics]
    return wandb.Table(columns=columns, data=[_cells(line, table) for line in table.lines])


def _cells(line: PictureLine, table: PictureTable) -> list[Any]:
    import wandb

    small = [line.thumbnail(version) for version in table.versions]
    images = [None if each is None else wandb.Image(each) for each in small]
    return [line.image, line.status, line.instances, *images, *(line.scores[name] for name in table.metrics)]
