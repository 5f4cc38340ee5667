"""Write files so that a reader meets the old content or the new one, never half of either."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bench.errors import CommandError

LONGEST_NAME = 255
"""Bytes of a file's name that Linux, macOS and Windows take."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses while `path` is written into an error that the command line prints.

    Raises:
        CommandError: It cannot be written; the message has the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error


def atomic_write(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`, text in UTF-8, line ends untouched; makes its folder.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the name in one step.

    Raises:
        CommandError: The content cannot be written; the old file is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def append_whole(descriptor: int, data: bytes) -> None:
    """Append `data` in one write to a file that was opened for appending.

    Raises:
        OSError: The system does not take all of it, as on a full disk; no part of it stays in the file.
    """
    before = os.fstat(descriptor).st_size
    if os.write(descriptor, data) < len(data):
        os.ftruncate(descriptor, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_folder(folder: Path) -> None:
    """Let the names in `folder` reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def path_below(folder: Path, key: str, suffix: str = "") -> Path:
    """Return the file that `key`, a path with `/` between folders, has below `folder`.

    Convention:
        Where a name with its suffix is longer than file systems take, its beginning and a digest of it stand for it.

    Raises:
        ValueError: The key is empty or absolute, climbs out of the folder, or follows a link out of it.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\0" in key:
        raise ValueError(f"the name {key!r} does not stay below its folder: give a relative path without '..'")
    path = folder.joinpath(*map(fitting_name, parts[:-1]), fitting_name(parts[-1], suffix))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the name {key!r} leads out of its folder by a link")
    return path


def fitting_name(name: str, suffix: str = "") -> str:
    """Return a file's name with a suffix, cut to `LONGEST_NAME` bytes and then with a digest to tell it from others.

    >>> fitting_name("photo", ".png"), len(fitting_name(255 * "x", ".png"))
    ('photo.png', 255)
    """
    content = name.encode()
    if len(content) + len(suffix) <= LONGEST_NAME:
        return name + suffix
    end = f"~{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    return content[: LONGEST_NAME - len(end)].decode(errors="ignore") + end


def remove_torn(folder: Path) -> None:
    """Remove the temporary files that processes which were killed while they wrote have left below a folder."""
    for path in folder.rglob(".*.tmp"):
        process = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
        if process.isdecimal() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
