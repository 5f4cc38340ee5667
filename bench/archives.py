"""Unpack archives that others made: all of one below its folder, or nothing. Knows no torch.

Neither tarfile's nor zipfile's own extraction is used: they mend names and make links where an archive is refused here.
"""

import gzip
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from bench.files import writing
from bench.progress import progress

CHUNK = 1 << 20
MEGABYTE = 1_000_000
HEADERS = 64 << 20
"""Bytes that names, padding and other headers of a compressed archive may have beside its files."""
BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)
"""What the standard library raises about archives that are no archives, or are cut off."""


class ArchiveError(Exception):
    """Say why an archive is not unpacked, naming the member; nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what an archive may unpack to.

    Attributes:
        members: files and folders.
        size: bytes of all files together.
        ratio: bytes for each byte of the archive, once they are more than `free`.
        free: bytes that any archive may unpack to.
    """

    members: int = 500_000
    size: int = 64 << 30
    ratio: int = 100
    free: int = 16 << 20

    def of(self, archive: Path) -> int:
        """Return how many bytes an archive may unpack to."""
        return min(self.size, max(self.free, self.ratio * archive.stat().st_size))


class Member(NamedTuple):
    """Hold one entry of an archive: its name as it stands there, its bytes, and what refuses it by its kind."""

    name: str
    size: int
    is_folder: bool
    fault: str | None
    open: Callable[[], IO[bytes]]


@dataclass(slots=True)
class Gate:
    """Let members through that may be written, and refuse the archive at the first that may not.

    Attributes:
        most_bytes: of all members together.
        most_members: that are let through.
    """

    most_bytes: int
    most_members: int
    size: int = 0
    names: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def check(self, member: Member) -> None:
        """Let a member through.

        Raises:
            ArchiveError: It leaves the folder, is a link or a device, has the name of another in other letters, or is
                one too many.
        """
        fault = member.fault or fault_of(member.name) or self._clash(member)
        self.size += member.size
        if fault is None and self.size > self.most_bytes:
            fault = f"unpacks to more than the {self.most_bytes} bytes that this archive may"
        if fault is None and len(self.names) > self.most_members:
            fault = f"is one more than the {self.most_members} members that an archive may have"
        if fault is not None:
            raise ArchiveError(f"its member {member.name[:200]!r} {fault}")

    def _clash(self, member: Member) -> str | None:
        """Return what is wrong with a member's name beside those before it, on any file system."""
        path = PurePosixPath(member.name)
        for above in reversed(path.parents[:-1]):
            if (fault := self._enter(above)) or fold(above) in self.files:
                return fault or "lies below a member that is a file"
        if member.is_folder:
            return self._enter(path) or ("is a folder and a file" if fold(path) in self.files else None)
        if fold(path) in self.names:
            return f"has the name of another member, {self.names[fold(path)]!r}"
        self.files.add(fold(path))
        return self._enter(path)

    def _enter(self, path: PurePosixPath) -> str | None:
        other = self.names.setdefault(fold(path), str(path))
        return None if other == str(path) else f"differs from {other!r} in the case of letters only"


def fold(path: PurePosixPath) -> str:
    """Return a path as file systems that ignore case, and that decompose letters, compare it."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def fault_of(name: str) -> str | None:
    """Return what is wrong with a member's name by itself."""
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of its folder by '..'"
    if "\\" in name or any(not char.isprintable() for char in name):
        return "has a backslash or a character in its name that cannot be printed"
    if any(not part or part == "." or len(part.encode()) > 255 for part in parts):
        return "has a name with an empty, a '.' or an overlong part"
    return None


