"""Dashboards, read back by those who make them, and wandb's own file record by record."""

import json
import os
import re
import shutil
import socket
import statistics
import struct
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
from bench.dashboards.pictures import picture_table, spread
from bench.dashboards.sending import Sending, reason, replay
from bench.dashboards.tensorboard import TensorBoard
from bench.dashboards.wandb import Wandb, logged_in
from bench.errors import CommandError
from bench.record import RunRecord

Finish = Callable[..., RunRecord]
CANARY = "canary0123456789canary0123456789canary01"
SCORES = {f"photo{number:02d}": {"psnr": 20.0 + number, "ssim": 0.5 + number / 100} for number in range(20)}


@pytest.fixture(autouse=True)
def own_environment(no_accounts: None) -> None:
    """Keep the machine's accounts away from every test."""


@pytest.fixture
def finished(tmp_path: Path, finish_run: Finish) -> FinishedRun:
    """Return a finished run of twenty pictures, with theirs."""
    record = finish_run(tmp_path / "out", SCORES, images=True)
    return FinishedRun(tmp_path / "out" / "runs" / "samples" / "gray--none--s0", record)


def change(run: FinishedRun, name: str, mean: float) -> None:
    """Give a metric of a run another mean, as if a picture had been done anew."""
    record = run.record.model_dump(by_alias=True)
    record["image"][name]["mean"] = mean
    (run.folder / "record.json").write_text(RunRecord.model_validate(record).to_json())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_names_of_one_thing_are_two_runs(finished: FinishedRun) -> None:
    other = FinishedRun(finished.folder, finished.record.model_copy(update={"method": "gray-again"}))
    again = FinishedRun(finished.folder, finished.record.model_copy(update={"device": "cuda"}))
    assert other.record.run_id == finished.record.run_id
    assert other.identity != finished.identity == again.identity
    assert len(finished.identity) == 32


def test_scores_are_those_of_the_record_with_their_intervals(finished: FinishedRun) -> None:
    scores, record = finished.scores, finished.record
    for level, metrics in (("image", record.image), ("instance", record.instance)):
        for metric, score in metrics.items():
            shown = (scores[f"{level}/{metric}"], scores[f"{level}/{metric}_low"], scores[f"{level}/{metric}_high"])
            assert shown == (score.mean, score.low, score.high)
            assert f"{level}/{metric}_difference" not in scores
    assert scores["totals/images"] == 20
    assert scores["speed/images_per_second"] == 10


def test_curves_are_the_quantiles_of_the_single_scores(finished: FinishedRun) -> None:
    curve = finished.curves["image-quantiles/psnr"]
    single = [scores["psnr"] for scores in SCORES.values()]
    assert (curve[0], curve[50], curve[100]) == (min(single), statistics.median(single), max(single))
    assert curve[1:100] == pytest.approx(statistics.quantiles(single, n=100, method="inclusive"))
    assert set(finished.curves) == {
        f"{level}-quantiles/{name}" for level in ("image", "instance") for name in SCORES["photo00"]
    }


def test_a_metric_of_a_set_has_a_score_and_no_curve(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}, "b": {"psnr": None}}, metrics=("psnr", "ssim"))
    run = FinishedRun(tmp_path / "runs/samples/gray--none--s0", record)
    assert set(run.curves) == {"image-quantiles/psnr", "instance-quantiles/psnr"}
    assert "image/ssim" not in run.scores
    assert "image/psnr_low" not in run.scores


def test_pictures_are_few_and_spread_over_those_that_were_kept(finished: FinishedRun) -> None:
    table = finished.pictures
    assert [line.image for line in table.lines] == [
        f"photo{number:02d}" for number in (0, 2, 3, 5, 7, 9, 10, 12, 14, 16, 17, 19)
    ]
    assert table.versions == ("gray", "prediction", "truth")
    panel = table.lines[0].panel()
    assert panel is not None
    assert panel.size == (3 * 64 + 4, 64)
    for number in range(20):
        if number not in {3, 8}:
            (finished.folder / "images" / f"photo{number:02d}.png").unlink()
    assert [line.image for line in picture_table(finished.folder, finished.out / "pictures/samples").lines] == [
        "photo03",
        "photo08",
    ]


