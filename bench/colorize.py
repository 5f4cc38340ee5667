"""`colorbench colorize`: colour single photos with any method, at their own size or at the published one."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench import catalog
from bench.build import build_data, build_method
from bench.detection import detect_files
from bench.errors import MissingError, UsageError
from bench.progress import progress, say
from bench.scoring.evaluator import save_picture
from bench.suite import DetectorChoice
from bench.weights import find_method_weights, load_manifest, load_networks
from datamodules.boxfile import BoxFile, read_boxes
from datamodules.color import lab_to_rgb8, rgb8_to_lab
from datamodules.photo_dataset import Collate, PhotoDataset, Reading
from datamodules.protocol import PROTOCOLS
from datamodules.sources.files import FilesSource
from datamodules.types import Failure, GrayBatch
from lightning_modules.base import Colorizer

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MAX_BOXES = 8
NO_BOXES = BoxFile(images=(), categories=(), annotations=())


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold what the command line says about the method and its boxes."""

    method: str
    weights: str | None = None
    detector: str | None = None
    detector_weights: str | None = None
    instances: Path | None = None


def colorize_files(paths: Sequence[Path], wish: Wish, *, published: bool, out: Path) -> int:
    """Colour photos and write them as `<stem>.png`.

    Args:
        paths: of the photos; of a colour photo only the light is used.
        wish: the method and its boxes.
        published: resize the photo as the method's release does and write that square; else the photo keeps its size
            and its own light, and the chroma is scaled up.
        out: folder for the pictures.

    Returns:
        How many photos could not be read; each is named.

    Raises:
        UsageError: A method with boxes was given none, or two photos have the same name.
        MissingError: A photo or weights are not there.
    """
    catalog.known("method", wish.method, catalog.methods())
    try:
        source = FilesSource(paths)
    except FileNotFoundError as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{error}; colour them into two folders") from error
    model = load(wish)
    uses_boxes = catalog.methods()[wish.method].uses_boxes
    reading = Reading(PROTOCOLS["native-v1"], MAX_BOXES, crop_size=model.crop_size if uses_boxes else None)
    photos = PhotoDataset(source, source.photos, reading, find_boxes(source, wish) if uses_boxes else NO_BOXES)
    failed = 0
    with progress(f"colouring with {wish.method}", len(photos)) as advance:
        for position in range(len(photos)):
            sample = photos[0, position]
            if isinstance(sample, Failure):
                say(f"{photos.photos[position].file_name}: {sample.reason}")
                failed += 1
            else:
                batch = Collate(None, reading.crop_size)([sample]).gray
                save_picture(colorize_one(model, batch, sample.rgb, wish.method, published), out / f"{sample.key}.png")
            advance()
    say(f"{len(photos) - failed} pictures in {out}")
    return failed


def load(wish: Wish) -> Colorizer:
    """Build the method with its weights, on the GPU where there is one."""
    card = catalog.methods()[wish.method]
    if not card.trainable:
        method = build_method(catalog.model_tree(card.id))
        method.prepare_training(build_data(catalog.data_tree("samples-core")))
        return method.eval()
    folder = find_method_weights(wish.weights, card.id)
    method = build_method(load_manifest(folder).tree(card.id))
    load_networks(method.networks(), folder)
    return method.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def find_boxes(source: FilesSource, wish: Wish) -> BoxFile:
    """Return the boxes that the method is to see: those of a file, or those that a detector finds.

    Raises:
        UsageError: Neither a file nor a detector was named, or the file cannot be read.
    """
    if wish.instances is not None:
        try:
            return read_boxes(wish.instances)
        except (ValueError, OSError) as error:
            raise UsageError(f"--instances {wish.instances}: {error}") from error
    if wish.detector is None:
        raise UsageError(
            f"{wish.method} colours instances: name a detector with --detector ({', '.join(catalog.DETECTORS)}), or "
            "give their boxes as a COCO file with --instances"
        )
    choice = DetectorChoice(id=wish.detector, weights=wish.detector_weights)
    with tempfile.TemporaryDirectory() as folder:
        return detect_files(source, choice, Path(folder) / "boxes.json")


def colorize_one(model: Colorizer, gray: GrayBatch, rgb8: Tensor, method: str, published: bool) -> Tensor:
    """Return one photo in the method's colours.

    Args:
        model: the method.
        gray: the photo as a batch of one at its own size.
        rgb8: (3, H, W) uint8, the same photo.
        method: id.
        published: answer with the square that the method's release writes, not with the photo's own size.

    Returns:
        (3, H, W) uint8 sRGB, or (3, size, size).
    """
    if published:
        card = catalog.methods()[method].published
        square = Image.fromarray(rgb8.permute(1, 2, 0).numpy()).resize((card.size, card.size), FILTERS[card.filter])
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)
        gray = replace(gray, light=rgb8_to_lab(pixels[None])[:, :1])
    with torch.inference_mode():
        chroma = model(gray.to(model.device)).cpu()
    return lab_to_rgb8(gray.light, chroma)[0]
