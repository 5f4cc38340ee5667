"""A table of a few pictures of a run with their scores and, where they were kept, thumbnails. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.files import path_below
from bench.tables import read_table
from datamodules.images import ImageError, read_image

MOST_PICTURES = 12
THUMBNAIL = 192
GAP = 2
VERSIONS = ("gray", "prediction", "truth")
COLUMNS = ("image", "width", "height", "n_instances", "status")
"""Of `images.csv`, before those of metrics."""


@dataclass(frozen=True, slots=True)
class PictureLine:
    """Hold one picture.

    Attributes:
        image: its key.
        status: of its row.
        instances: that were scored.
        scores: by metric, None where it has none.
        files: of the versions that were kept.
    """

    image: str
    status: str
    instances: int
    scores: dict[str, float | None]
    files: dict[str, Path]

    def thumbnail(self, version: str) -> Image.Image | None:
        """Return a small picture of one of `VERSIONS`; None where it was not kept or cannot be read."""
        try:
            small = Image.fromarray(read_image(self.files[version]))
        except (KeyError, ImageError):
            return None
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        return small

    def panel(self) -> Image.Image | None:
        """Return the versions that were kept side by side: gray | prediction | truth; None without any."""
        shown = [small for version in VERSIONS if (small := self.thumbnail(version))]
        if not shown:
            return None
        width = sum(small.width + GAP for small in shown) - GAP
        panel = Image.new("RGB", (width, max(small.height for small in shown)))
        left = 0
        for small in shown:
            panel.paste(small, (left, 0))
            left += small.width + GAP
        return panel


@dataclass(frozen=True, slots=True)
class PictureTable:
    """Hold some pictures of a run; `metrics` are the columns of their scores."""

    metrics: tuple[str, ...]
    lines: tuple[PictureLine, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """Return those of `VERSIONS` that any picture has."""
        return tuple(version for version in VERSIONS if any(version in line.files for line in self.lines))

    @property
    def paths(self) -> list[Path]:
        """Return the files that thumbnails are made of."""
        return [path for line in self.lines for path in line.files.values()]


def picture_table(folder: Path, pictures: Path) -> PictureTable:
    """Choose pictures of a run, evenly spread over those whose prediction was kept, else over all.

    Args:
        folder: of the run, with `images.csv`; predictions lie in `images`.
        pictures: where truth and grey pictures of the dataset lie.
    """
    path = folder / "images.csv"
    table = read_table(path) if path.is_file() else []
    scored = [line for line in table if not line["status"].startswith("error-")]
    kept = [line for line in scored if (folder / "images").is_dir() and _find(folder / "images", line["image"], ".png")]
    metrics = tuple(name for name in (table[0] if table else {}) if name not in COLUMNS)
    return PictureTable(metrics, tuple(_line(line, metrics, folder, pictures) for line in spread(kept or scored)))


def spread(lines: Sequence[dict[str, str]], most: int = MOST_PICTURES) -> list[dict[str, str]]:
    """Return at most so many lines, evenly spread over all, the first and the last among them."""
    if len(lines) <= most:
        return list(lines)
    return [lines[round(place * (len(lines) - 1) / (most - 1))] for place in range(most)]


def _line(line: dict[str, str], metrics: Sequence[str], folder: Path, pictures: Path) -> PictureLine:
    found = {
        "gray": _find(pictures, line["image"], ".gray.png"),
        "prediction": _find(folder / "images", line["image"], ".png"),
        "truth": _find(pictures, line["image"], ".truth.png"),
    }
    return PictureLine(
        image=line["image"],
        status=line["status"],
        instances=int(line["n_instances"]),
        scores={metric: float(line[metric]) if line[metric] else None for metric in metrics},
        files={version: path for version, path in found.items() if path is not None},
    )


def _find(folder: Path, key: str, suffix: str) -> Path | None:
    """Return the file of a picture; None where it is not there, or its name leads elsewhere."""
    try:
        path = path_below(folder, key, suffix)
    except ValueError:
        return None
    return path if path.is_file() else None