def test_spread_takes_first_and_last() -> None:
    assert spread([{"image": str(number)} for number in range(5)], 3) == [
        {"image": "0"},
        {"image": "2"},
        {"image": "4"},
    ]


def test_pictures_without_files_and_with_hostile_names_are_plain_lines(tmp_path: Path, finish_run: Finish) -> None:
    keys = ["../../etc/passwd", "a|b\nc", "=cmd()", "x" * 300]
    record = finish_run(tmp_path, {key: {"psnr": 20.0} for key in keys} | {"broken": "error-decode"}, metrics=("psnr",))
    run = FinishedRun(tmp_path / "runs/samples/gray--none--s0", record)
    assert sorted(line.image for line in run.pictures.lines) == sorted(keys)
    assert run.pictures.versions == ()
    TensorBoard(tmp_path / "logs", "p").send(run)
    table = texts(tmp_path / "logs/tensorboard/samples/gray--none--s0")["record/pictures"]
    assert [line.count("|") for line in table.splitlines()] == [5] * 6


def events(folder: Path) -> Any:
    module = import_module("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(folder), size_guidance={module.TENSORS: 0, module.SCALARS: 0})
    accumulator.Reload()
    return accumulator


def texts(folder: Path) -> dict[str, str]:
    read = events(folder)
    metadata = {tag: read.SummaryMetadata(tag) for tag in read.Tags()["tensors"]}
    tags = [tag for tag, each in metadata.items() if each.plugin_data.plugin_name == "text"]
    return {tag: read.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags}


def test_tensorboard_shows_all_of_a_run(finished: FinishedRun) -> None:
    assert TensorBoard(finished.out / "logs", "p").send(finished)
    folder = finished.out / "logs/tensorboard/samples/gray--none--s0"
    read = events(folder)
    for name, value in finished.scores.items():
        (point,) = read.Scalars(name)
        assert (point.step, point.value) == (0, pytest.approx(value, rel=1e-6))
    curve = read.Scalars("image-quantiles/psnr")
    assert [point.step for point in curve] == list(range(101))
    assert [point.value for point in curve] == pytest.approx(finished.curves["image-quantiles/psnr"], rel=1e-6)
    histogram = read.Histograms("image-distribution/psnr")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max, sum(histogram.bucket)) == (20, 20, 39, 20)
    images = [tag for tag in read.Tags()["images"] if tag.startswith("pictures/")]
    assert len(images) == 12
    assert (read.Images(images[0])[0].width, read.Images(images[0])[0].height) == (196, 64)
    shown = texts(folder)
    assert RunRecord.model_validate_json("".join(shown["record/json"].split("\n    "))) == finished.record
    assert len(shown["record/pictures"].splitlines()) == 14


def test_tensorboard_compares_runs_by_their_settings(tmp_path: Path, finish_run: Finish) -> None:
    for method, psnr in (("gray", 20.0), ("random", 18.0)):
        finish_run(tmp_path, {"a": {"psnr": psnr}, "b": {"psnr": psnr}}, method=method, metrics=("psnr",))
    replay([tmp_path], ["tensorboard"])
    groups = session_groups(tmp_path / "logs/tensorboard")
    shown = {
        group.hparams["method"].string_value: {each.name.tag: each.value for each in group.metric_values}
        for group in groups
    }
    assert shown == {"gray": {"image/psnr": 20, "instance/psnr": 19}, "random": {"image/psnr": 18, "instance/psnr": 17}}
    assert {group.hparams["protocol"].string_value for group in groups} == {"stretch256-v1"}
    assert {group.hparams["partial"].bool_value for group in groups} == {False}