def unpack(archive: Path, folder: Path, wanted: Sequence[str] = (), limits: Limits | None = None) -> int:
    """Unpack a zip, tar or tar.gz archive below a folder, beside what lies there; files of the same name are replaced.

    Everything is written to a hidden folder in `folder` first, checked, and moved when all of it is there. The hidden
    folder of an unpacking that was killed is removed by the next.

    Args:
        archive: to be unpacked.
        folder: made if it is not there.
        wanted: patterns of the names that are written, with `*` and `?`; all where empty. The others are checked too.
        limits: what it may unpack to.

    Returns:
        How many files were written.

    Raises:
        ArchiveError: The archive is broken or holds what it may not.
        bench.errors.CommandError: The folder cannot be written.
    """
    bounds = limits or Limits()
    hidden = folder / f".{archive.name}.unpacking"
    try:
        with writing(folder):
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir(parents=True)
            gate = Gate(bounds.of(archive), bounds.members)
            count = _extract(archive, hidden, gate, wanted)
            _move(hidden, folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return count


def _extract(archive: Path, folder: Path, gate: Gate, wanted: Sequence[str]) -> int:
    count, last, title = 0, "", f"unpacking {archive.name} (MB)"
    try:
        with archive.open("rb") as file, progress(title, archive.stat().st_size // MEGABYTE) as advance:
            for member in _members(file, archive.name, gate.most_bytes):
                last = member.name
                gate.check(member)
                if not member.is_folder and (not wanted or any(fnmatchcase(last, pattern) for pattern in wanted)):
                    _write(member, folder / last)
                    count += 1
                advance(max(0, file.tell() // MEGABYTE - advance.done))
    except BROKEN as error:
        where = f" after its member {last!r}" if last else ""
        raise ArchiveError(f"it is broken{where}: {error or type(error).__name__}") from error
    return count


def _write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, CHUNK)
    if path.stat().st_size != member.size:
        raise ArchiveError(f"its member {member.name!r} is cut off")


def _move(source: Path, target: Path) -> None:
    """Move what is in a folder into another one, whole folders where they are new there."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir() and not place.is_symlink():
            _move(entry, place)
        else:
            entry.replace(place)


def _members(file: IO[bytes], name: str, most_bytes: int) -> Iterator[Member]:
    """Yield the entries of an open archive, each to be read before the next.

    Raises:
        ArchiveError: Its name is not that of an archive.
    """
    if name.endswith(".zip"):
        yield from _zip_members(file)
    elif name.endswith(".tar"):
        yield from _tar_members(file)
    elif name.endswith((".tar.gz", ".tgz")):
        with gzip.open(file) as stream:
            metered = Metered(stream, most_bytes + HEADERS)
            yield from _tar_members(metered)
            while metered.read(CHUNK):  # the check of its bytes stands at its end
                pass
    else:
        raise ArchiveError("its name ends neither in .zip nor in .tar, .tar.gz or .tgz")


def _zip_members(file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            kind = stat.S_IFMT(info.external_attr >> 16)
            fault = None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                fault = "is a link or a device, which are not unpacked"
            elif info.flag_bits & 1:
                fault = "is encrypted"
            yield Member(info.orig_filename, info.file_size, info.is_dir(), fault, partial(archive.open, info))


def _tar_members(file: "IO[bytes] | Metered") -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r|", errors="surrogateescape") as archive:
        for info in archive:
            plain = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.isdir()
            fault = None if plain else "is a link, a device or a sparse file, which are not unpacked"
            name = info.name.removeprefix("./")  # what `tar -c .` writes
            if name != "." or not info.isdir():
                yield Member(name, info.size, info.isdir(), fault, partial(_opened, archive, info))


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ArchiveError(f"its member {info.name!r} has no content")
    return file


class Metered(BufferedIOBase):
    """Read a stream that is being decompressed, up to so many bytes, headers and padding of members included.

    Args:
        stream: to be read.
        most: bytes that it may have.
    """

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self.stream, self.left = stream, most

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes.

        Raises:
            ArchiveError: They are more than there may be.
        """
        content = self.stream.read(-1 if size is None else size)
        self.left -= len(content)
        if self.left < 0:
            raise ArchiveError("it unpacks to more bytes than an archive of its size may")
        return content
