"""The one place where methods are scored: a callback that turns what `test_step` returns into rows."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor, nn

from bench.files import path_below
from bench.rows import InstanceRow, Row, RowStore, Scores, Status
from bench.scoring.fidelity import FidelityMaps, PixelBox, compare_pictures, find_gray
from bench.scoring.instances import Instances, area_to_size, find_instances
from bench.scoring.perceptual import LEAST_SIDE, PREFIX, cut_out, lpips_values
from datamodules.color import lab_to_rgb8
from datamodules.photos import Annotation
from datamodules.protocol import Protocol
from datamodules.types import ColorBatch

LONGEST_MESSAGE = 300

FILE_END = r"\.(?i:jpe?g|png|gif|bmp|webp|tiff?|p[gbpn]m|ptl?|pth|ckpt|safetensors|json|ya?ml|csv|py|so|npy|npz|txt)\s"
FOLDER = rf"(?!\s)(?:(?!{FILE_END})[^/\\'\":])+[/\\]+"
FOLDERS = re.compile(
    rf"file:[/\\]*(?:{FOLDER})*"  # an address of this machine
    rf"|(?<![\w/])(?:~\w*|[A-Za-z]:(?!//))[/\\]+(?:{FOLDER})*"  # a path from a home folder or a drive
    rf"|(?<![\w/])(?<!:(?=//))[/\\]+(?:{FOLDER})+"  # an absolute path, but no https://
)
"""What stands before the file name in a path of this machine."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold a batch of 8-bit predictions beside their truths, (B, 3, H, W) each, and how far they are apart."""

    prediction: Tensor
    truth: Tensor
    maps: FidelityMaps