def session_groups(folder: Path) -> list[Any]:
    """Return what the HParams tab lists, from TensorBoard's own backend."""
    hparams, processing = "tensorboard.plugins.hparams.", "tensorboard.backend.event_processing."
    runs = import_module(f"{processing}plugin_event_multiplexer").EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = import_module(f"{processing}data_provider").MultiplexerDataProvider(runs, str(folder))
    context = import_module("tensorboard.plugins.base_plugin").TBContext(
        data_provider=provider, logdir=str(folder), multiplexer=runs
    )
    backend = import_module(f"{hparams}backend_context").Context(context)
    api = import_module(f"{hparams}api_pb2")
    request = api.ListSessionGroupsRequest(slice_size=100, allowed_statuses=[api.STATUS_SUCCESS])
    asked = import_module("tensorboard.context").RequestContext()
    return list(
        import_module(f"{hparams}list_session_groups").Handler(asked, backend, "", request).run().session_groups
    )


def test_replay_to_tensorboard_is_idempotent(finished: FinishedRun) -> None:
    folder = finished.out / "logs/tensorboard/samples/gray--none--s0"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.somewhere.2.0").write_bytes(b"of an older version")
    (told,) = replay([finished.out], ["tensorboard", "tensorboard"])
    assert told == f"tensorboard: 1 of 1 run sent; tensorboard --logdir {finished.out}/logs/tensorboard"
    before = tree(folder)
    assert len(before) == 1
    (told,) = replay([finished.out], ["tensorboard"])
    assert "nothing new" in told
    assert tree(folder) == before
    shutil.rmtree(folder)
    replay([finished.out], ["tensorboard"])
    assert tree(folder) == before, "the bytes follow from the run"
    assert personal(b"\n".join(name.encode() + b"\n" + content for name, content in before.items()), finished.out) == []
    change(finished, "psnr", 33.0)
    replay([finished.out], ["tensorboard"])
    assert len(tree(folder)) == 1
    assert [point.value for point in events(folder).Scalars("image/psnr")] == [33]


def test_a_run_that_was_sent_as_it_finished_is_not_replayed(finished: FinishedRun) -> None:
    with Sending(["tensorboard", "csv"], finished.out) as dashboards:
        dashboards.send(finished.folder, finished.record)
    assert "nothing new" in replay([finished.out], ["tensorboard"])[0]


def wandb_records(path: Path) -> Iterator[Any]:
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
            record = import_module("wandb.proto.wandb_internal_pb2").Record()
            record.ParseFromString(kept)
            yield record
            kept = b""


def of_kind(path: Path, kind: str) -> list[Any]:
    return [getattr(record, kind) for record in wandb_records(path) if record.WhichOneof("record_type") == kind]


def wandb_items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def wandb_file(out: Path) -> Path:
    """Return the one offline file of an output folder's one run."""
    (path,) = (out / "logs/wandb").glob("offline-run-*/run-*.wandb")
    return path


