"""Where weights are: single files and the folders of methods, by path or by name. Knows no torch."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from bench import catalog
from bench.checkpoints import FORMATS, checkpoint_format
from bench.downloads import (
    CLASSIFIER_NAMES,
    KNOWN_FILES,
    DownloadError,
    KnownFile,
    cache_folder,
    download_file,
    file_sha256,
    is_offline,
)
from bench.errors import MissingError, UsageError
from bench.manifest import (
    MANIFEST,
    WeightsManifest,
    load_manifest,
    load_networks,
    save_weights,
    verify_weights,
    weights_digest,
)
from bench.progress import say

__all__ = [
    "WeightsManifest",
    "WeightsMissingError",
    "fetch",
    "find_method_weights",
    "find_weights",
    "known_files",
    "load_manifest",
    "load_networks",
    "print_known_files",
    "save_weights",
    "verify_folder",
    "verify_weights",
    "weights_digest",
]


class WeightsMissingError(MissingError):
    """Say which weights were looked for, where, and how to get them."""


def weight_folders() -> list[Path]:
    """Return the folders of `COLORBENCH_WEIGHTS`, in order."""
    return [Path(entry).expanduser() for entry in os.environ.get("COLORBENCH_WEIGHTS", "").split(os.pathsep) if entry]


def find_weights(name: str | Path, *alternatives: str, download: bool = True, beside: Path | None = None) -> Path:
    """Return the absolute path of a weight file.

    Looked for in this order: the path as given; the folders of `COLORBENCH_WEIGHTS`; the folder `beside`; the user's
    cache, where a file whose digest is wrong is removed; a download. Each place is tried for all names before the next.

    Args:
        name: path or file name.
        alternatives: names of other files that serve as well.
        download: whether the network may be tried, once, for the first of the files that is published.
        beside: folder of the file that names the weights.

    Raises:
        WeightsMissingError: No place has any of them.
    """
    names = [str(name), *alternatives]
    found = _find_local(names, beside) or _find_cached(names)
    if found is not None:
        return found.resolve()
    for broken in _broken_in_cache(names):
        say(f"note: {broken.name} in the cache has a wrong digest and is removed")
        broken.unlink()
    failure = None
    published = next((KNOWN_FILES[one] for one in names if one in KNOWN_FILES and KNOWN_FILES[one].url), None)
    if download and published is not None:
        try:
            if not is_offline():
                say(f"fetching {published.name}")
            return download_file(published, cache_folder()).resolve()
        except DownloadError as error:
            failure = f"{published.name} could not be fetched: {error}"
    raise WeightsMissingError(_missing(names, beside, failure))


def _find_local(names: Sequence[str], beside: Path | None) -> Path | None:
    path = _first_local(names, beside)
    if path is not None and path.name in KNOWN_FILES and not KNOWN_FILES[path.name].is_whole(path):
        say(f"note: the {path.name} that was given is not the published file of that name; it is used")
    return path


def _first_local(names: Sequence[str], beside: Path | None) -> Path | None:
    places = [Path(), *weight_folders(), *([beside] if beside is not None else [])]
    paths = (place / Path(one).expanduser() for place in places for one in names)
    return next((path for path in paths if path.is_file()), None)


def _find_cached(names: Sequence[str]) -> Path | None:
    return next((path for path, whole in _in_cache(names) if whole), None)


def _broken_in_cache(names: Sequence[str]) -> list[Path]:
    return [path for path, whole in _in_cache(names) if not whole]


def _in_cache(names: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """Yield the known files that lie in the cache, and whether each is whole by its digest."""
    for known in (KNOWN_FILES[one] for one in names if one in KNOWN_FILES):
        path = cache_folder() / known.name
        if path.is_file():
            yield path, known.is_whole(path)


def _missing(names: Sequence[str], beside: Path | None, failure: str | None) -> str:
    places = ", ".join(_searched(names, beside))
    commands = [
        f"`colorbench weights fetch {file.name}`" for file in KNOWN_FILES.values() if file.name in names and file.url
    ]
    remedy = " or ".join([*commands, f"put {names[0]} into a folder and name that folder in COLORBENCH_WEIGHTS"])
    reason = f"; {failure}" if failure else ""
    return f"no weights {' or '.join(names)} {places}{reason}. What to do: {remedy}"


def _searched(names: Sequence[str], beside: Path | None) -> list[str]:
    """Say in which places files are looked for; an absolute path is one by itself, and the cache has known files."""
    if all(Path(one).expanduser().is_absolute() for one in names):
        return ["at the path as given"]
    bare = all(Path(one).name == one for one in names)
    folders = [f"{folder} (COLORBENCH_WEIGHTS)" for folder in weight_folders()]
    folders += [] if beside in {None, Path()} else [str(beside)]
    cache = ["the cache"] if any(one in KNOWN_FILES for one in names) else []
    return ["in the current folder" if bare else "at the path as given", *folders, *cache]


def find_method_weights(path_or_name: str | Path | None, method: str, *, beside: Path | None = None) -> Path:
    """Return the folder of a method's weights, the one that holds `weights.json`.

    Looked for in this order: the path as given; the folders of `COLORBENCH_WEIGHTS`; the folder `beside`; the user's
    cache. At each place the folder itself and its `weights` are tried, so that the folder of a training serves.

    Args:
        path_or_name: folder; None looks for one with the method's id, then for one whose weights serve the method.
        method: id of the method that the weights are for.
        beside: folder of the file that names the weights.

    Raises:
        WeightsMissingError: There is no such folder.
        UsageError: The weights are of another method, or their manifest is broken.
    """
    names = [str(path_or_name)] if path_or_name is not None else [method, "instcolor-fusion", "instcolor"]
    places = [Path(), *weight_folders(), *([beside] if beside is not None else []), cache_folder()]
    if path_or_name is None:
        places = places[1:]
    for name, place in ((name, place) for name in names for place in places):
        for folder in (place / Path(name).expanduser(), place / Path(name).expanduser() / "weights"):
            if not (folder / MANIFEST).is_file():
                continue
            manifest = load_manifest(folder)
            if manifest.serves(method):
                return folder.resolve()
            if path_or_name is not None or name == method:
                raise UsageError(
                    f"the weights in {folder} are of {manifest.method}, not of {method}: give the folder that "
                    f"`colorbench train {method} --out DIR` has made"
                )
    given = f"at {path_or_name}" if path_or_name is not None else "in COLORBENCH_WEIGHTS or the cache"
    release = catalog.methods()[method].weights if method in catalog.methods() else None
    published = f"get those published with `colorbench weights fetch {method}`, " if release and release.file else ""
    raise WeightsMissingError(
        f"no weights of {method} {given}: {published}train it with `colorbench train {method} --out DIR` and give DIR "
        "as its weights, or try it untrained with `weights: untrained`"
    )


def fetch(name: str) -> Path:
    """Return the path of a weight file that colorbench knows by name, downloaded where it is not on this machine.

    Of a method the published weights are fetched and imported; the path is that of their folder.

    Raises:
        UsageError: It is no such file or method, or a method without published weights that could be read; or the file
            that was found here, or the folder in the cache, holds others.
        WeightsMissingError: The file is not here and cannot be fetched.
    """
    card = catalog.methods().get(name)
    return find_weights(catalog.known("weight file", name, KNOWN_FILES)) if card is None else _fetch_method(card)


def _fetch_method(card: catalog.MethodCard) -> Path:
    """Import the published weights of a method into the cache, where `find_method_weights` looks for them."""
    from bench.importing import import_weights

    if not card.trainable:
        raise UsageError(f"{card.id} has no weights: it needs none")
    if card.weights is None:
        raise UsageError(f"no weights of {card.id} are published: train it with `colorbench train {card.id} --out DIR`")
    form = checkpoint_format(card.weights.format)
    if card.weights.file is None:
        raise UsageError(f"the weights of {card.id} have to be brought by hand: {form.origin}")
    _refuse_other_bytes(KNOWN_FILES[card.weights.file], card.weights.format)
    try:
        path = find_weights(card.weights.file)
    except WeightsMissingError as error:
        raise WeightsMissingError(f"{error}. {_by_hand(form.method)}") from error
    _say_checked(KNOWN_FILES[path.name], path)
    folder = cache_folder() / form.method
    remedy = f"delete {folder} and fetch again"
    imported = import_weights(card.weights.format, [path], folder, remedy=remedy)
    for line in imported.lines()[:-1]:
        say(line)
    return imported.folder


def _refuse_other_bytes(file: KnownFile, form: str) -> None:
    """Refuse a file on this machine that bears a release's name, but is not it, as the weights that everybody has.

    Raises:
        UsageError: There is one.
    """
    path = _first_local([file.name], None)
    if path is not None and not file.is_whole(path):
        raise UsageError(
            f"{path.resolve()} is not the published file of that name: its sha256 begins with "
            f"{file_sha256(path)[:8]}, not with {file.digits[:8]}. Rename or remove it and fetch again, or read it as "
            f"weights of your own with `colorbench weights import {form} FILE --out DIR`"
        )


def _by_hand(method: str) -> str:
    """Say which files of a method's releases serve if they are brought by hand."""
    ways = [
        f"`colorbench weights import {name} FILE... --out DIR` ({form.origin})"
        for name, form in FORMATS.items()
        if form.method == method
    ]
    return f"Files that were got otherwise are read by {' or '.join(ways)}"


