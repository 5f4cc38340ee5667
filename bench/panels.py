"""Panels gray | prediction | truth of fixed validation photos, shown by whatever loggers a training has."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bench.tracking import save_picture, send_picture
from datamodules.color import lab_to_rgb8
from datamodules.types import ColorBatch

TAG = "panels/val"
GAP = 2
BACKGROUND = (24, 24, 24)


class PanelCallback(pl.Callback):
    """Colour the first validation photos after each validation, and show them beside grey and truth.

    Args:
        count: photos in a panel.
        every: validations from one panel to the next.
        tile: side in pixels of one picture in the panel; others keep their shape and get a border.
        out: where PNG files go if no logger can show pictures; None takes `panels` below the trainer's root folder.
    """

    def __init__(self, count: int = 4, every: int = 1, tile: int = 160, out: str | None = None) -> None:
        if min(count, every, tile) < 1:
            raise ValueError(f"count, every and tile are {count}, {every} and {tile}: give whole numbers from 1")
        self.count, self.every, self.tile = count, every, tile
        self.out = out
        self._photos: list[ColorBatch] = []
        self._validations = 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ColorBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first photos of the first validation; all later panels show the same."""
        if self._validations == 0 and trainer.is_global_zero and sum(map(len, self._photos)) < self.count:
            self._photos.append(batch.to("cpu"))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show a panel."""
        if trainer.sanity_checking or not self._photos:
            self._photos = [] if trainer.sanity_checking else self._photos
            return
        due = self._validations % self.every == 0
        self._validations += 1
        if due and trainer.is_global_zero:
            self._show(trainer, self.panel(pl_module))

    def panel(self, pl_module: pl.LightningModule) -> Image.Image:
        """Return the kept photos, one a row: gray, prediction, truth."""
        modes = {module: module.training for module in pl_module.modules()}
        pl_module.eval()
        with torch.no_grad():
            rows = [row for batch in self._photos for row in self._rows(pl_module, batch)]
        for module, training in modes.items():
            module.training = training
        return _stack(rows[: self.count], self.tile)

    def _rows(self, pl_module: pl.LightningModule, batch: ColorBatch) -> list[list[Image.Image]]:
        light = batch.gray.light
        chroma = pl_module(batch.gray.to(pl_module.device)).float().cpu().nan_to_num()
        columns = lab_to_rgb8(light, torch.zeros_like(chroma)), lab_to_rgb8(light, chroma), batch.rgb
        return [[_to_picture(column[index]) for column in columns] for index in range(len(batch))]

    def _show(self, trainer: pl.Trainer, panel: Image.Image) -> None:
        shown = [send_picture(logger, TAG, panel, trainer.global_step) for logger in trainer.loggers]
        if not any(shown):
            save_picture(Path(self.out or trainer.default_root_dir), TAG, panel, trainer.global_step)


def _to_picture(rgb: Tensor) -> Image.Image:
    """Return a picture of (3, H, W) uint8."""
    return Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy())


def _stack(rows: list[list[Image.Image]], tile: int) -> Image.Image:
    """Return one picture of all rows, each picture fitted into a square of `tile` pixels."""
    step = tile + GAP
    sheet = Image.new("RGB", (step * len(rows[0]) - GAP, step * len(rows) - GAP), BACKGROUND)
    for top, row in enumerate(rows):
        for left, picture in enumerate(row):
            sheet.paste(ImageOps.pad(picture, (tile, tile), color=BACKGROUND), (step * left, step * top))
    return sheet