def test_replay_to_wandb_is_idempotent_and_offline(finished: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (finished.out / "pictures/samples/photo02.truth.png").unlink()
    (told,) = replay([finished.out], ["wandb"])
    assert told.startswith("wandb: 1 of 1 run sent; offline")
    path, before = wandb_file(finished.out), tree(finished.out / "logs/wandb")
    assert path.name == f"run-{finished.identity}.wandb"
    assert "nothing new" in replay([finished.out], ["wandb"])[0]
    assert tree(finished.out / "logs/wandb") == before
    check_wandb_run(path, finished)
    check_wandb_artifacts(path, finished)
    assert CANARY.encode() not in b"".join(before.values())
    assert personal(without_local_paths(path), finished.out) == []


def check_wandb_run(path: Path, finished: FinishedRun) -> None:
    (run,) = of_kind(path, "run")
    assert (run.project, run.run_group, run.job_type) == ("colorbench", "test-v1", "samples/stretch256-v1")
    assert (run.display_name, list(run.tags)) == ("samples--gray--none--s0", ["gray"])
    config = wandb_items(run.config.update)
    assert {name: config[name] for name in finished.facts} == finished.facts
    assert config["run_id"] == finished.record.run_id
    summary: dict[str, Any] = {}
    for part in of_kind(path, "summary"):
        summary |= wandb_items(part.update)
    assert {name: summary[name] for name in finished.scores} == finished.scores
    history = [wandb_items(part.item) for part in of_kind(path, "history")]
    assert [row["percent"] for row in history] == [row["_step"] for row in history] == list(range(101))
    assert [row["image-quantiles/psnr"] for row in history] == finished.curves["image-quantiles/psnr"]
    assert summary["pictures/_type"] == "table-file"
    assert (summary["pictures/nrows"], summary["pictures/ncols"]) == (12, 8)
    assert sum(summary["image-distribution/psnr/values"]) == 20


def check_wandb_artifacts(path: Path, finished: FinishedRun) -> None:
    artifacts = {
        each.type: {entry.path: entry for entry in each.manifest.contents} for each in of_kind(path, "artifact")
    }
    assert set(artifacts) == {"record", "run_table"}
    assert set(artifacts["record"]) == {"record.json", "images.csv", "instances.csv", "breakdown.csv"}
    kept = Path(artifacts["record"]["record.json"].local_path)
    assert kept.is_relative_to(path.parent), "what is uploaded later lies beside the run"
    assert kept.read_bytes() == (finished.folder / "record.json").read_bytes()
    table = json.loads(Path(artifacts["run_table"]["pictures.table.json"].local_path).read_text())
    assert table["columns"] == ["image", "status", "instances", "gray", "prediction", "truth", "psnr", "ssim"]
    assert [line[0] for line in table["data"]] == [line.image for line in finished.pictures.lines]
    assert [line[0] for line in table["data"] if line[5] is None] == ["photo02"]
    for line in table["data"]:
        shown = artifacts["run_table"][line[4]["path"]].local_path
        with Image.open(shown) as small, Image.open(finished.folder / "images" / f"{line[0]}.png") as kept_picture:
            assert small.tobytes() == kept_picture.tobytes()


def personal(content: bytes, out: Path) -> list[str]:
    """Return what no dashboard may know and one does: paths and names of this machine."""
    paths = [re.escape(str(each)) for each in (out.parent, Path.home(), Path.cwd())]
    words = [*paths, rf"(?<!\w){re.escape(socket.gethostname())}(?!\w)"]
    return [word for word in words if re.search(word.encode(), content)]


def without_local_paths(path: Path) -> bytes:
    """Return wandb's file without the places of the files that it is to upload, which it tells nobody."""
    content = b""
    for record in wandb_records(path):
        for entry in record.artifact.manifest.contents if record.WhichOneof("record_type") == "artifact" else ():
            entry.local_path = ""
        content += record.SerializeToString()
    return content


@pytest.mark.slow
def test_a_changed_run_replaces_what_wandb_has(finished: FinishedRun) -> None:
    replay([finished.out], ["wandb"])
    torn = finished.out / f"logs/wandb/offline-run-20200101_000000-{finished.identity}"
    torn.mkdir()
    (torn / "of-a-killed-replay").touch()
    assert "nothing new" in replay([finished.out], ["wandb"])[0]
    assert not torn.exists()
    change(finished, "psnr", 33.0)
    assert "1 of 1" in replay([finished.out], ["wandb"])[0]
    summary = wandb_items([item for part in of_kind(wandb_file(finished.out), "summary") for item in part.update])
    assert summary["image/psnr"] == 33
    assert "1 of 1" in replay([finished.out], ["wandb"], "another-project")[0]
    assert of_kind(wandb_file(finished.out), "run")[0].project == "another-project"


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
    server: str, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
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
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
