"""One process's share of a folder of predictions: read pairs of pictures, score them, append a row each."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.device import device_of, peak_memory_mb, reset_peak_memory
from bench.errors import CommandError
from bench.execute import Effort, open_features
from bench.pairs import fits
from bench.portion import Portion
from bench.rows import Row, RowStore
from bench.scoring.classification import imagenet_labels
from bench.scoring.evaluator import shorten_reason
from bench.scoring.features import FeatureStore
from bench.scoring.networks import find_networks
from bench.scoring.scorer import Picture, Scored, Scorer
from datamodules.images import ImageError
from datamodules.photos import PhotoSource
from datamodules.protocol import PROTOCOLS
from datamodules.sources.annotated import AnnotatedFolderSource
from datamodules.sources.folder import FolderSource
from datamodules.types import Failure


class FolderRequest(BaseModel):
    """Hold all that a process needs to know to score a folder of predictions. It is sent to workers as JSON.

    Attributes:
        folder: of the run, where the rows go.
        predictions: folder of the predicted pictures.
        truth: folder of the true ones.
        instances: COCO file of the true ones; None for none.
        leave_out: keys that several files have, so that they name no picture.
        batches: keys of the pictures that are scored together, whoever scores them.
        metrics: those that can be computed here.
        total: pictures of all batches.
        strict: whether the first picture that fails ends the run.
        named: how predictions are called after their truths; None for the same names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    title: str
    folder: Path
    predictions: Path
    truth: Path
    instances: Path | None
    leave_out: tuple[str, ...]
    batches: tuple[tuple[str, ...], ...]
    protocol: str
    metrics: tuple[str, ...]
    total: int
    strict: bool
    named: str | None = None


