"""The picture files of a study: each is seen in one trial of one session, and tells by no byte what it shows."""

import io
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bench.files import writing
from bench.perception.key import Key, Trial
from bench.perception.secret import Secret
from bench.perception.stimuli import TRUTH, WRONG, Gathered, Pixels, spoil_colours
from bench.progress import progress

PICTURES = "pictures"
CHUNK = b"fiLl"
"""Type of the PNG chunk that makes files equally long: ancillary, private, safe to copy; every reader skips it."""
CHUNK_FRAME = 12
AFTER_HEADER = 33
"""Bytes of a chunk beside what it holds, and of the signature and the first chunk of a PNG file."""
LEAST_FILLING = 16


def write_pictures(page: Path, key: Key, gathered: Gathered) -> None:
    """Write the pictures of all sessions.

    A picture is decoded and encoded anew. All files that are versions of one picture, the truth and what methods made
    of it, have one length and differ in their bytes, so that neither says which is which.
    """
    secret, shown = Secret(key.salt, key.seed), _trials_by_image(key)
    with progress("pictures of the study", len(shown)) as advance:
        for image, trials in sorted(shown.items()):
            for name, content in _files_of(image, trials, gathered, secret):
                for folder in _folders(key, name):
                    _write(page / folder / PICTURES / name, content)
            advance()


def _trials_by_image(key: Key) -> Mapping[str, Sequence[Trial]]:
    found = defaultdict[str, list[Trial]](list)
    for trial in key.trials:
        found[trial.image].append(trial)
    return found


def _folders(key: Key, name: str) -> Sequence[str]:
    """Return the folders of the sessions that show a file: all of them in practice."""
    session = key.session_of_file[name]
    return key.folders[session - 1 : session] if session else key.folders


def _files_of(image: str, trials: Sequence[Trial], gathered: Gathered, secret: Secret) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file that shows a version of one picture."""
    encoded = {
        shown: _encode(_stimulus(gathered, image, shown, secret))
        for shown in sorted({shown for trial in trials for shown in trial.shown})
    }
    length = max(map(len, encoded.values())) + CHUNK_FRAME + LEAST_FILLING
    for trial in trials:
        for shown, name in zip(trial.shown, trial.files, strict=True):
            yield name, fill(encoded[shown], length, name, secret)


def _stimulus(gathered: Gathered, image: str, shown: str, secret: Secret) -> Pixels:
    if shown == WRONG:
        return spoil_colours(gathered.read(image, TRUTH), secret.generator("wrong colours", image))
    return gathered.read(image, shown)


def _encode(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def fill(png: bytes, length: int, name: str, secret: Secret) -> bytes:
    """Return a PNG file of so many bytes that shows the same and shares its filling with no other file."""
    filling = secret.filling(length - len(png) - CHUNK_FRAME, "filling", name)
    body = CHUNK + filling
    chunk = len(filling).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    return png[:AFTER_HEADER] + chunk + png[AFTER_HEADER:]


def _write(path: Path, content: bytes) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
