"""TensorBoard, read back by its own reader and its own HParams tab."""

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.dashboards.content import FinishedRun
from bench.dashboards.sending import replay
from bench.dashboards.tensorboard import TensorBoard
from bench.record import RunRecord

Change = Callable[[FinishedRun, str, float], None]
Tree = Callable[[Path], dict[str, bytes]]
Personal = Callable[[bytes, Path], list[str]]
Finish = Callable[..., RunRecord]


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


def test_pictures_without_files_and_with_hostile_names_are_plain_lines(tmp_path: Path, finish_run: Finish) -> None:
    keys = ["../../etc/passwd", "a|b\nc", "=cmd()", "x" * 300]
    record = finish_run(tmp_path, {key: {"psnr": 20.0} for key in keys} | {"broken": "error-decode"}, metrics=("psnr",))
    run = FinishedRun(tmp_path / "runs/samples/gray--none--s0", record)
    assert sorted(line.image for line in run.pictures.lines) == sorted(keys)
    assert run.pictures.versions == ()
    TensorBoard(tmp_path / "logs", "p").send(run)
    table = texts(tmp_path / "logs/tensorboard/samples/gray--none--s0")["record/pictures"]
    assert [line.count("|") for line in table.splitlines()] == [5] * 6


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


def test_replay_to_tensorboard_is_idempotent(
    finished: FinishedRun, change: Change, tree: Tree, personal: Personal
) -> None:
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
