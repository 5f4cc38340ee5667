"""Test pictures side by side: input, truth, and what each method made of them, with their licences."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.credits import Credit, coco_credits
from bench.errors import MissingError, UsageError
from bench.plan import NO_DETECTOR, Places, Run, plan
from bench.studies.declared import Declared
from bench.tables import write_table
from datamodules.images import read_image

GRID = "pictures/grid.jpg"
CREDITS = "pictures/credits.csv"
FREE = ("/by/", "commons/usage", "usa.gov/copyright")
"""Parts of the addresses of licences that allow a picture to be changed and passed on under any other."""
TILE = 112
MARGIN = 168
QUALITY = 82


def save_grid(declared: Declared, work: Path, data_root: Path | None) -> None:
    """Write the pictures that the study names as one JPEG, a line a method, and the table of their sources.

    Whole-image methods and boxes of the suite's first detector are shown, with the first seed.

    Raises:
        UsageError: The licence of a picture does not allow it, or is not known.
    """
    if not declared.study.pictures:
        return
    dataset = declared.suite.datasets[0]
    write_table(declared.folder / CREDITS, Credit._fields, credit_lines(declared, data_root))
    truth = work / "run" / "pictures" / dataset.name
    lines = [("grey input", [truth / f"{key}.gray.png" for key in declared.study.pictures])]
    lines += [("truth", [truth / f"{key}.truth.png" for key in declared.study.pictures])]
    for run in _shown(declared):
        images = work / "run" / run.folder / "images"
        lines.append((run.method.name, [images / f"{key}.png" for key in declared.study.pictures]))
    path = declared.folder / GRID
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_grid(lines).save(path, quality=QUALITY, optimize=True)


def _shown(declared: Declared) -> list[Run]:
    detectors = (NO_DETECTOR.name, declared.suite.detectors[0].name)
    runs = [run for run in plan(declared.suite) if run.dataset == declared.suite.datasets[0]]
    runs = [run for run in runs if run.seed == declared.study.seeds[0] and run.method.id != "gray"]
    return [run for run in runs if run.detector.name in detectors]


def draw_grid(lines: Sequence[tuple[str, Sequence[Path]]]) -> Image.Image:
    """Return labels on the left and pictures beside them, each `TILE` pixels a side; small ones are doubled."""
    tiles = [(label, [_tile(path) for path in paths]) for label, paths in lines]
    side = max(tile.width for _, row in tiles for tile in row)
    width = MARGIN + side * max(len(row) for _, row in tiles)
    grid = Image.new("RGB", (width, side * len(tiles)), "white")
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(12)
    for row, (label, pictures) in enumerate(tiles):
        draw.text((6, side * row + side // 2), label, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            grid.paste(picture, (MARGIN + side * column, side * row))
    return grid


def _tile(path: Path) -> Image.Image:
    if not path.is_file():
        raise MissingError(f"{path} is not there: was its picture scored, and with its colours kept?")
    picture = Image.fromarray(read_image(path))
    if max(picture.size) > TILE:
        return picture.resize((TILE, TILE), Image.Resampling.LANCZOS)
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)


def credit_lines(declared: Declared, data_root: Path | None) -> list[Credit]:
    """Return licence and source of each picture that is shown, from the COCO file of the first dataset.

    Raises:
        UsageError: The licence of a picture does not allow it, or is not known.
    """
    from datamodules.sources.coco import find_split

    dataset = declared.suite.datasets[0]
    root = Places(declared.folder, data_root).find(dataset.root or dataset.id, "the folder of the pictures")
    annotations = find_split(root, dataset.split or "val2017")[1]
    known = {credit.image: credit for credit in coco_credits(annotations, declared.study.pictures)}
    for key in declared.study.pictures:
        if key not in known or not any(part in known[key].license_url for part in FREE):
            raise UsageError(f"picture {key!r} has no licence that allows it on the page: name another in study.yaml")
    return list(known.values())
