from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench.panels import GAP, PanelCallback
from datamodules.color import lab_to_rgb8, rgb8_to_lab
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
TILE = 16


class Painter(Colorizer):
    """Paint all pixels in one colour that is learnt."""

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0)
        self.color = nn.Parameter(torch.zeros(2))

    def colorize(self, gray: GrayBatch) -> Tensor:
        return self.color.view(1, 2, 1, 1).expand(len(gray), 2, *gray.light.shape[-2:])

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        return {"loss": (self(batch.gray) - batch.chroma).abs().mean()}


def photos(first: int, count: int = 2, size: int = TILE) -> ColorBatch:
    rgb = torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(first))
    rgb8 = rgb.to(torch.uint8)
    lab = rgb8_to_lab(rgb8)
    keys = tuple(f"photo{first + index}" for index in range(count))
    gray = GrayBatch(keys, lab[:, :1], (Boxes.empty((size, size)),) * count, torch.zeros(0, 1, 4, 4))
    unknown = torch.full((count,), -1)
    return ColorBatch(gray, lab[:, 1:], torch.zeros(0, 2, 4, 4), rgb8, unknown, ((size, size),) * count)


def loader(*batches: ColorBatch) -> Any:
    return DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]  # wider than its type


def fit(
    callback: PanelCallback, root: Path, loggers: list[Logger], *, epochs: int = 2, batches: tuple[ColorBatch, ...] = ()
) -> Painter:
    painter = Painter()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=loggers or False,
        callbacks=[callback],
        default_root_dir=root,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=1,
    )
    trainer.fit(painter, loader(photos(90)), loader(*(batches or (photos(0), photos(2), photos(4)))))
    return painter


def tile(sheet: Image.Image, row: int, column: int) -> Any:
    left, top = column * (TILE + GAP), row * (TILE + GAP)
    return np.asarray(sheet.crop((left, top, left + TILE, top + TILE)))


def test_panels_show_gray_prediction_and_truth_of_the_same_photos(tmp_path: Path) -> None:
    painter = fit(PanelCallback(count=3, tile=TILE), tmp_path, [])
    files = sorted(tmp_path.rglob("*.png"))
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "panels/val/step-00000001.png",
        "panels/val/step-00000002.png",
    ]
    expected = [photos(0).gray.light[:1], photos(0).gray.light[1:], photos(2).gray.light[:1]]
    with Image.open(files[-1]) as sheet:
        assert sheet.size == (3 * TILE + 2 * GAP, 3 * TILE + 2 * GAP)
        for row, light in enumerate(expected):
            chroma = painter.color.detach().view(1, 2, 1, 1).expand(1, 2, TILE, TILE)
            for column, color in enumerate((torch.zeros_like(chroma), chroma)):
                picture = lab_to_rgb8(light, color)[0].permute(1, 2, 0).numpy()
                assert np.array_equal(tile(sheet, row, column), picture)
        assert np.array_equal(tile(sheet, 0, 2), photos(0).rgb[0].permute(1, 2, 0).numpy())
        assert np.array_equal(tile(sheet, 2, 2), photos(2).rgb[0].permute(1, 2, 0).numpy())


def test_every_logger_gets_the_panel(tmp_path: Path) -> None:
    loggers = [CSVLogger(tmp_path, name="csv", version=""), TensorBoardLogger(tmp_path, name="board", version="")]
    fit(PanelCallback(tile=TILE), tmp_path, loggers, epochs=1)
    assert (tmp_path / "csv/panels/val/step-00000001.png").is_file()
    module = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    (image,) = events.Images("panels/val")
    assert (image.width, image.height, image.step) == (3 * TILE + 2 * GAP, 4 * TILE + 3 * GAP, 1)
    assert not (tmp_path / "panels").exists()


def test_panels_come_every_so_many_validations(tmp_path: Path) -> None:
    fit(PanelCallback(every=2, tile=TILE, out=str(tmp_path / "shown")), tmp_path, [], epochs=4)
    assert [path.stem for path in sorted(tmp_path.rglob("*.png"))] == ["step-00000001", "step-00000003"]
    assert (tmp_path / "shown/panels/val/step-00000003.png").is_file()


def test_photos_of_other_shapes_keep_their_shape(tmp_path: Path) -> None:
    callback = PanelCallback(count=2, tile=TILE)
    fit(callback, tmp_path, [], epochs=1, batches=(photos(0, 1, size=8), photos(1, 1, size=40)))
    (path,) = tmp_path.rglob("*.png")
    with Image.open(path) as sheet:
        assert sheet.size == (3 * TILE + 2 * GAP, 2 * TILE + GAP)


def test_training_goes_on_as_if_there_were_no_panels(tmp_path: Path) -> None:
    painter = Painter().train()
    callback = PanelCallback(tile=TILE)
    callback._photos = [photos(0)]
    callback.panel(painter)
    assert painter.training
    assert painter.color.grad is None
    pl.seed_everything(0, verbose=False)
    before = torch.get_rng_state()
    callback.panel(painter)
    assert torch.equal(before, torch.get_rng_state())


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers from 1"):
        PanelCallback(count=0)
