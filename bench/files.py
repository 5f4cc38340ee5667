"""Write files so that a reader meets the old content or the new one, never half of either."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bench.errors import CommandError


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

    Raises:
        ValueError: The key is empty or absolute, climbs out of the folder, or follows a link out of it.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\0" in key:
        raise ValueError(f"the name {key!r} does not stay below its folder: give a relative path without '..'")
    path = folder.joinpath(*parts[:-1], parts[-1] + suffix)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the name {key!r} leads out of its folder by a link")
    return path