class Evaluator(pl.Callback):
    """Score every picture of a test run and append its row; nothing is accumulated or sent between processes.

    A picture is in `in_flight` from the moment its batch is handed to the method until its row is written, and in
    `finished` from then on. A caller that catches a method's error names those pictures to `fail` and goes on.

    Args:
        store: that takes the rows of this process.
        protocol: that the data were prepared by.
        truths: annotations of each picture by its key; pictures that are missing here have none.
        categories: names of the annotations' category ids.
        metrics: to compute, in the order of the rows; an LPIPS without its network is left out.
        lpips: networks by metric.
        images_dir: where predictions are saved as `<key>.png`; None saves none.
        progress: called with how many more pictures are done.
    """

    def __init__(
        self,
        store: RowStore,
        *,
        protocol: Protocol,
        truths: Mapping[str, Sequence[Annotation]],
        categories: Mapping[int, str],
        metrics: Sequence[str],
        lpips: Mapping[str, nn.Module] | None = None,
        images_dir: Path | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.store = store
        self.protocol = protocol
        self.truths = truths
        self.categories = categories
        self.lpips = dict(lpips or {})
        self.metrics = tuple(metric for metric in metrics if not metric.startswith(PREFIX) or metric in self.lpips)
        self.images_dir = images_dir
        self.progress = progress
        self.in_flight: tuple[str, ...] = ()
        self._finished: set[str] = set()

    @property
    def finished(self) -> frozenset[str]:
        """Pictures whose row this evaluator has written."""
        return frozenset(self._finished)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the LPIPS networks to the method's device."""
        self.lpips = {metric: network.to(pl_module.device) for metric, network in self.lpips.items()}

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Note which pictures are in the method's hands; write the rows of those that could not be read."""
        self.in_flight = batch.gray.key
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
            self.score(outputs, batch)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let all rows reach the disk."""
        self.store.flush()

    def score(self, chroma: object, batch: ColorBatch) -> None:
        """Write the rows of a batch from the answer of a method, whatever it is."""
        wanted = batch.chroma.shape
        if not isinstance(chroma, Tensor) or chroma.shape != wanted or not chroma.is_floating_point():
            given = f"{chroma.dtype} {tuple(chroma.shape)}" if isinstance(chroma, Tensor) else type(chroma).__name__
            self.fail(batch.gray.key, "error-method", f"chroma is {given} instead of floating point {tuple(wanted)}")
            return
        finite = chroma.isfinite().flatten(1).all(1)
        unusable = [key for key, usable in zip(batch.gray.key, finite.tolist(), strict=True) if not usable]
        self.fail(unusable, "error-nonfinite", "the method's chroma has values that are not finite")
        kept = finite.nonzero().flatten()
        if len(kept):
            prediction = lab_to_rgb8(batch.gray.light[kept], chroma[kept])
            self._write_scored(prediction, batch, kept.tolist())

    def fail(self, keys: Iterable[str], status: Status | str, reason: str) -> None:
        """Write an error row for each picture; the reason loses paths and all but its first line."""
        message = shorten_reason(reason)
        for key in keys:
            row = {"run_id": self.store.run_id, "image": key, "status": status, "message": message}
            self._append(Row.model_validate(row))

    def _append(self, row: Row) -> None:
        self.store.append(row)
        self.in_flight = tuple(key for key in self.in_flight if key != row.image)
        self._finished.add(row.image)
        if self.progress is not None:
            self.progress(1)

    def _write_scored(self, prediction: Tensor, batch: ColorBatch, kept: Sequence[int]) -> None:
        truth = batch.rgb[list(kept)]
        comparison = Comparison(prediction, truth, compare_pictures(prediction, truth))
        scores = self._score_pictures(comparison)
        gray = find_gray(truth).tolist()
        for index, place in enumerate(kept):
            key = batch.gray.key[place]
            if self.images_dir is not None:
                save_picture(prediction[index], path_below(self.images_dir, key, ".png"))
            height, width = batch.photo_size[place]
            found = find_instances(
                self.truths.get(key, ()), self.protocol.crop(width, height), (truth.shape[-2], truth.shape[-1])
            )
            instances = self._score_instances(comparison, index, found)
            row = Row(
                run_id=self.store.run_id,
                image=key,
                status="gray-truth" if gray[index] else "ok",
                width=truth.shape[-1],
                height=truth.shape[-2],
                n_instances=len(instances),
                n_boxes=len(batch.gray.boxes[place]),
                left_out_small=found.left_out_small,
                left_out_crowd=found.left_out_crowd,
                identical=not bool(comparison.maps.squared_error[index].any()),
                scores=scores[index],
                instances=instances,
            )
            self._append(row)

    def _score_pictures(self, comparison: Comparison) -> list[Scores]:
        """Return the scores of each picture of the batch."""
        pictures = range(len(comparison.prediction))
        fidelity = [(comparison.maps, index, None) for index in pictures]
        large = min(comparison.prediction.shape[-2:]) >= LEAST_SIDE
        pair = (comparison.prediction, comparison.truth) if large else None
        return self._score(fidelity, pair)

    def _score_instances(self, comparison: Comparison, index: int, found: Instances) -> tuple[InstanceRow, ...]:
        """Return the rows of the instances of picture `index`."""
        boxes = [box for _, box in found.scored]
        fidelity = [(comparison.maps, index, box) for box in boxes]
        pair = (
            (cut_out(comparison.prediction[index], boxes), cut_out(comparison.truth[index], boxes))
            if self.lpips and boxes
            else None
        )
        scores = self._score(fidelity, pair)
        return tuple(
            self._instance_row(annotation, box, score)
            for (annotation, box), score in zip(found.scored, scores, strict=True)
        )

    def _score(
        self,
        regions: Sequence[tuple[FidelityMaps, int, PixelBox | None]],
        pair: tuple[Tensor, Tensor] | None,
    ) -> list[Scores]:
        """Return the scores of regions, and of the pictures beside them that LPIPS is to see; None for none."""
        columns: dict[str, Sequence[float | None]] = {}
        for metric in self.metrics:
            if metric == "psnr":
                columns[metric] = [maps.psnr_of(index, box) for maps, index, box in regions]
            elif metric == "ssim":
                columns[metric] = [maps.ssim_of(index, box) for maps, index, box in regions]
            elif pair is None:
                columns[metric] = [None] * len(regions)
            else:
                columns[metric] = lpips_values(self.lpips[metric], *pair).tolist()
        return [{metric: column[place] for metric, column in columns.items()} for place in range(len(regions))]

    def _instance_row(self, annotation: Annotation, box: PixelBox, scores: Scores) -> InstanceRow:
        left, top, right, bottom = box
        return InstanceRow(
            instance=annotation.id,
            category_id=annotation.category_id,
            category=self.categories.get(annotation.category_id, ""),
            area=annotation.area,
            size=area_to_size(annotation.area),
            x=left,
            y=top,
            width=right - left,
            height=bottom - top,
            scores=scores,
        )


def save_picture(picture: Tensor, path: Path) -> None:
    """Write (3, H, W) uint8 as PNG; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(path)


def shorten_reason(reason: str) -> str:
    """Return the first line of an error's text, with the folders of absolute paths taken out: rows are published.

    Folders may have spaces in their names; where a path ends is a guess, so that a `/` in the words after it may cost
    some of them. Addresses other than `file:` stay.
    """
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "no reason given")
    return FOLDERS.sub("", line)[:LONGEST_MESSAGE]
