"""One process's share of one run: build the method, let Lightning's test loop feed it, append a row an image."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict

from bench.build import build_data, build_method
from bench.catalog import Tree
from bench.device import device_of, peak_memory_mb, reset_peak_memory
from bench.errors import CommandError
from bench.portion import Portion
from bench.progress import say
from bench.rows import RowStore, Status
from bench.scoring.classification import imagenet_labels
from bench.scoring.evaluator import Evaluator, shorten_reason
from bench.scoring.features import FeatureStore
from bench.scoring.metrics import METRICS
from bench.scoring.networks import find_networks
from bench.scoring.scorer import Scorer
from bench.weights import load_networks
from datamodules.photo_data import PhotoDataModule
from datamodules.photo_dataset import BoxChoice
from datamodules.protocol import PROTOCOLS
from lightning_modules.base import Colorizer


class Request(BaseModel):
    """Hold all that a process needs to know to compute rows. It is sent to workers as JSON.

    Attributes:
        folder: of the run, where the rows go.
        weights: folder of the method's weights; None for a method without, or with random ones.
        boxes: box file; None where the method looks at no boxes.
        metrics: those that can be computed here.
        max_boxes: boxes of a picture that the method may see; 0 without a box file.
        box_choice: which of them.
        hints: squares of each picture whose true colour the method is given.
        total: pictures of the whole run.
        save_images: whether the coloured pictures are kept.
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
    max_boxes: int
    box_choice: BoxChoice
    hints: int
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


def load_data(request: Request, method: Colorizer, portion: Portion) -> PhotoDataModule:
    """Build the datamodule for this process's share of the pictures that are still to be done."""
    data = build_data(
        request.data,
        protocol=request.protocol,
        boxes=None if request.boxes is None else str(request.boxes),
        max_boxes=request.max_boxes if request.boxes is not None else 0,
        eval_box_choice=request.box_choice,
        masks=method.uses_masks,
        crop_size=method.crop_size if method.uses_boxes else None,
        hints=request.hints,
        eval_batch_size=request.batch_size,
        limit=request.limit,
        seed=request.seed,
        **({} if torch.cuda.is_available() else {"num_workers": 0}),
    )
    data.shard = (portion.rank, portion.world)
    data.done = portion.done
    return data


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hints about loaders and loggers, which a user of `run` cannot act on, out of the output."""
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(before)


class Announcement(pl.Callback):
    """Say which pictures the method is to answer for, before it gets them; comes after the evaluator, which notes them.

    Others of the batch have their row already, or could not be read.
    """

    def __init__(self, evaluator: Evaluator, begin: Callable[[Sequence[str]], object]) -> None:
        self.evaluator = evaluator
        self.begin = begin

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Say so."""
        self.begin(self.evaluator.in_flight)


def make_trainer(request: Request, callbacks: Sequence[pl.Callback], rank: int) -> pl.Trainer:
    """Return a trainer for one process and one device, without logger or checkpoints."""
    device = device_of(rank)
    return pl.Trainer(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        precision="bf16-mixed" if request.precision == "bf16" else "32-true",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=True,
    )


@dataclass(slots=True)
class Effort:
    """Hold what one process spent on one run.

    Attributes:
        pictures: rows that were written.
        seconds: from the moment that the method was loaded to the last row.
        peak_memory_mb: of this process's GPU, or of the process.
    """

    pictures: int
    seconds: float
    peak_memory_mb: float


def execute(request: Request, portion: Portion) -> Effort:
    """Compute and append the rows of a process's portion.

    A method that fails on a batch is tried again picture by picture; a picture on which it still fails becomes an error
    row, and the run goes on.

    Raises:
        CommandError: Rows or pictures cannot be written.
    """
    reset_peak_memory()
    method = load_method(request)
    data = load_data(request, method, portion)
    place = request.folder, request.run_id, portion.rank
    with RowStore(*place) as store, open_features(*place, request.metrics) as features:
        evaluator = make_evaluator(request, store, features, data, portion)
        began = time.monotonic()
        with quiet_lightning():
            share = Share(request, method, data, evaluator, Announcement(evaluator, portion.begin), portion.rank)
            share.try_singly(portion.singly)
            share.score()
        return Effort(evaluator.written, time.monotonic() - began, peak_memory_mb())


