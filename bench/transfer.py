"""Fetch one file over https, so that a download that broke goes on where it broke. Knows no torch."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import requests

from bench.progress import progress

TIMEOUT_SECONDS = 10.0
CHUNK = 1 << 16
"""Bytes that are written at once; as many are lost at most where a connection breaks."""
MEGABYTE = 1_000_000
MOST_TRIES = 100
"""Times that one call goes on with a file whose connection broke after it had brought something."""

BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class TransferError(OSError):
    """Say why a file cannot be had from an address."""


def https_session() -> requests.Session:
    """Return what reaches addresses by https and by nothing else, also where one leads to another."""
    session = requests.Session()
    del session.adapters["http://"]
    return session


@dataclass(slots=True)
class ResumingDownloader:
    """Fetch a file in pooch's stead: what a broken download has brought is kept, and the next one asks for the rest.

    Whether old and new bytes belong together is not asked here: pooch compares the digest of the whole.

    Attributes:
        part: file that keeps what has come so far.
        size: bytes that the file must have; None where that is not known.
        open_session: gives the connections; a server of a test is reached by another than the usual one.
    """

    part: Path
    size: int | None = None
    open_session: Callable[[], requests.Session] = https_session

    def __call__(self, url: str, output_file: str, pooch: object = None, check_only: bool = False) -> None:
        """Fetch the file at `url` and move it to `output_file`.

        Raises:
            TransferError: The server does not have it, or it has another size; or the address is not https.
            requests.RequestException: The connection broke, and the last try brought nothing.
        """
        with self.open_session() as session:
            for _ in range(MOST_TRIES):
                before = self._have()
                try:
                    self._receive(session, url)
                except requests.exceptions.InvalidSchema as error:
                    raise TransferError("it is not https, or leads to an address that is not") from error
                except BROKEN:
                    if self._have() <= before:
                        raise
                else:
                    self.part.replace(output_file)
                    return
        raise TransferError(f"the connection broke {MOST_TRIES} times")

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _receive(self, session: requests.Session, url: str) -> None:
        """Receive what is lacking; all of it from a server that gives no parts."""
        have = self._have()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            beyond = answer.status_code == requests.codes.requested_range_not_satisfiable
            part = answer.status_code == requests.codes.partial_content
            if have and ((beyond and _total(answer) != have) or (part and _start(answer) != have)):
                self.part.unlink()  # it is no part of this file, or the server gives others than it is asked for
                self._receive(session, url)
            elif have and beyond:
                return
            elif not answer.ok:
                raise TransferError(f"the server answers {answer.status_code} {answer.reason}")
            else:
                self._write(answer, have if part else 0, "ab" if part else "wb")

    def _write(self, answer: requests.Response, have: int, mode: Literal["ab", "wb"]) -> None:
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() and "Content-Encoding" not in answer.headers else None
        if total is not None:
            self._check(total, total - have)
        with self.part.open(mode) as file, progress(self._title(), (total or have) // MEGABYTE) as advance:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                if self.size is not None and file.tell() > self.size:
                    self._refuse(file.tell())
                advance(max(0, file.tell() // MEGABYTE - advance.done))
        if total is not None and self._have() < total:
            raise requests.ConnectionError("the connection was closed before all had come")

    def _check(self, total: int, lacking: int) -> None:
        """Refuse a file that is not the wanted one by its size, or that the disk has no room for.

        Raises:
            TransferError: It is another, or too large.
        """
        if self.size is not None and total != self.size:
            self._refuse(total)
        free = shutil.disk_usage(self.part.parent).free
        if lacking > free:
            raise TransferError(f"{lacking} bytes of it are lacking, but there is room for {free}")

    def _refuse(self, size: int) -> None:
        self.part.unlink(missing_ok=True)
        raise TransferError(f"it has {size} bytes, not {self.size}")

    def _title(self) -> str:
        return f"fetching {self.part.name.strip('.').removesuffix('.part')} (MB)"


def _start(answer: requests.Response) -> int | None:
    """Return the first byte of the part that a server gives."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _total(answer: requests.Response) -> int | None:
    """Return the size of the whole, as a server gives it that has no such part."""
    found = re.match(r"bytes \*/(\d+)$", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None
