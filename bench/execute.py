"""One process's share of one run: build the method, let Lightning's test loop feed it, append a row an image."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict

from bench.build import build_data, build_method
from bench.catalog import Tree
from bench.errors import CommandError
from bench.progress import say
from bench.rows import RowStore, read_rows
from bench.scoring.evaluator import Evaluator
from bench.scoring.perceptual import find_lpips
from bench.weights import load_networks
from datamodules.photo_data import PhotoDataModule
from datamodules.protocol import PROTOCOLS
from lightning_modules.base import Colorizer


class Request(BaseModel):
    """Hold all that a process needs to know to compute rows. It is sent to workers as JSON.

    Attributes:
        folder: of the run, where the rows go.
        weights: folder of the method's weights; None for a method without, or with random ones.
        boxes: box file; None where the method looks at no boxes.
        metrics: those that can be computed here.
        total: pictures of the whole run.
        pictures: folder for truth and grey pictures, with `--save-images`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    title: str
    folder: Path
    method: Tree
    weights: Path | None
    data: Tree
    protocol: str
    boxes: Path | None
    metrics: tuple[str, ...]
    seed: int
    batch_size: int
    precision: str
    limit: int | None
    total: int
    save_images: bool


def load_method(request: Request) -> Colorizer:
    """Build the method with its weights, or with weights drawn from the seed where it is to be tried untrained."""
    pl.seed_everything(request.seed, workers=True, verbose=False)
    method = build_method(request.method)
    if request.weights is not None:
        load_networks(method.networks(), request.weights)
    return method.eval()


def load_data(request: Request, method: Colorizer, rank: int, world: int, done: frozenset[str]) -> PhotoDataModule:
    """Build the datamodule for this process's share of the pictures that are still to be done."""
    data = build_data(
        request.data,
        protocol=request.protocol,
        boxes=None if request.boxes is None else str(request.boxes),
        crop_size=method.crop_size if method.uses_boxes else None,
        eval_batch_size=request.batch_size,
        limit=request.limit,
        seed=request.seed,
        **({} if torch.cuda.is_available() else {"num_workers": 0}),
    )
    data.shard = (rank, world)
    data.skip = done
    return data


@contextmanager
def quiet_lightning() -> Any:
    """Keep Lightning's hints about loaders and loggers, which a user of `run` cannot act on, out of the output."""
    import logging

    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(before)


def make_trainer(request: Request, evaluator: Evaluator, rank: int) -> pl.Trainer:
    """Return a trainer for one process and one device, without logger or checkpoints."""
    cuda = torch.cuda.is_available()
    return pl.Trainer(
        accelerator="cuda" if cuda else "cpu",
        devices=[rank % torch.cuda.device_count()] if cuda else 1,
        precision="bf16-mixed" if request.precision == "bf16" else "32-true",
        callbacks=[evaluator],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=True,
    )


def execute(request: Request, rank: int, world: int, advance: Callable[[int], None]) -> None:
    """Compute and append the rows of this process's share.

    A method that fails on a batch is tried again picture by picture; a picture on which it still fails becomes an error
    row, and the run goes on.
    """
    method = load_method(request)
    store = RowStore(request.folder, request.run_id, rank)
    try:
        with quiet_lightning():
            _score(request, method, store, rank, world, advance)
    finally:
        store.close()


def _score(
    request: Request, method: Colorizer, store: RowStore, rank: int, world: int, advance: Callable[[int], None]
) -> None:
    done = frozenset(read_rows(request.folder, request.run_id))
    data = load_data(request, method, rank, world, done)
    if not method.networks():
        method.prepare_training(data)
    source = data.source("test")
    if source is None:
        raise ValueError(f"{request.title}: the dataset has no pictures to score")
    evaluator = Evaluator(
        store,
        protocol=PROTOCOLS[request.protocol],
        truths={photo.key: photo.annotations for photo in source.photos},
        categories=source.categories,
        metrics=request.metrics,
        lpips=find_lpips(request.metrics)[0],
        images_dir=request.folder / "images" if request.save_images else None,
        progress=advance,
    )
    while True:
        try:
            make_trainer(request, evaluator, rank).test(method, datamodule=data, verbose=False)
            return
        except CommandError:
            raise
        except Exception as error:
            batch = evaluator.in_flight
            if not batch:
                raise
            if len(batch) > 1:
                say(f"{request.title}: {_cause(error)} on a batch of {data.eval_batch_size}; going on one by one")
                data.eval_batch_size = 1
            else:
                out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
                evaluator.fail(batch, "error-memory" if out_of_memory else "error-method", _cause(error))
            data.skip = done | evaluator.finished


def _cause(error: Exception) -> str:
    """Return the error in one line, without what may hold paths of this machine."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no message'}"