def open_features(
    folder: Path, run_id: str, rank: int, metrics: Sequence[str]
) -> AbstractContextManager[FeatureStore | None]:
    """Return the store of what metrics of the whole set need; without such a metric there is none."""
    if any(METRICS[metric].of_set for metric in metrics):
        return FeatureStore(folder, run_id, rank)
    return nullcontext()


def make_evaluator(
    request: Request,
    store: RowStore,
    features: FeatureStore | None,
    data: PhotoDataModule,
    portion: Portion,
) -> Evaluator:
    """Return the callback that turns chroma into rows."""
    source = data.source("test")
    if source is None:
        raise ValueError(f"{request.title}: the dataset has no pictures to score")
    scorer = Scorer(
        run_id=request.run_id,
        protocol=PROTOCOLS[request.protocol],
        metrics=request.metrics,
        truths={photo.key: photo.annotations for photo in source.photos},
        categories=source.categories,
        networks=find_networks(request.metrics, download=False)[0],
    )
    return Evaluator(
        store,
        scorer,
        features=features,
        done=portion.done,
        labels=imagenet_labels(source.classes),
        images_dir=request.folder / "images" if request.save_images else None,
        progress=portion.advance,
    )


@dataclass(slots=True)
class Share:
    """Take one process's pictures through the method, whatever the method does."""

    request: Request
    method: Colorizer
    data: PhotoDataModule
    evaluator: Evaluator
    announcement: Announcement
    rank: int

    def score(self) -> None:
        """Score all pictures that have no row yet."""
        while (error := self.test()) is not None:
            batch = self.evaluator.batch
            if len(batch) > 1:
                say(f"{self.request.title}: {describe(error)} on a batch of {len(batch)}; trying its pictures singly")
                self.try_singly(batch)
            else:
                self.give_up(batch, error)

    def try_singly(self, keys: Sequence[str]) -> None:
        """Score pictures one by one, but for those that have their row."""
        for key in keys:
            if key not in self.evaluator.finished:
                self.give_up([key], self.test(key))

    def test(self, alone: str | None = None) -> Exception | SystemExit | None:
        """Let Lightning's test loop go through all batches that are not done, or through a single picture.

        Returns:
            What the method failed with.
        """
        self.data.done, self.data.alone = self.evaluator.finished, alone
        callbacks = (self.evaluator, self.announcement)
        try:
            make_trainer(self.request, callbacks, self.rank).test(self.method, datamodule=self.data, verbose=False)
        except CommandError:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, OSError) and not self.evaluator.in_flight:
                raise CommandError(
                    f"{self.request.title}: cannot go on: {error}; nothing that was finished is lost"
                ) from error
            if not self.evaluator.in_flight or isinstance(error.__context__, KeyboardInterrupt):
                raise  # Lightning turns Ctrl-C into SystemExit
            return error
        if self.evaluator.in_flight:  # Lightning takes StopIteration for the end of the pictures
            return RuntimeError("the method raised StopIteration")
        return None

    def give_up(self, keys: Sequence[str], error: Exception | SystemExit | None) -> None:
        """Write error rows for pictures that the method failed on."""
        if error is not None:
            self.evaluator.fail(keys, status_of(error), describe(error))


def status_of(error: Exception | SystemExit) -> Status:
    """Return the status of a picture on which the method failed with an error; `sys.exit` would end the process."""
    if isinstance(error, SystemExit):
        return "error-crash"
    return "error-memory" if isinstance(error, MemoryError | torch.OutOfMemoryError) else "error-method"


def describe(error: Exception | SystemExit) -> str:
    """Return an error in one line, without the folders of paths in it."""
    return f"{type(error).__name__}: {shorten_reason(str(error))}"
