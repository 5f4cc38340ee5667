"""`colorbench colorize`: colour single photos with any method, at their own size or at the published one."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench import catalog
from bench.build import build_method, lend_photos
from bench.catalog import MethodCard
from bench.detection import detect_files, failures
from bench.errors import MissingError, UsageError
from bench.files import path_below
from bench.progress import progress, say
from bench.scoring.evaluator import save_picture
from bench.suite import DetectorChoice
from bench.weights import find_method_weights, load_manifest, load_networks
from datamodules.boxfile import BoxFile, BoxImage, read_boxes
from datamodules.color import lab_to_rgb8, rgb8_to_lab
from datamodules.photo_dataset import Collate, PhotoDataset, Reading, Sample
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
        UsageError: A method with boxes was given none or those of other photos, it needs hints, or two photos have the
            same name.
        CommandError: The folder cannot be written to.
        MissingError: A photo or weights are not there.
    """
    refuse_without_hints(catalog.methods()[catalog.known("method", wish.method, catalog.methods())])
    try:
        source = FilesSource(paths)
    except FileNotFoundError as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{error}; colour them into two folders") from error
    model = load(wish)
    uses_boxes = catalog.methods()[wish.method].uses_boxes
    crop_size = model.crop_size if uses_boxes else None
    reading = Reading(PROTOCOLS["native-v1"], MAX_BOXES, crop_size=crop_size, masks=model.uses_masks)
    photos = PhotoDataset(source, source.photos, reading, find_boxes(source, wish) if uses_boxes else NO_BOXES)
    failed = 0
    with progress(f"colouring with {wish.method}", len(photos)) as advance:
        for position in range(len(photos)):
            sample = _read(photos, position)
            if isinstance(sample, Failure):
                say(f"{photos.photos[position].file_name}: {sample.reason}")
                failed += 1
            else:
                batch = Collate(None, reading.crop_size)([sample]).gray
                picture = colorize_one(model, batch, sample.rgb, wish.method, published)
                save_picture(picture, path_below(out, sample.key, ".png"))
            advance()
    say(f"{len(photos) - failed} pictures in {out}")
    return failed


def refuse_without_hints(card: MethodCard) -> None:
    """Refuse a method that has no colours but those of hints, which single photos have none of.

    Raises:
        UsageError: It is such a method.
    """
    if card.track == "hints":
        raise UsageError(
            f"{card.id} spreads the colours of hints, which `colorize` has none of: compare it in a suite, by "
            f"{{id: {card.id}, hints: 10}}, where hints are squares of the true picture"
        )


def _read(photos: PhotoDataset, position: int) -> Sample | Failure:
    """Read one photo.

    Raises:
        UsageError: Its boxes were measured in a photo of another size.
    """
    try:
        return photos[0, position]
    except ValueError as error:
        raise UsageError(str(error)) from error


def load(wish: Wish) -> Colorizer:
    """Build the method with its weights, on the GPU where there is one."""
    card = catalog.methods()[wish.method]
    if not card.trainable:
        return lend_photos(build_method(catalog.model_tree(card.id))).eval()
    folder = find_method_weights(wish.weights, card.id)
    method = build_method(load_manifest(folder).tree(card.id))
    load_networks(method.networks(), folder)
    return method.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def find_boxes(source: FilesSource, wish: Wish) -> BoxFile:
    """Return the boxes that the method is to see: those of a file, or those that a detector finds.

    Raises:
        UsageError: Neither a file nor a detector was named, or the file cannot be read or does not name a photo.
    """
    if wish.instances is not None:
        try:
            return match_boxes(read_boxes(wish.instances), source)
        except (ValueError, OSError) as error:
            raise UsageError(f"--instances {wish.instances}: {error}") from error
    if wish.detector is None:
        raise UsageError(
            f"{wish.method} colours instances: name a detector with --detector ({', '.join(catalog.detectors())}), or "
            "give their boxes as a COCO file with --instances"
        )
    choice = DetectorChoice(id=wish.detector, weights=wish.detector_weights)
    with tempfile.TemporaryDirectory() as folder:
        return match_boxes(detect_files(source, choice, Path(folder) / "boxes.json"), source)


def match_boxes(boxes: BoxFile, source: FilesSource) -> BoxFile:
    """Return the boxes of the given photos, each under the key that it has here.

    A photo is found by its file name without folders and suffix; of several entries the one whose folders are the
    photo's own. One that the file says could not be read has no boxes.

    Raises:
        ValueError: The file does not name a photo, or more than once.
    """
    unread = {PurePosixPath(photo["image"]).name for photo in failures(boxes)}
    found = []
    for key, path in source.paths.items():
        entries = _entries(boxes, key, path)
        if len(entries) > 1:
            raise ValueError(f"both {entries[0].file_name} and {entries[1].file_name} could be the photo {path}")
        if not entries and key not in unread:
            listed = ", ".join(image.file_name for image in boxes.images[:3]) or "no picture at all"
            more = f" and {len(boxes.images) - 3} more" if len(boxes.images) > 3 else ""
            raise ValueError(f"names no {path.name}; it has {listed}{more}: give the boxes of this photo")
        found += [image.model_copy(update={"file_name": f"{key}.png"}) for image in entries]
    kept = {image.id for image in found}
    annotations = tuple(one for one in boxes.annotations if one.image_id in kept)
    return BoxFile(info=boxes.info, images=tuple(found), categories=boxes.categories, annotations=annotations)


def _entries(boxes: BoxFile, key: str, path: Path) -> Sequence[BoxImage]:
    """Return the pictures of a box file that may be the photo at `path`."""
    entries = [image for image in boxes.images if PurePosixPath(image.file_name).stem == key]
    whole = "/" + path.resolve().as_posix().removeprefix("/")
    own = [image for image in entries if whole.endswith(f"/{image.file_name}") and "/" in image.file_name]
    return own if len(entries) > 1 and len(own) == 1 else entries


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
        chroma = model(replace(gray, light=gray.light.clone()).to(model.device)).cpu()
    return lab_to_rgb8(gray.light, chroma)[0]
