"""The event file of a finished run, as TensorBoard reads it.

It is not written by TensorBoard's own writer, which puts the host's name into the file's name and the time of writing
into each event: equal runs give equal bytes. Knows no torch.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_BOOL,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_SUCCESS,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
)
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    NULL_TENSOR,
    PLUGIN_NAME,
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from bench.dashboards.content import Fact, FinishedRun
from bench.dashboards.pictures import PictureTable

BUCKETS = 30
QUALITY = 92
"""Of JPEG, with whole chroma: a PNG of ten times its size takes a second to be written, by TensorBoard's checksum."""


def event_file(run: FinishedRun) -> bytes:
    """Return the content of the event file of a run; everything in it happened when the run was over.

    The first event names the run's digest as its writer, by which an equal file is known.
    """
    content = io.BytesIO()
    writer = RecordWriter(content)
    source = SourceMetadata(writer=run.digest)
    first = Event(wall_time=run.ended, file_version="brain.Event:2", source_metadata=source)
    writer.write(first.SerializeToString())
    for step, values in _steps(run):
        event = Event(wall_time=run.ended, step=step, summary=Summary(value=values))
        writer.write(event.SerializeToString(deterministic=True))
    return content.getvalue()


def _steps(run: FinishedRun) -> Iterator[tuple[int, list[Any]]]:
    """Yield what is shown, step by step: curves have a step a per cent, all else has step 0."""
    yield 0, [*_hparams(run), *_scalars(run.scores), *_histograms(run), *_texts(run), *_images(run.pictures)]
    for step, values in enumerate(zip(*run.curves.values(), strict=True)):
        yield step, _scalars(dict(zip(run.curves, values, strict=True)))


def _scalars(scores: dict[str, float]) -> list[Any]:
    return [Summary.Value(tag=tag, simple_value=value) for tag, value in scores.items()]


def _histograms(run: FinishedRun) -> list[Any]:
    return [
        Summary.Value(tag=name.replace("/", "-distribution/"), histo=_histogram(values))
        for name, values in run.observations.items()
    ]


def _histogram(values: Sequence[float]) -> Any:
    scores = np.asarray(values)
    counts, edges = np.histogram(scores, BUCKETS)
    return HistogramProto(
        min=scores.min(),
        max=scores.max(),
        num=len(scores),
        sum=scores.sum(),
        sum_squares=(scores**2).sum(),
        bucket_limit=[edges[0], *edges[1:]],
        bucket=[0, *counts],
    )


def _texts(run: FinishedRun) -> list[Any]:
    record = "\n".join(f"    {line}" for line in run.record.to_json().splitlines())
    return [_text("record/json", record), _text("record/pictures", _markdown(run.pictures))]


def _text(tag: str, content: str) -> Any:
    metadata = create_summary_metadata(display_name=tag, description="")
    return Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto([content.encode()]))


def _markdown(table: PictureTable) -> str:
    columns = ("image", "status", "instances", *table.metrics)
    lines = [
        [line.image, line.status, str(line.instances), *(_number(line.scores[name]) for name in table.metrics)]
        for line in table.lines
    ]
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _plain(cell: str) -> str:
    """Return a cell that ends neither its column nor its line."""
    return " ".join(cell.replace("|", "\N{FULLWIDTH VERTICAL LINE}").split())


def _images(table: PictureTable) -> list[Any]:
    shown = []
    for line in table.lines:
        panel = line.panel()
        if panel is not None:
            content = io.BytesIO()
            panel.save(content, "JPEG", quality=QUALITY, subsampling=0)
            image = Summary.Image(
                width=panel.width, height=panel.height, colorspace=3, encoded_image_string=content.getvalue()
            )
            shown.append(Summary.Value(tag=f"pictures/{line.image}", image=image))
    return shown


def _hparams(run: FinishedRun) -> list[Any]:
    """Return what the HParams tab needs: its columns, and the facts of this run."""
    experiment = Experiment(
        hparam_infos=[HParamInfo(name=name, type=_type(value)) for name, value in run.facts.items()],
        metric_infos=[MetricInfo(name=MetricName(tag=tag)) for tag in run.means],
    )
    start = SessionStartInfo(start_time_secs=run.started)
    for name, value in run.facts.items():
        setattr(start.hparams[name], _field(value), value)
    end = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=run.ended)
    return [
        _plugin_value(EXPERIMENT_TAG, HParamsPluginData(experiment=experiment)),
        _plugin_value(SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
        _plugin_value(SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)),
    ]


def _field(value: Fact) -> str:
    """Return the field of a protocol buffer that holds a fact."""
    if isinstance(value, bool):
        return "bool_value"
    return "string_value" if isinstance(value, str) else "number_value"


def _type(value: Fact) -> Any:
    types = {"bool_value": DATA_TYPE_BOOL, "string_value": DATA_TYPE_STRING, "number_value": DATA_TYPE_FLOAT64}
    return types[_field(value)]


def _plugin_value(tag: str, content: Any) -> Any:
    packed = content.SerializeToString(deterministic=True)
    data = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=packed)
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data), tensor=NULL_TENSOR)
