"""Detection as a pass of its own: photos in, a hashed box file out, before anything is coloured.

Every method that is compared sees the boxes of one file. Networks run in a process that ends when the file is written:
importing ultralytics changes the process that does it, and must not happen while a process group is up.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from bench.boxes import DETECTOR_FILES, detect, is_network
from bench.catalog import Tree
from bench.errors import CommandError, MissingError, UsageError
from bench.files import writing
from bench.interrupt import Interrupted, raise_on_signals
from bench.progress import progress, say
from bench.suite import DetectorChoice
from bench.weights import find_weights
from datamodules.boxfile import BoxFile, read_boxes
from datamodules.photos import PhotoSource
from datamodules.sources.files import FilesSource
from datamodules.sources.folder import FolderSource

__all__ = ["DETECTOR_FILES", "detect", "detect_folder", "failures", "find_detector_weights", "run_detection"]

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


class DetectionRequest(BaseModel):
    """Say what a process is to detect: on the test photos of a datamodule's tree, on a folder, or on single photos.

    `weights` is the absolute path of a file, None for a plug-in without. Of `data`, `folder` and `files` the first that
    is given is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str
    weights: Path | None
    score_threshold: float
    max_boxes: int
    out: Path
    data: Tree | None = None
    folder: Path | None = None
    files: tuple[Path, ...] = ()
    limit: int | None = None


def run_detection(
    data: Tree,
    source: PhotoSource,
    choice: DetectorChoice,
    out: Path,
    *,
    limit: int | None = None,
    weights_base: Path | None = None,
) -> BoxFile:
    """Write the box file of a dataset; a network runs in a process of its own.

    Args:
        data: `class_path` tree of the datamodule that `source` is the test split of.
        source: the photos.
        choice: the detector and its settings.
        out: the box file.
        limit: look at the first so many photos only.
        weights_base: folder of the file that names the detector's weights.

    Raises:
        MissingError: Weights or a package are not there; found out before the first photo is read.
        UsageError: The weights are not those of the detector.
        CommandError: The process ended early.
    """
    weights = find_detector_weights(choice, beside=weights_base)
    if not is_network(choice.id):
        return _detect_here(source, choice, out, limit)
    request = _request(choice, weights, out).model_copy(update={"data": data, "limit": limit})
    return run_detection_process(request, len(source.photos[:limit]), title=f"detecting with {choice.name}")


def detect_folder(folder: Path, choice: DetectorChoice, out: Path, instances: Path | None = None) -> BoxFile:
    """Write the box file of a folder of photos.

    Args:
        folder: where the photos are.
        choice: the detector and its settings.
        out: the box file.
        instances: COCO JSON with the boxes that `annotations` copies; no other detector looks at it.

    Raises:
        MissingError: The folder, weights or a package are not there.
        UsageError: `annotations` without a file of annotations, or weights of another detector.
        CommandError: The process that detects ended early.
    """
    weights = find_detector_weights(choice)
    try:
        source = FolderSource(folder)
        annotated = read_boxes(instances) if choice.id == "annotations" and instances is not None else None
    except FileNotFoundError as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    if choice.id == "annotations" and annotated is None:
        raise UsageError("a plain folder has no annotations: give a COCO file with --instances, or another detector")
    if not is_network(choice.id):
        return _detect_here(source, choice, out, None, annotated)
    request = _request(choice, weights, out).model_copy(update={"folder": folder.resolve()})
    return run_detection_process(request, len(source.photos), title=f"detecting with {choice.name}")


def detect_files(source: FilesSource, choice: DetectorChoice, out: Path) -> BoxFile:
    """Write the box file of single photos.

    Args:
        source: the photos.
        choice: the detector and its settings.
        out: the box file.

    Raises:
        MissingError: Weights or a package are not there.
        UsageError: Photos have no `annotations` by themselves, or the weights are of another detector.
        CommandError: The process that detects ended early.
    """
    if choice.id == "annotations":
        raise UsageError("a photo has no annotations by itself: give a COCO file with --instances")
    weights = find_detector_weights(choice)
    if not is_network(choice.id):
        return _detect_here(source, choice, out, None)
    files = tuple(path.resolve() for path in source.paths.values())
    request = _request(choice, weights, out).model_copy(update={"files": files})
    return run_detection_process(request, len(source.photos), title=f"detecting with {choice.name}")