def _say_checked(file: KnownFile, path: Path) -> None:
    if file.sha256 is None and file.is_whole(path):
        say(
            f"checked: the sha256 of {file.name} begins with the {file.digits} of its name; no more of it is known here"
        )


def verify_folder(folder: Path) -> WeightsManifest:
    """Check the files of a weights folder, or of the `weights` in the folder of a training, by their digests.

    Raises:
        MissingError: There is no weights folder, or one of its files is not there.
        UsageError: A file's digest is not that of the manifest.
    """
    below = folder / "weights"
    return verify_weights(below if (below / MANIFEST).is_file() and not (folder / MANIFEST).is_file() else folder)


def known_files() -> list[dict[str, Any]]:
    """Return the weight files that colorbench knows by name, and where each was found; nothing is fetched."""
    return [{"id": file.name, "found": found_at(file), **file.model_dump(exclude={"name"})} for file in _files()]


def found_at(file: KnownFile) -> str | None:
    """Return the path of a known file on this machine, None where it is not; a broken one is only told of."""
    found = _find_local([file.name], None) or _find_cached([file.name])
    if found is None and _broken_in_cache([file.name]):
        say(f"note: {file.name} in the cache has a wrong digest; `colorbench weights fetch {file.name}` gets it anew")
    return None if found is None else str(found)


def _files() -> Sequence[KnownFile]:
    return tuple(KNOWN_FILES.values())


def print_known_files() -> None:
    """Print what `known_files` returns as a table on standard output."""
    from rich.console import Console

    table = Table(Column("file", overflow="fold"), "for", "licence", "found at")
    files = known_files()
    shown = [file for file in files if file["found"] or file["id"] not in CLASSIFIER_NAMES]
    for file in shown:
        where = file["found"] or ("can be fetched" if file["url"] else "has to be brought")
        table.add_row(file["id"], file["use"], file["license"], where)
    console = Console()
    console.print(table)
    if len(files) > len(shown):
        others = f"{len(files) - len(shown)} files of other classifiers, which `colorbench list metrics` names"
        console.print(f"And {others}; `colorbench weights list --json` has all.", soft_wrap=True)