def open_truth(truth: Path, instances: Path | None, leave_out: Iterable[str] = ()) -> FolderSource:
    """Return the true pictures, with their instances where a COCO file names them, else with their classes."""
    without = frozenset(leave_out)
    return (
        FolderSource(truth, leave_out=without)
        if instances is None
        else AnnotatedFolderSource(truth, instances, without)
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold a prediction beside its truth, (3, H, W) uint8 each, and what the row says of the picture."""

    picture: Picture
    prediction: Tensor
    truth: Tensor


class PairReader:
    """Read pairs of pictures as a protocol compares them.

    Args:
        request: whose folders are read.
    """

    def __init__(self, request: FolderRequest) -> None:
        self.protocol = PROTOCOLS[request.protocol]
        self.predictions: PhotoSource = FolderSource(
            request.predictions, leave_out=request.leave_out, named=request.named
        )
        self.truth: PhotoSource = open_truth(request.truth, request.instances, request.leave_out)
        numbers = imagenet_labels(self.truth.classes)
        self.labels: Mapping[str, int] = {
            photo.key: numbers[photo.label] for photo in self.truth.photos if photo.label >= 0
        }

    def read(self, key: str) -> Pair | Failure:
        """Return a pair, or why it cannot be scored."""
        try:
            whole = self._open("truth", self.truth, key)
            given = self._open("prediction", self.predictions, key)
        except ImageError as error:
            return Failure(key, error.status, error.reason)
        size, wanted = given.shape[:2], whole.shape[:2]
        if not fits(size, wanted, self.protocol):
            reason = f"the prediction has {size[1]} x {size[0]} pixels, its truth {wanted[1]} x {wanted[0]}"
            return Failure(key, "error-size", reason)
        picture = Picture(key, wanted, label=self.labels.get(key, -1))
        return Pair(picture, self._prepare(given) if size == wanted else _to_tensor(given), self._prepare(whole))

    def _open(self, what: str, source: PhotoSource, key: str) -> NDArray[np.uint8]:
        try:
            return source.read(key)
        except ImageError as error:
            raise ImageError(f"the {what}: {error.reason}", error.status) from error

    def _prepare(self, picture: NDArray[np.uint8]) -> Tensor:
        return _to_tensor(np.asarray(self.protocol.apply(Image.fromarray(picture))))


def _to_tensor(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


@dataclass(slots=True)
class FolderShare:
    """Take one process's batches of pictures to their rows.

    Attributes:
        features: that takes what a metric of the whole set needs of each picture; None where there is none.
        finished: pictures that have their row.
        advance: called for every new row.
    """

    request: FolderRequest
    reader: PairReader
    scorer: Scorer
    device: torch.device
    store: RowStore
    features: FeatureStore | None
    finished: set[str]
    advance: Callable[[int], object]
    written: int = field(default=0, init=False)

    def score(self, keys: Sequence[str]) -> None:
        """Score a batch whole, and write those of its rows that are not there yet."""
        pairs: dict[torch.Size, list[Pair]] = {}
        for key in keys:
            found = self.reader.read(key)
            if isinstance(found, Failure):
                self.fail(found)
            else:
                pairs.setdefault(found.truth.shape, []).append(found)
        for same_size in pairs.values():
            self.score_pairs(same_size)

    def score_pairs(self, pairs: Sequence[Pair]) -> None:
        """Score pairs of one size; where the memory does not suffice, one by one."""
        scored = self._scored(pairs)
        if scored is None and len(pairs) == 1:
            self.fail(Failure(pairs[0].picture.key, "error-memory", "there is not enough memory to score it"))
        elif scored is None:
            for pair in pairs:
                self.score_pairs([pair])
        else:
            if self.features is not None:
                scored.keep_features(self.features, self.finished)
            for row in scored.rows:
                self.append(row)

    def _scored(self, pairs: Sequence[Pair]) -> Scored | None:
        """Return the rows of pairs, None where the memory does not suffice."""
        try:
            prediction = torch.stack([pair.prediction for pair in pairs]).to(self.device)
            truth = torch.stack([pair.truth for pair in pairs]).to(self.device)
            return self.scorer.score(prediction, truth, [pair.picture for pair in pairs])
        except (MemoryError, RuntimeError) as error:
            if is_memory(error):
                return None
            raise

    def fail(self, failure: Failure) -> None:
        """Write an error row.

        Raises:
            CommandError: The request is strict.
        """
        message = shorten_reason(failure.reason)
        fields = {"run_id": self.request.run_id, "image": failure.key, "status": failure.status, "message": message}
        self.append(Row.model_validate(fields))
        if self.request.strict:
            raise CommandError(f"{failure.key}: {message} ({failure.status}); --strict ends here")

    def append(self, row: Row) -> None:
        """Write a row unless its picture has one."""
        if row.image not in self.finished:
            self.store.append(row)
            self.finished.add(row.image)
            self.written += 1
            self.advance(1)


def is_memory(error: Exception) -> bool:
    """Whether an error is a lack of memory, for which torch has no class of its own on a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def score_share(request: FolderRequest, portion: Portion) -> Effort:
    """Score a process's portion of the batches.

    A batch of which some pictures have their row is scored whole again, so that every number is the one that an
    unbroken run gives.

    Raises:
        CommandError: Rows cannot be written, or a picture failed and the request is strict.
    """
    reset_peak_memory()
    reader = PairReader(request)
    device = device_of(portion.rank)
    scorer = Scorer(
        run_id=request.run_id,
        protocol=reader.protocol,
        metrics=request.metrics,
        truths={photo.key: photo.annotations for photo in reader.truth.photos},
        categories=reader.truth.categories,
        networks=find_networks(request.metrics, download=False)[0].to(device),
    )
    place = request.folder, request.run_id, portion.rank
    with RowStore(*place) as store, open_features(*place, request.metrics) as features:
        began = time.monotonic()
        share = FolderShare(request, reader, scorer, device, store, features, set(portion.done), portion.advance)
        for batch in (*((key,) for key in portion.singly), *request.batches[portion.rank :: portion.world]):
            left = [key for key in batch if key not in share.finished]
            if left:
                portion.begin(left)
                share.score(batch)
        return Effort(share.written, time.monotonic() - began, peak_memory_mb())
