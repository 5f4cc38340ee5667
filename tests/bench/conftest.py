"""Runs as `colorbench run` leaves them, made without a network."""

import os
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.breakdown import breakdown_csv
from bench.interrupt import Interrupted
from bench.provenance import canonical_digest
from bench.ranking import LEVELS
from bench.record import RunRecord, build_record
from bench.rows import InstanceRow, Row, RowStore, images_csv, instances_csv
from bench.scoring.metrics import row_columns
from datamodules.protocol import PROTOCOLS

PROTOCOL = PROTOCOLS["stretch256-v1"]


def _picture(shade: int, size: int = 64) -> Image.Image:
    ramp = np.linspace(0, 255, size, dtype=np.uint8)
    red = np.broadcast_to(ramp, (size, size))
    return Image.fromarray(np.stack([red, red.T, np.full((size, size), shade % 256, np.uint8)], axis=-1))


def _instance(scores: Mapping[str, float | None]) -> InstanceRow:
    place = {"x": 40, "y": 60, "width": 100, "height": 80}
    return InstanceRow(
        instance=7, category_id=18, category="dog", area=6000.0, size="medium", scores=dict(scores), **place
    )


def _row(run_id: str, key: str, scores: Mapping[str, float | None] | str) -> Row:
    if isinstance(scores, str):
        return Row.model_validate({"run_id": run_id, "image": key, "status": scores, "message": "it broke"})
    lower = {name: None if value is None else value - 1 for name, value in scores.items()}
    return Row(
        run_id=run_id,
        image=key,
        status="ok",
        width=256,
        height=256,
        n_instances=1,
        n_boxes=1,
        scores=dict(scores),
        instances=(_instance(lower),),
    )


@pytest.fixture(scope="session")
def finish_run() -> Callable[..., RunRecord]:
    """Return a function that leaves one finished run in an output folder and returns its record."""

    def finish(
        out: Path,
        scores: Mapping[str, Mapping[str, float | None] | str],
        *,
        dataset: str = "samples",
        method: str = "gray",
        detector: str = "none",
        seed: int = 0,
        partial: bool = False,
        untrained: bool = False,
        metrics: tuple[str, ...] = ("psnr", "ssim"),
        dataset_digest: str = "d" * 64,
        salt: str = "",
        images: bool = False,
        protocol: str = PROTOCOL.id,
    ) -> RunRecord:
        run_id = canonical_digest([dataset, method, detector, seed, partial, untrained, dataset_digest, salt])
        folder = out / "runs" / dataset / f"{method}--{detector}--s{seed}"
        with RowStore(folder, run_id) as store:
            rows = {key: _row(run_id, key, values) for key, values in scores.items()}
            for row in rows.values():
                store.append(row)
        columns = {level: row_columns(level, metrics) for level in LEVELS}
        (folder / "images.csv").write_text(images_csv(rows.values(), columns["image"]))
        (folder / "instances.csv").write_text(instances_csv(rows.values(), columns["instance"]))
        (folder / "breakdown.csv").write_text(breakdown_csv(rows.values(), metrics))
        record = build_record(
            rows=rows,
            run_id=run_id,
            suite="test-v1",
            method=method,
            detector=detector,
            dataset=dataset,
            protocol=PROTOCOLS[protocol],
            seed=seed,
            partial=partial,
            untrained=untrained,
            metrics=metrics,
            digests={"dataset": dataset_digest, "config": "c" * 64},
            parameters={"full": 34187027},
            device="cpu",
            precision="32",
            processes=1,
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            seconds=2.0,
            computed=len(rows),
            peak_memory_mb=512.0,
        )
        (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
        if images:
            _save_images(out, folder, dataset, scores)
        return record

    return finish


def _save_images(out: Path, folder: Path, dataset: str, keys: Mapping[str, object]) -> None:
    for number, key in enumerate(keys):
        places = {
            folder / "images" / f"{key}.png": 40 * number,
            out / "pictures" / dataset / f"{key}.truth.png": 200,
            out / "pictures" / dataset / f"{key}.gray.png": 100,
        }
        for path, shade in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _picture(shade).save(path)


@pytest.fixture
def no_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, servers and settings of the machine away from what writes to dashboards."""
    for name in [name for name in os.environ if name.startswith(("WANDB", "MLFLOW"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Return a function that does some work in a forked child and returns its number; what still runs is killed.

    A child has all modules at once, so that it costs nothing; it ends with status 0, or 1 where the work raised.
    """
    children: list[int] = []

    def start(work: Callable[[], object]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads; the children use none
            child = os.fork()
        if child:
            children.append(child)
            return child
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    yield start
    for child in children:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """Return a context in which no file may grow beyond so many bytes, as on a full disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def stopped_after() -> Callable[[int], AbstractContextManager[None]]:
    """Return a context in which SIGTERM seems to arrive when so many rows are written."""

    @contextmanager
    def stop(rows: int) -> Iterator[None]:
        left = iter(range(rows))
        append = RowStore.append

        def append_some(self: RowStore, row: Row) -> None:
            if next(left, None) is None:
                raise Interrupted(15)
            append(self, row)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RowStore, "append", append_some)
            with pytest.raises(Interrupted):
                yield

    return stop
