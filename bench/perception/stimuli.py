"""The pictures of a study: what methods made of them, the truth, and copies with colours that nobody can believe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.catalog import known
from bench.errors import MissingError, UsageError
from bench.files import path_below
from bench.leaderboard import finished_runs, runs_of_dataset
from bench.perception.design import Generator
from bench.ranking import name_groups
from bench.record import RunRecord
from bench.rows import read_rows
from datamodules.images import ImageError, read_image

TRUTH = "truth"
WRONG = "wrong-colours"
"""What stands beside the names of methods, none of which is without `--`."""

PATCHES = 4
STRENGTH = 96

Run = tuple[Path, RunRecord]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Method:
    """Hold a method, `<method>--<detector>`, with the run whose pictures are shown: that of the lowest seed."""

    name: str
    folder: Path
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Gathered:
    """Hold methods of one dataset and the keys of the pictures that all of them have, beside the truth.

    Attributes:
        truth: folder of the true pictures.
    """

    methods: tuple[Method, ...]
    keys: tuple[str, ...]
    truth: Path

    def read(self, key: str, shown: str) -> Pixels:
        """Return the picture of a method, or the truth, as (H, W, 3) uint8."""
        if shown == TRUTH:
            return _read(path_below(self.truth, key, ".truth.png"))
        folder = next(method.folder for method in self.methods if method.name == shown)
        return _read(path_below(folder / "images", key, ".png"))


def _read(path: Path) -> Pixels:
    try:
        return read_image(path)
    except ImageError as error:
        raise MissingError(f"{path} cannot be read ({error}): make it again by --save-images") from error


def gather(out: Path, names: Sequence[str] = (), dataset: str | None = None) -> Gathered:
    """Find the methods and pictures of a study.

    Args:
        out: output folder of runs that were made with `--save-images`.
        names: methods as `compare` takes them, with or without `--<detector>`; none for all.
        dataset: may be left out where there is one.

    Raises:
        UsageError: A name is unknown or stands for several things, or the methods saw different pictures.
        MissingError: There is no finished run, or the pictures were not kept.
    """
    methods = choose_methods(runs_of_dataset(finished_runs([out]), dataset), names)
    datasets = {method.record.digests.dataset for method in methods}
    protocols = {method.record.protocol_sha256 for method in methods}
    if max(len(datasets), len(protocols)) > 1:
        raise UsageError(
            "the methods were scored on different pictures or under several protocols, though the dataset has one "
            "name: give those that belong together with --methods"
        )
    truth = out / "pictures" / methods[0].record.dataset
    keys = [key for key in _shared_keys(methods) if path_below(truth, key, ".truth.png").is_file()]
    kept = [key for key in keys if all(path_below(m.folder / "images", key, ".png").is_file() for m in methods)]
    if not kept:
        raise _no_pictures(truth, methods)
    return Gathered(tuple(methods), tuple(kept), truth)


def _no_pictures(truth: Path, methods: Sequence[Method]) -> MissingError:
    bare = [method.name for method in methods if not (method.folder / "images").is_dir()]
    lacking = f"no coloured pictures of {', '.join(bare)}" if bare else f"no true pictures in {truth} of what all have"
    return MissingError(
        f"{lacking}: `colorbench run {methods[0].record.suite} --out NEW --save-images` keeps them, and so does "
        "`score` with the same options"
    )


def choose_methods(runs: Sequence[Run], names: Sequence[str] = ()) -> list[Method]:
    """Return the methods of runs, sorted by name; those that are named, or all."""
    folders = {record.run_id: folder for folder, record in runs}
    methods = [
        Method(f"{name}--{group[0].detector}", folders[group[0].run_id], group[0])
        for name, group in name_groups([record for _, record in runs])
    ]
    found = sorted(methods, key=lambda method: method.name)
    repeated = sorted({one.name for one in found if sum(one.name == other.name for other in found) > 1})
    if repeated:
        raise UsageError(f"{', '.join(repeated)} stands for several runs, whole and partial ones: keep one of them")
    chosen = {_find(found, name).name for name in names}
    return [method for method in found if not names or method.name in chosen]


def _find(methods: Sequence[Method], name: str) -> Method:
    meant = [method for method in methods if name in (method.name, method.name.rpartition("--")[0])]
    if not meant:
        known("method of these runs", name, [method.name for method in methods])
    if len(meant) > 1:
        raise UsageError(f"{name} stands for {' and '.join(method.name for method in meant)}: say which")
    return meant[0]


def _shared_keys(methods: Sequence[Method]) -> list[str]:
    """Return the pictures that no method failed on and whose truth has colour."""
    rows = [read_rows(method.folder, method.record.run_id) for method in methods]
    shared = set(rows[0]).intersection(*rows[1:])
    return sorted(key for key in shared if all(each[key].status == "ok" for each in rows))


def spoil_colours(picture: Pixels, generator: Generator) -> Pixels:
    """Return a picture with its own light and patches of random, saturated colours.

    Args:
        picture: (H, W, 3) uint8.
        generator: of the colours.
    """
    light = Image.fromarray(picture).convert("YCbCr").getchannel(0)
    chroma = [_patches(light.size, generator) for _ in range(2)]
    return np.asarray(Image.merge("YCbCr", [light, *chroma]).convert("RGB"))


def _patches(size: tuple[int, int], generator: Generator) -> Image.Image:
    signs = generator.permutation(np.arange(PATCHES**2) % 2 * 2 - 1).reshape(PATCHES, PATCHES)
    small = Image.fromarray((128 + STRENGTH * signs).astype(np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)
