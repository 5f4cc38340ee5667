"""Truth and grey pictures of a dataset at the protocol's size, beside which a report shows the predictions."""

from pathlib import Path

import numpy as np
from PIL import Image

from bench.build import build_data
from bench.catalog import Tree
from bench.files import path_below, writing
from bench.progress import progress
from bench.suite import Suite
from datamodules.images import ImageError
from datamodules.protocol import PROTOCOLS


def gray_of(picture: Image.Image) -> Image.Image:
    """Return the picture without its chroma: sRGB of (L*, 0, 0)."""
    import torch

    from datamodules.color import lab_to_rgb8, rgb8_to_lab

    rgb8 = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None]
    light = rgb8_to_lab(rgb8)[:, :1]
    gray = lab_to_rgb8(light, torch.zeros_like(light).expand(-1, 2, -1, -1))
    return Image.fromarray(gray[0].permute(1, 2, 0).numpy())


def save_pictures(tree: Tree, suite: Suite, folder: Path) -> None:
    """Write `<key>.truth.png` and `<key>.gray.png` of every picture that can be read; those that stand are kept."""
    source = build_data(tree, protocol=suite.protocol).source("test")
    photos = source.photos[: suite.limit] if source is not None else ()
    with progress("truth pictures", len(photos)) as advance:
        for photo in photos:
            advance()
            path = path_below(folder, photo.key, ".truth.png")
            if source is None or path.is_file():
                continue
            try:
                picture = PROTOCOLS[suite.protocol].apply(Image.fromarray(source.read(photo.key)))
            except ImageError:
                continue
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                gray_of(picture).save(path_below(folder, photo.key, ".gray.png"))
                picture.save(path)
