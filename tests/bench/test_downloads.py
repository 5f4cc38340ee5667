"""Downloads from a server of the test's own: broken, resumed, wrong, and never by http elsewhere."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests

from bench import transfer
from bench.downloads import DownloadError, KnownFile, download_file
from bench.progress import Advance, progress
from bench.transfer import ResumingDownloader, TransferError

CONTENT = np.random.default_rng(0).bytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Shelf:
    """What the server of a test gives, and what it was asked for.

    Attributes:
        content: of its one file.
        break_after: bytes of each answer after which the connection is closed; None never closes it early.
        ranges: whether it gives parts.
        shift: by which a part begins elsewhere than it was asked for.
        redirect: address that it sends everybody to.
        status: that it answers with, if it is no file.
        asked: `Range` of each request.
    """

    content: bytes = CONTENT
    break_after: int | None = None
    ranges: bool = True
    shift: int = 0
    redirect: str | None = None
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def file(self, **changes: object) -> KnownFile:
        published = {"name": "net.pth", "use": "tests", "license": "none", "sha256": SHA256, "url": self.url}
        return KnownFile.model_validate(published | changes)


class Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def do_GET(self) -> None:
        shelf, wanted = self.shelf, self.headers.get("Range")
        shelf.asked.append(wanted)
        if shelf.redirect is not None or shelf.status != 200:
            self.answer(shelf.status if shelf.redirect is None else 302, {"Location": shelf.redirect or ""}, b"")
        elif wanted is None or not shelf.ranges:
            self.answer(200, {}, shelf.content)
        else:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) + shelf.shift
            total = len(shelf.content)
            if start >= total:
                self.answer(416, {"Content-Range": f"bytes */{total}"}, b"")
            else:
                place = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
                self.answer(206, place, shelf.content[start:])

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.shelf.break_after])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """Run a server on this machine, and let downloads reach it without https."""
    own = Shelf()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"shelf": own}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    own.url = f"http://127.0.0.1:{server.server_port}/net.pth"
    monkeypatch.delenv("COLORBENCH_OFFLINE", raising=False)
    monkeypatch.setattr(ResumingDownloader.__init__, "__defaults__", (None, requests.Session))
    yield own
    server.shutdown()
    thread.join()
    server.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole(shelf: Shelf, tmp_path: Path) -> None:
    path = download_file(shelf.file(size=len(CONTENT)), tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["net.pth"]
    assert shelf.asked == [None]


def test_a_broken_connection_goes_on_where_it_broke(shelf: Shelf, tmp_path: Path) -> None:
    shelf.break_after = 70_000
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == [None, "bytes=65536-", "bytes=131072-"]
    assert names(tmp_path) == ["net.pth"]


def test_a_connection_that_breaks_for_ever_is_given_up(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MOST_TRIES", 2)
    shelf.break_after = 70_000
    with pytest.raises(DownloadError, match=r"the connection broke 2 times; 131072 bytes of it are kept"):
        download_file(shelf.file(), tmp_path)
    assert names(tmp_path) == [".net.pth.part"]


def test_what_had_come_is_kept_for_the_next_try(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / ".net.pth.part").write_bytes(CONTENT[:150_000])
    shelf.break_after = 0
    with pytest.raises(DownloadError, match=r"cannot be had: .*; 150000 bytes of it are kept for the next try"):
        download_file(shelf.file(), tmp_path)
    assert names(tmp_path) == [".net.pth.part"]
    shelf.break_after = None
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == ["bytes=150000-"] * 2


def test_a_server_that_gives_no_parts_starts_anew(shelf: Shelf, tmp_path: Path) -> None:
    shelf.ranges = False
    (tmp_path / ".net.pth.part").write_bytes(b"of another file" * 1000)
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == ["bytes=15000-"]


@pytest.mark.parametrize("kept", [b"of another file", CONTENT + b"and more", bytes(len(CONTENT))])
def test_a_kept_part_of_another_file_is_thrown_away(shelf: Shelf, tmp_path: Path, kept: bytes) -> None:
    (tmp_path / ".net.pth.part").write_bytes(kept)
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == [f"bytes={len(kept)}-", None]
    assert names(tmp_path) == ["net.pth"]


def test_a_part_that_is_the_whole_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / ".net.pth.part").write_bytes(CONTENT)
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == [f"bytes={len(CONTENT)}-"]


def test_another_part_than_was_asked_for_is_not_joined(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / ".net.pth.part").write_bytes(CONTENT[:1000])
    shelf.shift = 7
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert shelf.asked == ["bytes=1000-", None]


def test_a_server_that_gives_nothing_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    shelf.break_after = 0
    with pytest.raises(DownloadError, match=r"cannot be had: \w+Error$"):
        download_file(shelf.file(), tmp_path)
    assert names(tmp_path) == []
    assert len(shelf.asked) == 1


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_other_bytes_are_removed_and_named(shelf: Shelf, tmp_path: Path, size: int | None) -> None:
    shelf.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match=r"net\.pth.*hash"):
        download_file(shelf.file(size=size), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [100, 10**9])
def test_another_size_is_refused_before_it_comes(shelf: Shelf, tmp_path: Path, size: int) -> None:
    with pytest.raises(DownloadError, match=f"it has 200000 bytes, not {size}"):
        download_file(shelf.file(size=size), tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_told_before_anything_comes(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.transfer.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DownloadError, match="200000 bytes of it are lacking, but there is room for 1000"):
        download_file(shelf.file(), tmp_path)


def test_mirrors_are_tried_in_turn(shelf: Shelf, tmp_path: Path) -> None:
    good, shelf.url = shelf.url, shelf.url.replace("net.pth", "gone")
    file = shelf.file(url="http://127.0.0.1:1/net.pth", mirrors=(good,))
    assert download_file(file, tmp_path).read_bytes() == CONTENT
    shelf.status = 404
    with pytest.raises(
        DownloadError, match=r"127\.0\.0\.1:1/net\.pth cannot be had: .*the server answers 404 Not Found"
    ):
        download_file(file, tmp_path / "again")


def test_a_file_that_is_there_is_compared_again(shelf: Shelf, tmp_path: Path) -> None:
    path = download_file(shelf.file(), tmp_path)
    assert download_file(shelf.file(), tmp_path) == path
    assert len(shelf.asked) == 1
    path.write_bytes(b"rotten")
    assert download_file(shelf.file(), tmp_path).read_bytes() == CONTENT
    assert len(shelf.asked) == 2


def test_two_that_fetch_at_once_get_one_file(shelf: Shelf, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(download_file(shelf.file(), tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in found] == [True] * 3
    assert names(tmp_path) == ["net.pth"]
    assert len(shelf.asked) == 1


def test_plain_http_is_never_used(shelf: Shelf, tmp_path: Path) -> None:
    strict = ResumingDownloader(tmp_path / "part", None, transfer.https_session)
    with pytest.raises(TransferError, match="not https"):
        strict(shelf.url, str(tmp_path / "out"))
    assert shelf.asked == []


def test_a_redirect_to_http_is_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    other, asked = shelf.url.replace("net.pth", "other"), list[str]()

    class Redirected(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
            asked.append(str(request.url))
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 302, str(request.url), request
            answer.headers["Location"], answer.raw = other, None
            answer._content = b""
            return answer

        def close(self) -> None:
            """Nothing is open."""

    def session() -> requests.Session:
        strict = transfer.https_session()
        strict.mount("https://", Redirected())
        return strict

    with pytest.raises(TransferError, match="leads to an address that is not"):
        ResumingDownloader(tmp_path / "part", None, session)("https://weights.test/net.pth", str(tmp_path / "out"))
    assert asked == ["https://weights.test/net.pth"]
    assert shelf.asked == []


def test_offline_nothing_is_tried(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORBENCH_OFFLINE", "1")
    with pytest.raises(DownloadError, match="COLORBENCH_OFFLINE"):
        download_file(shelf.file(), tmp_path)
    assert shelf.asked == []


def test_progress_is_told_in_megabytes(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def spy(title: str, total: int) -> AbstractContextManager[Advance]:
        seen.append((title, total))
        return progress(title, total)

    monkeypatch.setattr(transfer, "progress", spy)
    monkeypatch.setattr(transfer, "MEGABYTE", 1000)
    download_file(shelf.file(), tmp_path)
    assert seen == [("fetching net.pth (MB)", 200)]
