"""What a number was made with: sources, commit and package versions. No host, user or path of the machine."""

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from bench.plugins import Plugin

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "lightning_modules", "datamodules")
SUFFIXES = (".py", ".yaml", ".json")
DISTRIBUTIONS = (
    "colorbench",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "numpy",
    "scipy",
    "pillow",
    "lpips",
    "scikit-image",
    "ultralytics",
)


@cache
def sources_digest() -> str:
    """Return the sha256 over names and bytes of the code and data files of the three packages, in hexadecimal."""
    digest = hashlib.sha256()
    files = {path.relative_to(ROOT).as_posix(): path for name in PACKAGES for path in (ROOT / name).rglob("*")}
    for name in sorted(files):
        path = files[name]
        if path.suffix in SUFFIXES and path.is_file():
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def canonical_digest(value: object) -> str:
    """Return the sha256 of a JSON value written with sorted keys and without spaces, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def run_id(identity: Mapping[str, object]) -> str:
    """Return the sha256 that stands for a run: of what it compares, a JSON object, and of the sources that do it."""
    return canonical_digest({**identity, "sources": sources_digest()})


def plugin_sources(plugins: Iterable[Plugin]) -> dict[str, str]:
    """Return the sha256 of the files of each plug-in, by its kind and id: they stand beside our own sources."""
    return {f"{plugin.kind} {plugin.id}": plugin.sources() for plugin in plugins}


def package_versions(plugins: Iterable[Plugin] = ()) -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on, without importing them.

    Args:
        plugins: that the numbers come of; their distributions follow colorbench's own dependencies.
    """
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions | {plugin.distribution: plugin.version for plugin in plugins}


@cache
def git_state(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """Return what `read_git_state` gave when this process first asked."""
    return read_git_state(root)


def read_git_state(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout at `root` and whether its packages differ from it.

    Returns:
        (None, None) where `root` is no checkout, as in an installed package, or git is not there.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root.resolve():
        return None, None
    changes = _git(root, "status", "--porcelain", "--", *PACKAGES, "pyproject.toml")
    return commit, changes != ""


def is_ancestor(commit: str, of: str, root: Path = ROOT) -> bool:
    """Tell whether the history of the commit `of` holds `commit`; False where one is not known here."""
    return _git(root, "merge-base", "--is-ancestor", commit, of) is not None


def _git(root: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(root), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return result.stdout.strip() if result.returncode == 0 else None
