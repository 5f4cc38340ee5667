"""Pictures of a report: input | truth | each method, best first, small and embedded. Knows no torch."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.board import RunKey, run_key
from bench.files import path_below
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.rows import InstanceRow, Row, read_rows
from datamodules.images import ImageError, read_image

MOST_PICTURES = 12
THUMBNAIL = 224
QUALITY = 80


@dataclass(frozen=True, slots=True)
class Figure:
    """Show one version of a picture.

    Attributes:
        label: `input` (grey), `truth`, or the method with its detector.
        uri: the thumbnail as a data URI; None where there is none.
        psnr: against the truth in dB; None for input and truth, and where there is no score.
        best: whether no other method has a higher PSNR on this picture.
        status: of the row, where it is not `ok`.
    """

    label: str
    uri: str | None
    psnr: float | None = None
    best: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one row of a gallery; `width` and `height` are those that the boxes of `instances` are measured in."""

    key: str
    figures: tuple[Figure, ...]
    instances: tuple[InstanceRow, ...] = ()
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Gallery:
    """Hold the pictures of one dataset, `total` of which there were to choose from."""

    dataset: str
    pictures: tuple[Picture, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold a run whose predictions are shown."""

    record: RunRecord
    folder: Path
    rows: Mapping[str, Row]

    @property
    def label(self) -> str:
        """Return the method, with its detector if it has one."""
        detector = self.record.detector
        return self.record.method if detector == "none" else f"{self.record.method} · {detector}"


def galleries(out: Path, runs: Sequence[tuple[Path, RunRecord]]) -> list[Gallery]:
    """Choose pictures of each dataset and embed them; of several seeds the lowest is shown.

    Args:
        out: output folder; truth and grey pictures lie in `pictures/<dataset>`, if they were saved.
        runs: each with its folder, where predictions lie in `images`.
    """
    made = [_gallery(out, dataset, runs) for dataset in sorted({record.dataset for _, record in runs})]
    return [gallery for gallery in made if gallery.pictures]


def _gallery(out: Path, dataset: str, runs: Sequence[tuple[Path, RunRecord]]) -> Gallery:
    lowest: dict[tuple[str, str], tuple[Path, RunRecord]] = {}
    for folder, record in sorted(runs, key=lambda run: run[1].seed):
        if record.dataset == dataset:
            lowest.setdefault((record.method, record.detector), (folder, record))
    places = table_places([record for _, record in runs if record.dataset == dataset])
    shown = [
        Shown(record, folder, read_rows(folder, record.run_id))
        for folder, record in sorted(lowest.values(), key=lambda run: places[run_key(run[1])])
        if (folder / "images").is_dir()
    ]
    keys = sorted({key for run in shown for key, row in run.rows.items() if not row.failed})
    pictures = [_picture(out / "pictures" / dataset, key, shown) for key in spread(keys, MOST_PICTURES)]
    return Gallery(dataset, tuple(picture for picture in pictures if any(f.uri for f in picture.figures)), len(keys))


def table_places(records: Sequence[RunRecord]) -> dict[RunKey, int]:
    """Return the place of each run in the leaderboard, the best first."""
    entries = [entry for board in rank_records(records, levels=["image"]) for entry in board.entries]
    return {run: place for place, entry in enumerate(entries) for run in entry.runs}


def spread(keys: Sequence[str], most: int) -> list[str]:
    """Return at most `most` keys, evenly spread over all, so that nobody chose them.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if len(keys) <= most:
        return list(keys)
    step = (len(keys) - 1) / max(1, most - 1)
    return [keys[round(index * step)] for index in range(most)]


def _picture(folder: Path, key: str, shown: Sequence[Shown]) -> Picture:
    rows = [run.rows.get(key) for run in shown]
    values = [None if row is None else row.scores.get("psnr") for row in rows]
    highest = max((value for value in values if value is not None), default=None)
    methods = [
        Figure(
            label=run.label,
            uri=thumbnail(run.folder / "images", key, ".png"),
            psnr=value,
            best=value is not None and value == highest,
            status="" if row is None or row.status == "ok" else row.status,
        )
        for run, row, value in zip(shown, rows, values, strict=True)
    ]
    gray, truth = thumbnail(folder, key, ".gray.png"), thumbnail(folder, key, ".truth.png")
    figures = [Figure(label, uri) for label, uri in (("input", gray), ("truth", truth)) if uri] + methods
    known = next((row for row in rows if row is not None and not row.failed), None)
    if known is None:
        return Picture(key, tuple(figures))
    return Picture(key, tuple(figures), known.instances, known.width or 0, known.height or 0)


def thumbnail(folder: Path, key: str, suffix: str) -> str | None:
    """Return a small WebP of a picture as a data URI; None where there is no picture that can be read."""
    try:
        small = Image.fromarray(read_image(path_below(folder, key, suffix)))
    except (ImageError, ValueError):
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
