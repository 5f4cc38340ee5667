import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import CommandError
from bench.locks import Lock
from bench.rows import RowStore, await_writers

Fork = Callable[[Callable[[], object]], int]


def hold(path: Path, seconds: float = 60.0) -> None:
    with Lock(path, "rows"):
        path.with_suffix(".held").touch()
        time.sleep(seconds)


def hold_store(folder: Path) -> None:
    with RowStore(folder, "5" * 64, rank=1):
        (folder / "held").touch()
        time.sleep(60)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_lock_names_the_process_that_holds_it(tmp_path: Path, fork: Fork) -> None:
    path = tmp_path / "runs" / "a.lock"
    child = fork(lambda: hold(path))
    wait_for(path.with_suffix(".held"))
    with pytest.raises(CommandError, match=rf"^process {child} writes the rows; wait until it has ended"):
        Lock(path, "the rows")


def test_a_lock_of_this_process_is_named_too(tmp_path: Path) -> None:
    with Lock(tmp_path / ".lock", "rows"), pytest.raises(CommandError, match="this very process writes rows"):
        Lock(tmp_path / ".lock", "rows")
    Lock(tmp_path / ".lock", "rows").release()


def test_a_lock_is_waited_for(tmp_path: Path, fork: Fork, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.lock"
    child = fork(lambda: hold(path, 0.2))
    wait_for(path.with_suffix(".held"))
    with Lock(path, "rows", patience=20):
        assert f"waiting for process {child}, which still writes rows" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no number", b"\xff\xfe", b"999999999\n"])
def test_a_lock_that_a_dead_process_left_is_taken_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(content)
    with Lock(tmp_path / ".lock", "rows"):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_killed_holder_holds_no_longer(tmp_path: Path, fork: Fork) -> None:
    child = fork(lambda: hold(tmp_path / "a.lock"))
    wait_for(tmp_path / "a.held")
    os.kill(child, signal.SIGKILL)
    Lock(tmp_path / "a.lock", "rows", patience=20).release()


def test_rows_have_one_writer(tmp_path: Path, fork: Fork) -> None:
    child = fork(lambda: hold_store(tmp_path))
    wait_for(tmp_path / "held")
    with pytest.raises(CommandError, match=rf"process {child} writes .*/rows\.rank1\.jsonl"):
        RowStore(tmp_path, "5" * 64, rank=1, patience=0)
    with pytest.raises(CommandError, match=rf"process {child} writes .*/rows\.rank1\.jsonl"):
        await_writers(tmp_path, patience=0)
    RowStore(tmp_path, "5" * 64, rank=0, patience=0).close()
    os.kill(child, signal.SIGKILL)
    await_writers(tmp_path, patience=20)
    RowStore(tmp_path, "5" * 64, rank=1, patience=0).close()
