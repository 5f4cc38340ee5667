"""The one place where methods are scored: a callback that turns what `test_step` returns into rows."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor

from bench.files import path_below, writing
from bench.rows import Row, RowStore, Status
from bench.scoring.features import FeatureStore
from bench.scoring.scorer import Picture, Scorer
from datamodules.color import lab_to_rgb8
from datamodules.types import ColorBatch

LONGEST_MESSAGE = 300
LARGEST_CHROMA = 10_000.0
"""Beyond it float32 turns some colours into no number, which would be scored as black; sRGB ends at 108."""

FILE_END = r"\.(?i:jpe?g|png|gif|bmp|webp|tiff?|p[gbpn]m|ptl?|pth|ckpt|safetensors|json|ya?ml|csv|py|so|npy|npz|txt)\s"
FOLDER = rf"(?!\s)(?:(?!{FILE_END})[^/\\'\":])+[/\\]+"
FOLDERS = re.compile(
    rf"file:[/\\]*(?:{FOLDER})*"  # an address of this machine
    rf"|(?<![\w/])(?:~\w*|[A-Za-z]:(?!//))[/\\]+(?:{FOLDER})*"  # a path from a home folder or a drive
    rf"|(?<![\w/])(?<!:(?=//))[/\\]+(?:{FOLDER})+"  # an absolute path, but no https://
)
"""What stands before the file name in a path of this machine."""


class Evaluator(pl.Callback):
    """Score every picture of a test run and append its row; nothing is accumulated or sent between processes.

    A picture is in `in_flight` from the moment its batch is handed to the method until its row is written, and in
    `finished` from then on; one that is finished gets no second row. A caller that catches a method's error names the
    pictures to `fail` and goes on.

    Args:
        store: that takes the rows of this process.
        scorer: that makes them.
        features: that takes what a metric of the whole set needs of each picture; None where there is none.
        done: pictures that have their row already.
        labels: the ImageNet class of each label of the data, -1 for none.
        images_dir: where predictions are saved as `<key>.png`; None saves none.
        progress: called with how many more pictures are done.

    Attributes:
        batch: the pictures that the method was given last.
        written: how many rows this evaluator has written.
    """

    def __init__(
        self,
        store: RowStore,
        scorer: Scorer,
        *,
        features: FeatureStore | None = None,
        done: frozenset[str] = frozenset(),
        labels: Sequence[int] = (),
        images_dir: Path | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.store = store
        self.scorer = scorer
        self.features = features
        self.labels = labels
        self.images_dir = images_dir
        self.progress = progress
        self.batch: tuple[str, ...] = ()
        self.in_flight: tuple[str, ...] = ()
        self.written = 0
        self._light: Tensor | None = None
        self._finished = set(done)

    @property
    def finished(self) -> frozenset[str]:
        """Pictures that have their row."""
        return frozenset(self._finished)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the networks of the metrics to the method's device."""
        self.scorer = replace(self.scorer, networks=self.scorer.networks.to(pl_module.device))

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Note which pictures are in the method's hands; write the rows of those that could not be read."""
        self.batch = batch.gray.key
        self.in_flight = tuple(key for key in self.batch if key not in self._finished)
        self._light = batch.gray.light.clone()
        for failure in batch.failures:
            self.fail([failure.key], failure.status, failure.reason)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score the chroma that the method returned, (B, 2, H, W) in CIE units."""
        with torch.no_grad():
            self.score(outputs, batch, self._light)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let all rows reach the disk."""
        self.store.flush()

    def score(self, chroma: object, batch: ColorBatch, light: Tensor | None = None) -> None:
        """Write the rows that a batch still lacks from the answer of a method, whatever it is.

        Args:
            chroma: the answer.
            batch: that it is the answer to.
            light: (B, 1, H, W) as the method was given it, which may have written to the batch; None for the batch's.
        """
        wanted = batch.chroma.shape
        if not isinstance(chroma, Tensor) or chroma.shape != wanted or not chroma.is_floating_point():
            given = f"{chroma.dtype} {tuple(chroma.shape)}" if isinstance(chroma, Tensor) else type(chroma).__name__
            self.fail(batch.gray.key, "error-method", f"chroma is {given} instead of floating point {tuple(wanted)}")
            return
        sound = (chroma.abs() <= LARGEST_CHROMA).flatten(1).all(1)  # NaN is never at most anything
        unusable = [key for key, usable in zip(batch.gray.key, sound.tolist(), strict=True) if not usable]
        reason = f"the method's chroma has values that are not finite, or beyond {LARGEST_CHROMA:.0f}"
        self.fail(unusable, "error-nonfinite", reason)
        kept = sound.nonzero().flatten().tolist()
        if kept:
            light = batch.gray.light if light is None else light
            self._write_scored(lab_to_rgb8(light[kept], chroma[kept]), batch, kept)

    def fail(self, keys: Iterable[str], status: Status | str, reason: str) -> None:
        """Write an error row for each picture that has none; the reason loses paths and all but its first line."""
        message = shorten_reason(reason)
        for key in keys:
            if key in self._finished:
                continue
            row = {"run_id": self.store.run_id, "image": key, "status": status, "message": message}
            self._append(Row.model_validate(row))

    def _append(self, row: Row) -> None:
        self.store.append(row)
        self.in_flight = tuple(key for key in self.in_flight if key != row.image)
        self._finished.add(row.image)
        self.written += 1
        if self.progress is not None:
            self.progress(1)

    def _write_scored(self, prediction: Tensor, batch: ColorBatch, kept: list[int]) -> None:
        pictures = [self._picture(batch, place) for place in kept]
        scored = self.scorer.score(prediction, batch.rgb[kept], pictures)
        if self.features is not None:
            scored.keep_features(self.features, self._finished)
        for index, row in enumerate(scored.rows):
            if row.image in self._finished:
                continue
            if self.images_dir is not None:
                save_picture(prediction[index], path_below(self.images_dir, row.image, ".png"))
            self._append(row)

    def _picture(self, batch: ColorBatch, place: int) -> Picture:
        label = int(batch.label[place])
        return Picture(
            key=batch.gray.key[place],
            photo_size=batch.photo_size[place],
            n_boxes=len(batch.gray.boxes[place]),
            label=self.labels[label] if 0 <= label < len(self.labels) else -1,
        )


def save_picture(picture: Tensor, path: Path) -> None:
    """Write (3, H, W) uint8 as PNG; makes its folder.

    Raises:
        CommandError: It cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(path)


def shorten_reason(reason: str) -> str:
    """Return the first line of an error's text, with the folders of absolute paths taken out: rows are published.

    Folders may have spaces in their names; where a path ends is a guess, so that a `/` in the words after it may cost
    some of them. Addresses other than `file:` stay.
    """
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "no reason given")
    return FOLDERS.sub("", line)[:LONGEST_MESSAGE]
