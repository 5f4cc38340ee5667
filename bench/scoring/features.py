"""The features of a run's pictures, for metrics of a set: a file of fixed records beside the rows. Knows no torch.

A row promises that the features of its picture are there: these are written, and have reached the disk, before it is.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.files import append_whole, sync_folder, writing
from bench.rows import RowError

FEATURES = 2048
RECORD = np.dtype(
    [("picture", "V32"), ("prediction", "<f4", FEATURES), ("truth", "<f4", FEATURES), ("checksum", "V32")]
)
"""`picture` is the sha256 of run and image, `checksum` that of the three fields before it."""

Records = NDArray[np.void]


class FeatureStore:
    """Append the features of one process to `features.rank<r>.bin`.

    Each picture is one write to a file opened for appending. Opening cuts off what a kill or a power loss has torn.
    The process holds the lock of its file of rows, so that nobody else writes this one.

    Args:
        folder: of the run; made where it is missing.
        run_id: of the rows.
        rank: of the process.

    Raises:
        CommandError: The file cannot be opened.
    """

    def __init__(self, folder: Path, run_id: str, rank: int = 0) -> None:
        self.run_id = run_id
        self.path = folder / f"features.rank{rank}.bin"
        self._synced = True
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            os.ftruncate(self._file, _whole_size(self.path))
            sync_folder(folder)

    def append(self, image: str, prediction: NDArray[np.float32], truth: NDArray[np.float32]) -> None:
        """Write the features of one picture and of its truth, (2048,) each.

        Raises:
            RowError: The disk does not take them; no part of them stays in the file.
            ValueError: They are not of that shape or not finite.
        """
        record = np.zeros(1, RECORD)[0]
        for name, values in (("prediction", prediction), ("truth", truth)):
            if values.shape != (FEATURES,) or not np.isfinite(values).all():
                raise ValueError(f"the features of {image!r} are not {FEATURES} finite numbers, but {values.shape}")
            record[name] = values
        record["picture"] = _picture(self.run_id, image)
        record["checksum"] = _checksum(record)
        try:
            append_whole(self._file, record.tobytes())
        except OSError as error:
            raise RowError(
                f"{self.path.name}: {RECORD.itemsize} bytes could not be written: {error.strerror}"
            ) from error
        self._synced = False

    def flush(self) -> None:
        """Let all features reach the disk; rows may promise them from now on."""
        if not self._synced:
            os.fsync(self._file)
        self._synced = True

    def close(self) -> None:
        """Flush and close the file; may be called twice."""
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_features(folder: Path, run_id: str, images: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of predictions and truths, (n, 2048) each, in the order of `images`.

    Of a picture that was begun more than once, because a run was killed between its features and its row, those count
    that the process wrote last whose rows hold the picture.

    Args:
        folder: of the run.
        run_id: of the rows.
        images: that have a row.

    Raises:
        RowError: A picture has no features, or damaged ones, or the features of two processes differ.
    """
    found = np.zeros((2, len(images), FEATURES), np.float32)
    known = np.zeros(len(images), bool)
    places = {image: index for index, image in enumerate(images)}
    for path in sorted(folder.glob("rows.rank*.jsonl")):
        ours = sorted(places.keys() & set(_images(path)))
        for image, values in _read_file(_beside(path), run_id, ours):
            index = places[image]
            if known[index] and not np.array_equal(found[:, index], values):
                raise RowError(f"{_beside(path).name} and another file give different features to {image!r}")
            found[:, index], known[index] = values, True
    missing = [image for image in images if not known[places[image]]]
    if missing:
        raise RowError(f"{folder.name} has no row, and so no features, of {missing[0]!r} and {len(missing) - 1} more")
    return found[0], found[1]


def _read_file(path: Path, run_id: str, images: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the last features, (2, 2048), of each picture of one process."""
    records = _map(path)
    last = {bytes(picture): index for index, picture in enumerate(records["picture"])}
    for image in images:
        index = last.get(_picture(run_id, image))
        if index is None:
            raise RowError(f"{path.name} lacks the features of {image!r}: its row was scored without them")
        if not _is_whole(records[index]):
            raise RowError(f"{path.name}: record {index}, the features of {image!r}, is damaged")
        yield image, np.stack([records[index]["prediction"], records[index]["truth"]])


def _images(rows: Path) -> Iterator[str]:
    """Yield the pictures of a file of rows; which of its lines are torn or broken is `read_rows`'s to say."""
    for line in rows.read_bytes().splitlines():
        try:
            yield json.loads(line)["image"]
        except (ValueError, KeyError, TypeError):
            continue


def _beside(rows: Path) -> Path:
    return rows.with_name(rows.name.replace("rows.", "features.", 1)).with_suffix(".bin")


def _map(path: Path) -> Records:
    """Return the whole records of a file without reading them; none where there is no file."""
    count = path.stat().st_size // RECORD.itemsize if path.is_file() else 0
    return np.memmap(path, RECORD, "r", shape=(count,)) if count else np.zeros(0, RECORD)


def _whole_size(path: Path) -> int:
    """Return the bytes of a file up to its last undamaged record."""
    records = _map(path)
    whole = len(records)
    while whole and not _is_whole(records[whole - 1]):
        whole -= 1
    return whole * RECORD.itemsize


def _picture(run_id: str, image: str) -> bytes:
    return hashlib.sha256(f"{run_id}\0{image}".encode()).digest()


def _is_whole(record: np.void) -> bool:
    return bytes(record["checksum"]) == _checksum(record)


def _checksum(record: np.void) -> bytes:
    fields = ("picture", "prediction", "truth")
    return hashlib.sha256(b"".join(record[name].tobytes() for name in fields)).digest()
