"""Commands on single photos and folders of them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    end,
)
from bench.errors import MissingError, UsageError


class Size(StrEnum):
    """Size of the pictures that `colorize` writes."""

    published = "256"
    original = "original"


def colorize(
    images: Annotated[list[Path], typer.Argument(help="Photos; of a colour photo only the light is used.")],
    model: Annotated[str, typer.Option(help="A method's id.")],
    weights: Annotated[str | None, typer.Option(help="Folder of weights.")] = None,
    detector: Annotated[str | None, typer.Option(help="A detector's id, for methods that look at boxes.")] = None,
    detector_weights: Annotated[str | None, typer.Option(help="Weights file of the detector.")] = None,
    instances: Annotated[Path | None, typer.Option(help="COCO JSON with boxes, instead of a detector.")] = None,
    size: Annotated[Size, typer.Option(help="The photo's own size, or the published square.")] = Size.original,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("colorbench-colorized"),
) -> None:
    """Colour photos and write 8-bit PNG files."""
    _check_wish(images, model, detector, instances)
    from bench.colorize import Wish, colorize_files

    wish = Wish(model, weights, detector, detector_weights, instances)
    end(colorize_files(images, wish, published=size is Size.published, out=out), "each is named above")


def detect(
    image_dir: Annotated[Path, typer.Argument(help="Folder of photos.")],
    detector: Annotated[str, typer.Option(help="A detector's id.")],
    weights: Annotated[str | None, typer.Option(help="Weights file; found by name if left out.")] = None,
    instances: Annotated[Path | None, typer.Option(help="COCO JSON, for the detector `annotations`.")] = None,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Least confidence.")] = 0.7,
    max_boxes: Annotated[int, typer.Option(min=1, max=100, help="Most boxes a photo, the best ones.")] = 8,
    out: Annotated[Path, typer.Option(help="The box file.")] = Path("boxes.json"),
) -> None:
    """Find instances in the light of photos and write them as a box file, COCO with scores."""
    from bench.suite import DetectorChoice

    choice = DetectorChoice(id=detector, weights=weights, score_threshold=score_threshold, max_boxes=max_boxes)
    if not image_dir.is_dir():
        raise MissingError(f"there is no folder of photos at {image_dir}")
    from bench.detection import detect_folder, failures

    found = detect_folder(image_dir, choice, out, instances)
    typer.echo(f"{len(found.annotations)} boxes on {len(found.images)} photos: {out}")
    end(len(failures(found)), "each is named above and in the box file")


def prior(
    image_dir: Annotated[Path, typer.Argument(help="Folder of photos.")],
    out: Annotated[Path, typer.Option(help="The NumPy file.")] = Path("prior.npy"),
    raw: Annotated[bool, typer.Option("--raw", help="The plain histogram, not smoothed over neighbours.")] = False,
) -> None:
    """Count how often each of the 313 colours of Zhang et al. occurs in photos, smoothed as for their weights."""
    from bench.prior import write_prior

    counted, failed = write_prior(image_dir, out, raw=raw)
    typer.echo(f"prior of {counted} photos: {out}")
    end(failed, "each is named above")


def _check_wish(images: list[Path], model: str, detector: str | None, instances: Path | None) -> None:
    """Refuse what cannot be coloured before torch is imported."""
    from bench.catalog import detectors, known, methods

    uses_boxes = methods()[known("method", model, methods())].uses_boxes
    if detector is not None:
        known("detector", detector, detectors())
    if (detector or instances) and not uses_boxes:
        raise UsageError(f"{model} looks at no boxes: leave --detector and --instances out")
    if detector and instances:
        raise UsageError("boxes come from --detector or from --instances: leave one of them out")
    if uses_boxes and not (detector or instances):
        raise UsageError(
            f"{model} colours instances: name a detector with --detector ({', '.join(detectors())}), or give their "
            "boxes as a COCO file with --instances"
        )
    for image in images:
        if not image.exists():
            raise MissingError(f"there is no photo at {image}")
        if image.is_dir():
            raise UsageError(f"{image} is a folder: name its photos, such as {image}/*.jpg")
