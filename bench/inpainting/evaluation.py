"""Let a method fill the pictures of one bucket, and append a row for each."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bench.device import device_of
from bench.execute import describe, status_of
from bench.files import path_below, writing
from bench.inpainting.scoring import score_edges, score_filled
from bench.progress import Advance, progress
from bench.rows import Row, RowStore, Status, read_rows
from bench.scoring.evaluator import shorten_reason
from bench.scoring.features import FeatureStore
from bench.scoring.inception import inception_features
from bench.scoring.networks import Networks
from datamodules.holed_photos import HoledPhotos, HoledSample, InpaintDataModule
from datamodules.inpaint_batch import Filling, InpaintBatch, fill_hole
from datamodules.samplers import deal_batches
from datamodules.types import Failure
from lightning_modules.inpainting.inpainter import Inpainter


@dataclass(frozen=True, slots=True)
class InpaintRun:
    """Say where the rows of a run go, and how it is computed.

    Attributes:
        title: for people.
        shown: of so many pictures, the first by key, what was filled and drawn is kept, to be shown.
        networks: of metrics.
    """

    folder: Path
    run_id: str
    title: str
    batch_size: int
    shown: int
    networks: Networks


def fill_and_score(run: InpaintRun, method: Inpainter, data: InpaintDataModule) -> None:
    """Append the rows that a run still lacks.

    A method that fails on a batch is tried again picture by picture; a picture on which it still fails becomes an error
    row, and the run goes on.

    Raises:
        CommandError: Rows or pictures cannot be written.
    """
    dataset = data.test_set()
    keys = [photo.key for photo in dataset.photos.photos]
    done = frozenset(read_rows(run.folder, run.run_id)) if run.folder.is_dir() else frozenset()
    places = deal_batches(keys, run.batch_size, 0, 1, done)
    with ExitStack() as stack:
        store = stack.enter_context(RowStore(run.folder, run.run_id))
        wants_features = run.networks.inception is not None
        features = stack.enter_context(FeatureStore(run.folder, run.run_id)) if wants_features else None
        advance = stack.enter_context(progress(run.title, len(keys)))
        advance(len(done))
        bucket = Bucket(run, method, data, dataset, store, features, set(done), frozenset(keys[: run.shown]), advance)
        for start in range(0, len(places), run.batch_size):
            bucket.fill(places[start : start + run.batch_size])


@dataclass(slots=True)
class Bucket:
    """Take the pictures of one bucket through a method.

    Attributes:
        done: keys of pictures that have their row.
        shown: keys of those that are kept.
    """

    run: InpaintRun
    method: Inpainter
    data: InpaintDataModule
    dataset: HoledPhotos
    store: RowStore
    features: FeatureStore | None
    done: set[str]
    shown: frozenset[str]
    advance: Advance

    def fill(self, places: Sequence[int]) -> None:
        """Fill a batch, or where the method fails on it each of its pictures by itself."""
        samples: list[HoledSample | Failure] = [self.dataset[0, place] for place in places]
        batch: InpaintBatch = self.data.collate(self.dataset)(samples)
        for failure in batch.failures:
            self.fail(failure.key, failure.status, failure.reason)
        if not len(batch):
            return
        try:
            with torch.inference_mode():
                filling: object = self.method(batch.holed.to(device_of(0)))
        except Exception as error:
            if len(batch) == 1:
                self.fail(batch.key[0], status_of(error), describe(error))
                return
            for place in places:
                self.fill([place])
            return
        self.score(filling, batch)

    def score(self, filling: object, batch: InpaintBatch) -> None:
        """Append the rows of a batch from the answer of a method, whatever it is."""
        wanted = batch.holed.rgb.shape
        if not isinstance(filling, Filling) or filling.rgb.shape != wanted or not filling.rgb.is_floating_point():
            given = f"{tuple(filling.rgb.shape)}" if isinstance(filling, Filling) else type(filling).__name__
            for key in batch.key:
                self.fail(key, "error-method", f"the filling is {given} instead of floating point {tuple(wanted)}")
            return
        if filling.edges is not None and filling.edges.shape != batch.holed.hole.shape:
            shape, lines = tuple(filling.edges.shape), tuple(batch.holed.hole.shape)
            for key in batch.key:
                self.fail(key, "error-method", f"the lines are {shape} instead of {lines}")
            return
        rgb, edges = filling.rgb.float().cpu(), None if filling.edges is None else filling.edges.float().cpu()
        filled = fill_hole(batch.rgb, rgb, batch.holed.hole)
        finite = torch.where(batch.holed.hole > 0, rgb, 0).isfinite().flatten(1).all(1).tolist()
        for place, key in enumerate(batch.key):
            if key in self.done:
                continue
            if not finite[place]:
                self.fail(key, "error-nonfinite", "the filling has values that are not finite")
                continue
            self.keep(key, filled[place], None if edges is None else edges[place, 0])
            self.append(self.row(key, place, filled[place], None if edges is None else edges[place, 0], batch))

    def row(self, key: str, place: int, filled: Tensor, edges: Tensor | None, batch: InpaintBatch) -> Row:
        """Return the row of a filled picture; its features are written before."""
        truth, hole = batch.rgb[place], batch.holed.hole[place, 0]
        scores = {"hole_share": float(hole.mean()), **score_filled(filled, truth)}
        if edges is not None and batch.holed.true_edges is None:
            scores |= score_edges(edges, batch.edges[place, 0], hole)
        if self.features is not None and self.run.networks.inception is not None:
            found = inception_features(self.run.networks.inception, torch.stack([filled, truth])).cpu().numpy()
            self.features.append(key, found[0], found[1])
            self.features.flush()
        height, width = truth.shape[-2:]
        return Row(run_id=self.run.run_id, image=key, status="ok", width=width, height=height, scores=scores)

    def keep(self, key: str, filled: Tensor, edges: Tensor | None) -> None:
        """Save what was filled, and drawn, of a picture that is to be shown."""
        if key not in self.shown:
            return
        pictures = {".png": filled.permute(1, 2, 0).numpy()}
        if edges is not None:
            pictures[".edges.png"] = (edges.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        for suffix, picture in pictures.items():
            path = path_below(self.run.folder / "images", key, suffix)
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)

    def fail(self, key: str, status: Status | str, reason: str) -> None:
        """Append an error row, where there is none."""
        if key not in self.done:
            row = {"run_id": self.run.run_id, "image": key, "status": status, "message": shorten_reason(reason)}
            self.append(Row.model_validate(row))

    def append(self, row: Row) -> None:
        """Append a row and count it."""
        self.store.append(row)
        self.done.add(row.image)
        self.advance(1)
