"""A picture of what was filled: masked, lines, filled by each method, truth; a line for each picture and bucket."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.files import path_below, writing
from bench.inpainting.record import FOLDER
from bench.inpainting.suite import InpaintSuite
from datamodules.holed_photos import HoledSample, InpaintDataModule
from datamodules.images import read_image

FILE = "comparison.png"
GAP = 4
HEAD = 14
"""Pixels above the pictures, for names."""

LETTER = 6
"""Pixels of a letter of the names."""

Picture = NDArray[np.uint8]


def write_comparison(suite: InpaintSuite, data: InpaintDataModule, dataset: str, out: Path) -> None:
    """Write `comparison.png` of the pictures that were kept; nothing where the suite shows none, or none was kept.

    Args:
        suite: that was run.
        data: its pictures, without lines that are given away.
        dataset: its name.
        out: output folder.
    """
    names: list[str] = []
    lines: list[list[Picture]] = []
    for holes in suite.holes:
        data.bucket = holes
        photos = data.test_set()
        for place in range(min(suite.shown, len(photos))):
            sample = photos[0, place]
            if isinstance(sample, HoledSample):
                columns = _line(sample, suite, holes, out / FOLDER / dataset)
                names = [name for name, _ in columns]
                lines.append([picture for _, picture in columns])
    if lines:
        path = out / FILE
        with writing(path):
            _sheet(names, lines).save(path)


def _line(sample: HoledSample, suite: InpaintSuite, holes: str, runs: Path) -> list[tuple[str, Picture]]:
    """Return the pictures of one line with the names of their columns; what failed is an even grey."""
    truth = sample.rgb.permute(1, 2, 0).numpy()
    masked = np.where(sample.hole[..., None], np.uint8(255), truth)
    columns = [("masked", masked)]
    for choice in suite.methods:
        folder = runs / f"{choice.name}--{holes}--s{suite.seed}" / "images"
        if choice.learns and choice.settings.get("uses_edges", True):
            columns.append((f"{choice.name} lines", _kept(folder, sample.key, ".edges.png", truth, ink=True)))
        columns.append((choice.name, _kept(folder, sample.key, ".png", truth)))
    return [*columns, ("truth", truth)]


def _kept(folder: Path, key: str, suffix: str, like: Picture, *, ink: bool = False) -> Picture:
    """Return a picture that was kept, lines as dark on white; an even grey where there is none."""
    path = path_below(folder, key, suffix)
    if not path.is_file():
        return np.full_like(like, 128)
    values = read_image(path)
    return 255 - values if ink else values


def _sheet(names: Sequence[str], lines: Sequence[Sequence[Picture]]) -> Image.Image:
    """Return lines of pictures of one size under the names of their columns, as far as these fit."""
    side = lines[0][0].shape[0]
    step = side + GAP
    sheet = Image.new("RGB", (step * len(names) + GAP, HEAD + step * len(lines) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        draw.text((GAP + column * step, 1), _fitting(name, side), fill="black")
    for row, line in enumerate(lines):
        for column, picture in enumerate(line):
            sheet.paste(Image.fromarray(picture), (GAP + column * step, HEAD + row * step))
    return sheet


def _fitting(name: str, side: int) -> str:
    """Return a name as long as its column is wide; of a longer one the end, which tells it from the others."""
    most = max(3, side // LETTER)
    return name if len(name) <= most else f"..{name[2 - most :]}"
