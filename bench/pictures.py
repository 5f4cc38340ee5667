"""Pictures of a dataset at the protocol's size, beside which a report shows the predictions, and whose they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bench.build import build_data
from bench.catalog import Tree
from bench.credits import write_credits
from bench.files import path_below, writing
from bench.picture_set import PictureSet, note_pictures, read_pictures
from bench.progress import progress
from bench.suite import Suite
from datamodules.images import ImageError
from datamodules.protocol import PROTOCOLS
from datamodules.sources.coco import CocoSource
from datamodules.types import Failure

if TYPE_CHECKING:
    from torch import Tensor

    from bench.scoring.folders import FolderRequest


def gray_of(picture: Image.Image) -> Image.Image:
    """Return the picture without its chroma: sRGB of (L*, 0, 0)."""
    import torch

    from datamodules.color import lab_to_rgb8, rgb8_to_lab

    rgb8 = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None]
    light = rgb8_to_lab(rgb8)[:, :1]
    gray = lab_to_rgb8(light, torch.zeros_like(light).expand(-1, 2, -1, -1))
    return Image.fromarray(gray[0].permute(1, 2, 0).numpy())


def save_pictures(tree: Tree, suite: Suite, folder: Path, held: PictureSet) -> None:
    """Write `<key>.truth.png` and `<key>.gray.png` of every picture that can be read; those of `held` are kept.

    The licences of photos that a COCO file lists are written beside them, and at last, that the folder is of `held`.
    """
    standing = read_pictures(folder) == held
    source = build_data(tree, protocol=suite.protocol).source("test")
    photos = source.photos[: suite.limit] if source is not None else ()
    if isinstance(source, CocoSource):
        write_credits(folder, source.instances, [photo.key for photo in photos])
    with progress("truth pictures", len(photos)) as advance:
        for photo in photos:
            advance()
            if source is None or (standing and path_below(folder, photo.key, ".truth.png").is_file()):
                continue
            try:
                picture = PROTOCOLS[suite.protocol].apply(Image.fromarray(source.read(photo.key)))
            except ImageError:
                continue
            _save_truth(folder, photo.key, picture)
    note_pictures(folder, held)


def save_pairs(request: "FolderRequest", keys: Sequence[str], folder: Path, held: PictureSet) -> None:
    """Write the predictions that were scored to the run's `images`, and truth and grey picture as `save_pictures` does.

    All are as they were compared, at the protocol's size.
    """
    from bench.scoring.folders import PairReader

    standing = read_pictures(folder) == held
    if request.instances is not None:
        write_credits(folder, request.instances, keys)
    reader, images = PairReader(request), request.folder / "images"
    with progress("pictures", len(keys)) as advance:
        for key in keys:
            advance()
            path, truth = path_below(images, key, ".png"), path_below(folder, key, ".truth.png")
            kept = standing and truth.is_file()
            if path.is_file() and kept:
                continue
            pair = reader.read(key)
            if isinstance(pair, Failure):
                continue
            if not kept:
                _save_truth(folder, key, _to_picture(pair.truth))
            _save(path, _to_picture(pair.prediction))
    note_pictures(folder, held)


def _to_picture(rgb8: "Tensor") -> Image.Image:
    return Image.fromarray(rgb8.permute(1, 2, 0).contiguous().numpy())


def _save_truth(folder: Path, key: str, picture: Image.Image) -> None:
    """Write the grey picture, then the truth, which says that both are there."""
    _save(path_below(folder, key, ".gray.png"), gray_of(picture))
    _save(path_below(folder, key, ".truth.png"), picture)


def _save(path: Path, picture: Image.Image) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