def find_detector_weights(choice: DetectorChoice, *, beside: Path | None = None, download: bool = True) -> Path | None:
    """Return the weights file of a detector, None for one without a network.

    Args:
        choice: the detector.
        beside: folder of the file that names the weights.
        download: whether weights that are not on this machine may be fetched.

    Raises:
        MissingError: The file or the package that reads it is not there; the message says how to get it.
    """
    names = (choice.weights,) if choice.weights is not None else DETECTOR_FILES.get(choice.id, ())
    if not names or not is_network(choice.id):
        return None
    if choice.id == "yolo" and importlib.util.find_spec("ultralytics") is None:
        raise MissingError("the detector `yolo` needs ultralytics: pip install 'colorbench[yolo]'")
    return find_weights(*names, beside=beside, download=download)


def _request(choice: DetectorChoice, weights: Path | None, out: Path) -> DetectionRequest:
    settings = {"score_threshold": choice.score_threshold, "max_boxes": choice.kept_boxes}
    return DetectionRequest.model_validate(
        {"detector": choice.id, "weights": weights, "out": out.resolve(), **settings}
    )


def _detect_here(
    source: PhotoSource, choice: DetectorChoice, out: Path, limit: int | None, annotated: BoxFile | None = None
) -> BoxFile:
    with progress(f"boxes of {choice.name}", len(source.photos[:limit])) as advance:
        found = detect(
            source, choice.id, max_boxes=choice.kept_boxes, limit=limit, progress=advance, annotated=annotated
        )
    with writing(out):
        found.write(out)
    return _noted(found, out)


def _noted(found: BoxFile, out: Path) -> BoxFile:
    for photo in failures(found):
        say(f"left out of {out.name}: {photo['image']}: {photo['reason']}")
    return found


def failures(boxes: BoxFile) -> Sequence[Mapping[str, str]]:
    """Return the photos that a box file lacks because they could not be read: `image`, `status` and `reason` each."""
    failed: Sequence[Mapping[str, str]] = boxes.info.model_dump().get("failed", ())
    return failed


def run_detection_process(request: DetectionRequest, total: int, *, title: str) -> BoxFile:
    """Let a process of its own write a box file, and show how it goes on.

    Args:
        request: what to detect.
        total: number of photos.
        title: of the progress bar.

    Raises:
        CommandError: The process ended early; of the kind that it reports, with the last lines that it wrote.
    """
    with tempfile.TemporaryFile() as written, progress(title, total) as advance:
        report: dict[str, Any] = {}
        with _start(request, written) as child:
            try:
                for line in child.stdout or ():
                    report = json.loads(line)
                    advance(report.get("done", 0))
                status = child.wait()
            finally:
                child.terminate()
        if status != 0:
            raise _failure(status, report, written)
    return _noted(read_boxes(request.out), request.out)


def _start(request: DetectionRequest, stderr: IO[bytes]) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.detection"],
        env={name: value for name, value in os.environ.items() if name not in RANK_VARIABLES},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    if child.stdin is not None:
        with suppress(BrokenPipeError), child.stdin:  # one that died at once says why on its standard error
            child.stdin.write(request.model_dump_json())
    return child


def _failure(status: int, report: Mapping[str, Any], stderr: IO[bytes]) -> CommandError:
    kinds = {kind.exit_status: kind for kind in (MissingError, UsageError)}
    if "error" in report:
        return kinds.get(status, CommandError)(str(report["error"]))
    stderr.seek(0)
    last = stderr.read().decode(errors="replace").strip().splitlines()[-5:]
    ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return CommandError(f"the process that detects {ended}; its last words: {' | '.join(last) or 'none'}")


def main() -> None:
    """Do what the request on standard input says; print one JSON object a photo on standard output."""
    raise_on_signals()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as channel:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not look like a report
        request = DetectionRequest.model_validate_json(sys.stdin.read())
        try:
            _answer(request, lambda count: _report(channel, {"done": count}))
        except CommandError as error:
            _report(channel, {"error": str(error)})
            sys.exit(error.exit_status)
        except Interrupted as stop:
            sys.exit(stop.exit_status)


def _report(channel: IO[str], value: object) -> None:
    channel.write(json.dumps(value) + "\n")
    channel.flush()


def _answer(request: DetectionRequest, done: Callable[[int], None]) -> None:
    found = detect(
        _source(request),
        request.detector,
        weights=request.weights,
        score_threshold=request.score_threshold,
        max_boxes=request.max_boxes,
        limit=request.limit,
        progress=done,
    )
    with writing(request.out):
        found.write(request.out)


def _source(request: DetectionRequest) -> PhotoSource:
    if request.data is None and request.folder is None:
        return FilesSource(request.files)
    if request.data is None:
        return FolderSource(request.folder or Path())
    from bench.build import build_data

    source = build_data(request.data).source("test")
    if source is None:
        raise MissingError("the dataset has no test photos to detect instances in")
    return source


if __name__ == "__main__":
    main()
