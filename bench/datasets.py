"""The standard sets of pictures: what each is, how it is had, and whether a folder holds it. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import catalog
from bench.archives import ArchiveError, unpack
from bench.downloads import DownloadError, KnownFile, download_file, file_sha256, is_offline
from bench.errors import CommandError, MissingError
from bench.locks import Lock
from bench.progress import say
from datamodules.sources.manifest import Archive, Manifest, load_manifest, manifest_ids
from datamodules.sources.standard import open_standard


@dataclass(frozen=True, slots=True)
class Verified:
    """Say that a folder holds a standard set, and what was compared.

    Attributes:
        pictures: how many.
        compared: in words.
    """

    pictures: int
    compared: str

    def sentence(self) -> str:
        """Say it."""
        return f"all {self.pictures} pictures, by {self.compared},"


def standard_sets() -> list[dict[str, Any]]:
    """Return the manifests of the standard sets, each with its `id` and whether it can be fetched."""
    manifests = [load_manifest(name) for name in manifest_ids()]
    return [{**manifest.model_dump(mode="json"), "fetched": is_public(manifest)} for manifest in manifests]


def is_public(manifest: Manifest) -> bool:
    """Whether all archives of a set have a public address and a digest."""
    return all(archive.urls and archive.sha256 for archive in manifest.archives)


def print_standard_sets() -> None:
    """Print what `standard_sets` returns as a table on standard output."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column("id", no_wrap=True),
        Column("pictures", justify="right"),
        "had by",
        "about",
        box=None,
        header_style="bold",
    )
    for entry in standard_sets():
        how = "data fetch" if entry["fetched"] else "accepting terms"
        table.add_row(entry["id"], str(entry["count"]), how, entry["about"])
    Console().print(table)


def find_set(name: str) -> Manifest:
    """Return the manifest of a standard set.

    Raises:
        UsageError: There is none of this id.
    """
    return load_manifest(catalog.known("standard set", name, manifest_ids()))


def verify(name: str, folder: Path) -> Verified:
    """Compare what is in a folder with the manifest of a standard set.

    Raises:
        MissingError: Pictures or lists are missing.
        CommandError: There is something else than there should be.
    """
    manifest = find_set(name)
    try:
        source = open_standard(name, folder)
    except FileNotFoundError as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise CommandError(str(error)) from error
    what = ["names"]
    if manifest.labelled:
        what.append("labels")
    if manifest.annotations is not None:
        what.append(f"the bytes of {manifest.annotations.file}")
    return Verified(len(source.photos), " and ".join(what))


def fetch(name: str, out: Path) -> Verified:
    """Bring a standard set into a folder: download, check and unpack what is not there yet.

    An archive that lies in the folder under its name is taken instead of a download, once its digest is right, so that
    sets which have no public address can be unpacked after they were brought.

    Args:
        name: id of the set.
        out: its root, with which the dataset of this id is opened afterwards.

    Raises:
        MissingError: An archive is not there and cannot be fetched; the message says where it is had.
        CommandError: An archive is not the published one, or cannot be unpacked, or another process does the same.
    """
    manifest = find_set(name)
    found = _verified(name, out)
    if found is not None:
        return found
    lacking = [archive for archive in manifest.archives if not _can_be_had(archive, out)]
    if lacking:
        raise MissingError(_how_to_bring(manifest, lacking, out))
    say(f"{name}: {manifest.license}; terms: {manifest.terms}")
    lock = out / f".{name}.lock"
    with Lock(lock, f"{name} in {out}"):
        try:
            for archive in manifest.archives:
                _unpack(archive, manifest, out)
        finally:
            lock.unlink(missing_ok=True)
    return verify(name, out)


def _unpack(archive: Archive, manifest: Manifest, out: Path) -> None:
    path = _archive(archive, manifest, out)
    try:
        count = unpack(path, out / archive.into, archive.members)
    except ArchiveError as error:
        raise CommandError(f"{path} is not unpacked: {error}") from error
    say(f"{archive.name}: {count} files unpacked")


def _verified(name: str, out: Path) -> Verified | None:
    """Return what a folder holds if it holds the set; None if it does not, or not yet."""
    try:
        return verify(name, out)
    except CommandError:
        return None


def _can_be_had(archive: Archive, out: Path) -> bool:
    return archive.sha256 is not None and (bool(archive.urls) or (out / archive.name).is_file())


def _archive(archive: Archive, manifest: Manifest, out: Path) -> Path:
    """Return the path of an archive whose digest is right: the one that is there, or else a download.

    Raises:
        MissingError: It cannot be fetched.
        CommandError: What is there is not it, and it has no address to be fetched from.
    """
    path = out / archive.name
    if path.is_file():
        say(f"checking {archive.name}")
        digest = file_sha256(path)
        if digest == archive.sha256:
            return path
        wrong = f"{path} is not the published file: its sha256 is {digest}, not {archive.sha256}"
        if not archive.urls or is_offline():
            raise CommandError(f"{wrong}. Remove it and bring it anew from {manifest.terms}")
        say(f"note: {wrong}; it is removed and fetched")
        path.unlink()
    try:
        return download_file(_known(archive, manifest), out)
    except DownloadError as error:
        raise MissingError(
            f"{archive.name} of {manifest.id} could not be fetched: {error}. What to do: run this again, or put the "
            f"file, got elsewhere, into {out}"
        ) from error


def _known(archive: Archive, manifest: Manifest) -> KnownFile:
    first, *others = archive.urls
    return KnownFile(
        name=archive.name,
        use=f"dataset {manifest.id}",
        license=manifest.license,
        sha256=archive.sha256,
        url=first,
        mirrors=tuple(others),
        size=archive.size,
    )


def _how_to_bring(manifest: Manifest, lacking: Sequence[Archive], out: Path) -> str:
    """Say where archives are had that have no public address, and what to do with them."""
    if any(archive.sha256 is None for archive in lacking):
        wanted = " and ".join(archive.name for archive in lacking)
        then = f"unpack them in {out} yourself, since no checksum of them is known here, and look at the result with "
        then += f"`colorbench data verify {manifest.id} {out}`"
    else:
        wanted = " and ".join(f"{one.name} ({one.size} bytes, md5 {one.md5}, sha256 {one.sha256})" for one in lacking)
        then = f"put it into {out} and run this again, to have it checked and unpacked"
    return f"{manifest.id} is had by accepting the terms at {manifest.terms}: get {wanted}, and {then}"
