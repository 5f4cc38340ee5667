"""The files of an installed distribution, which tell one state of a plug-in from another. Imports none of them."""

import importlib.util
import json
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit


def distribution_files(name: str, tops: Iterable[str]) -> dict[str, Path]:
    """Return the files that an installed distribution brings, by their names in it; compiled code is left out.

    They are those that its installer recorded. Where these are not what is imported, because it was installed for
    editing or by other means, they are all files of its packages, and the modules and packages beside them.

    Args:
        name: of the distribution.
        tops: its top-level packages and modules, as far as they are known.
    """
    distribution = metadata.distribution(name)
    found = _recorded(distribution)
    recorded, project = {path.resolve() for path in found.values()}, _project(distribution)
    for top in tops:
        places = _places(top)
        if not any(path.is_relative_to(place) for path in recorded for place in places):
            found |= {name: path for place in places for name, path in _files(place)}
            beside = {place.parent for place in places if project is not None and place.is_relative_to(project)}
            found |= {name: path for folder in beside for name, path in _importable(folder)}
    return {name: path for name, path in found.items() if path.is_file()}


def _recorded(distribution: metadata.Distribution) -> dict[str, Path]:
    """Return what RECORD lists, but for what the installer made: paths of this machine, and compiled code."""
    if distribution.read_text("RECORD") is None:
        return {}
    return {
        file.as_posix(): Path(str(distribution.locate_file(file)))
        for file in distribution.files or ()
        if not (_is_made(file) or file.parts[0].endswith(".dist-info"))
    }


def _is_made(path: PurePosixPath) -> bool:
    script = path.parts[0] == ".." and path.parent.name in {"bin", "Scripts"}
    finder = path.suffix == ".pth" or path.name.startswith("__editable__")
    return script or finder or path.suffix == ".pyc" or "__pycache__" in path.parts


def _project(distribution: metadata.Distribution) -> Path | None:
    """Return the folder that a distribution was installed from for editing; None where it was not."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path)).resolve()


def _places(top: str) -> list[Path]:
    """Return where a module's file or the folders of a package lie."""
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    if spec is None:
        return []
    folders = [*(spec.submodule_search_locations or ())]
    return [path.resolve() for path in map(Path, folders or [spec.origin or ""]) if path.is_absolute()]


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield a module's file or all files of a package's folder; hidden ones are an editor's."""
    if place.is_file():
        yield place.name, place
    for path in place.rglob("*"):
        name = PurePosixPath(path.relative_to(place.parent).as_posix())
        if path.is_file() and not _is_made(name) and not any(part.startswith(".") for part in name.parts[1:]):
            yield str(name), path


def _importable(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of all modules and packages in a folder."""
    for place in [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]:
        yield from _files(place)
