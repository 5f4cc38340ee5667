"""Runs that are killed at any moment, at any number of processes, end with the files of an unbroken one.

The default tier kills forked children, which have torch already. There the processes of a run work one after another in
one child: rows and files are the same as of real ones, which the slow tier kills.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench import runner, workers
from bench.execute import Effort
from bench.files import remove_torn
from bench.leaderboard import format_boards, rank_runs, read_runs, write_leaderboards
from bench.plan import Places
from bench.portion import Portion
from bench.prepare import Options
from bench.provenance import sources_digest
from bench.record import RunRecord
from bench.rows import RowStore, await_writers, read_rows
from bench.runner import run
from bench.suite import Suite
from bench.work import do_work
from bench.workers import Task
from datamodules.types import GrayBatch
from lightning_modules.baselines.gray import GrayColorizer

Fork = Callable[[Callable[[], object]], int]
CLOCK = ("started_utc", "seconds", "images_per_second", "peak_memory_mb", "processes")
SUITE: dict[str, Any] = {
    "name": "test-v1",
    "methods": ["gray", "random"],
    "datasets": [{"id": "coco", "root": "photos", "annotations": "instances.json"}],
    "metrics": ["psnr", "ssim"],
    "batch_size": 2,
}
PHOTOS = 5


def save_photos(folder: Path) -> None:
    """Save photos of which every other one has instances: of two processes the second sees none."""
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    images, annotations = [], []
    for number in range(PHOTOS):
        pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 60, "height": 40})
        for box in range(0 if number % 2 else 1 + number):
            one = {"id": 10 * number + box, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**one, "bbox": [2 + 5 * box, 4, 20, 30], "area": 600})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "instances.json").write_text(json.dumps(content))


def work_in_turn(tasks: Sequence[Task], processes: int, timeout: float | None) -> list[Effort]:
    """Do what the processes of a run do, one after the other."""
    efforts = []
    for request, done in tasks:
        for rank in range(processes):
            do_work(request, Portion(rank, processes, done))
        efforts.append(Effort(0, 1.0, 1.0))
    return efforts


def answer_to_the_batch(_: GrayColorizer, gray: GrayBatch) -> torch.Tensor:
    """Stand in for a network whose answer hangs, as their last bits do, on all pictures of a batch."""
    return torch.full_like(gray.light.expand(-1, 2, -1, -1), float(gray.light.mean()) / 3)


def run_here(out: Path, devices: int = 1, **changes: Any) -> int:
    """Run the suite in this process, with one thread, since a forked process has no others."""
    suite = Suite.model_validate(SUITE | changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(runner, "execute_in_processes", work_in_turn)
        patch.setattr(GrayColorizer, "colorize", answer_to_the_batch)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return run(suite, Options(out, Places(out.parent), devices=devices, download=False))
        finally:
            torch.set_num_threads(threads)


def contents(out: Path) -> dict[str, Any]:
    """Return all tables, and of the records what does not hang on the clock or on the number of processes."""
    paths = [*out.rglob("images.csv"), *out.rglob("instances.csv")]
    found: dict[str, Any] = {str(path.relative_to(out)): path.read_bytes() for path in paths}
    for path in out.rglob("record.json"):
        record = json.loads(path.read_text())
        found[str(path.relative_to(out))] = {key: value for key, value in record.items() if key not in CLOCK}
    alike = {"images_per_second": 1.0, "processes": 1}
    boards = rank_runs([(folder, record.model_copy(update=alike)) for folder, record in read_runs([out])])
    return found | {form: format_boards(boards, form) for form in ("md", "csv", "html")}


def keys_written(out: Path) -> list[list[str]]:
    """Return the pictures in the rows of each run, as often as they stand there."""
    return [
        sorted(json.loads(line)["image"] for path in folder.glob("rows.*") for line in path.read_text().splitlines())
        for folder in sorted(out.glob("runs/*/*"))
    ]


@dataclass(frozen=True)
class Unbroken:
    """Hold the files of a run that was never stopped, and the seconds that it took."""

    out: Path
    seconds: float


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output folder with photos beside it."""
    save_photos(tmp_path)
    return tmp_path / "out"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """Return a run that was never stopped."""
    sources_digest()  # which forked processes then have: that nobody edits the code between two of them
    folder = tmp_path_factory.mktemp("unbroken")
    save_photos(folder)
    run_here(folder / "first")
    began = time.monotonic()
    run_here(folder / "out")
    assert len(contents(folder / "out")) == 9
    return Unbroken(folder / "out", time.monotonic() - began)


def kill_and_go_on(fork: Fork, out: Path, seconds: float, kills: int, draw: random.Random) -> None:
    """Kill a run several times, each time at another number of processes, and let it finish."""
    for _ in range(kills):
        devices = draw.choice((1, 2, 3))
        child = fork(partial(run_here, out, devices))
        time.sleep(draw.uniform(0.1, 1.0) * seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    run_here(out, draw.choice((1, 2, 3)))


def check_whole(out: Path, unbroken: Path) -> None:
    """Check that nothing is lost, doubled, changed or left over."""
    assert contents(out) == contents(unbroken)
    assert keys_written(out) == keys_written(unbroken)
    assert not list(out.rglob("*.tmp"))


def test_a_run_that_is_killed_three_times(unbroken: Unbroken, out: Path, fork: Fork) -> None:
    kill_and_go_on(fork, out, unbroken.seconds, 3, random.Random(0))
    check_whole(out, unbroken.out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_is_killed_at_random(seed: int, unbroken: Unbroken, out: Path, fork: Fork) -> None:
    kill_and_go_on(fork, out, unbroken.seconds, 3, random.Random(seed))
    check_whole(out, unbroken.out)


@pytest.mark.parametrize("devices", [2, 7])
def test_any_number_of_processes(devices: int, unbroken: Unbroken, out: Path) -> None:
    """Of two processes the second sees no instance; of seven for five pictures two see nothing at all.

    Nor does the order count in which methods are named.
    """
    run_here(out, devices, methods=["random", "gray"])
    check_whole(out, unbroken.out)
    rows = sorted(path.name for path in (out / "runs/coco/gray--none--s0").glob("rows.*"))
    assert rows == [f"rows.rank{rank}.jsonl" for rank in range(devices)]


def test_a_picture_is_announced_where_the_method_is_to_answer_for_it(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that has its row, which is coloured again for the others of its batch, nor one that is unreadable."""
    (out.parent / "photos" / "2.png").write_bytes(b"no picture")
    announced: list[Sequence[str]] = []
    heard = partial(replace, done=frozenset("0"), begin=announced.append)
    monkeypatch.setattr(runner, "do_work", lambda work, portion: do_work(work, heard(portion)))
    run_here(out, methods=["gray"])
    assert announced == [("1",), ("3",), ("4",)]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_a_leaderboard_is_written(
    moment: str, tmp_path: Path, finish_run: Callable[..., RunRecord], fork: Fork
) -> None:
    """The old file stands until the new one is complete; what is left over can be told from what is at work."""
    finish_run(tmp_path, {"a": {"psnr": 20.0}}, metrics=("psnr",))
    write_leaderboards(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("leaderboard.*")}
    finish_run(tmp_path, {"a": {"psnr": 21.0}}, method="other", metrics=("psnr",))
    _, status = os.waitpid(fork(lambda: die_while_writing(tmp_path, moment)), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert {path: path.read_bytes() for path in tmp_path.glob("leaderboard.*")} == before
    assert len(list(tmp_path.glob(".leaderboard.*.tmp"))) == 1
    at_work = tmp_path / f".leaderboard.md.{os.getpid()}.tmp"
    at_work.touch()
    remove_torn(tmp_path)
    assert list(tmp_path.glob(".*.tmp")) == [at_work]
    write_leaderboards(tmp_path)
    assert all(path.read_bytes() != content for path, content in before.items())


def die_while_writing(out: Path, moment: str) -> None:
    """Write leaderboards, and end by SIGKILL when the first is to reach the disk, or to be given its name."""
    place: Any = os if moment == "fsync" else Path
    setattr(place, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    write_leaderboards(out)


def test_a_disk_that_fills_up_loses_no_finished_row(
    unbroken: Unbroken, out: Path, fork: Fork, capfd: pytest.CaptureFixture[str]
) -> None:
    _, status = os.waitpid(fork(lambda: run_on_a_full_disk(out)), 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert "bytes could not be written" in capfd.readouterr().err
    (folder,) = out.glob("runs/*/gray*")
    assert len(read_rows(folder)) == 2
    assert not list(out.glob("leaderboard.*"))
    (out / ".leaderboard.md.999999999.tmp").touch()
    run_here(out)
    check_whole(out, unbroken.out)


def run_on_a_full_disk(out: Path) -> None:
    """Run the suite where no file of rows takes more than the third row."""
    append, count = RowStore.append, iter(range(2))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(store: RowStore, row: Any) -> None:
        if next(count, None) is None:
            size = store.path.stat().st_size + 10
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
        append(store, row)

    RowStore.append = fill  # type: ignore[assignment, method-assign]
    try:
        run_here(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # which stands for standard error, too


def rows_in(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("runs/*/*/rows.*"))


def kill_the_command(command: list[str], out: Path, rows: int) -> None:
    """Start a run and end its first process, and no other, as soon as it has left some rows."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 300
        while rows_in(out) < rows and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL


COMMAND = """
import sys
from bench import cli, worker, workers
from lightning_modules.baselines.gray import GrayColorizer
from test_kills import answer_to_the_batch

GrayColorizer.colorize = answer_to_the_batch
workers.COMMAND = (sys.executable, __file__)
cli.main() if sys.argv[1:] else worker.main()
"""


@pytest.mark.slow
def test_real_processes_end_with_their_parent_and_are_gone_on_from(
    unbroken: Unbroken, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    program = out.parent / "command.py"
    program.write_text(COMMAND)
    suite = out.parent / "suite.yaml"
    suite.write_text(yaml.safe_dump(SUITE))
    start = [sys.executable, str(program), "run", str(suite), "--out", str(out), "--devices"]
    for rows, devices in ((1, "2"), (4, "3"), (7, "2")):
        kill_the_command([*start, devices], out, rows)
        for folder in out.glob("runs/*/*"):
            await_writers(folder)
        left = rows_in(out)
        time.sleep(0.5)
        assert rows_in(out) == left, "nobody writes any longer"
    for devices in ("1", "3"):
        subprocess.run([*start, devices], check=True, capture_output=True)
    check_whole(out, unbroken.out)


FATAL = """
import ctypes, os, sys, time
from bench.worker import main
from lightning_modules.baselines.gray import GrayColorizer

colorize = GrayColorizer.colorize

def die(self, gray):
    if "1" in gray.key:
        ctypes.string_at(0)
    if "2" in gray.key:
        os._exit(0)
    if "3" in gray.key:
        time.sleep(600)
    if "4" in gray.key:
        sys.exit(0)
    return colorize(self, gray)

GrayColorizer.colorize = die
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_method_that_brings_real_processes_down(devices: int, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = out.parent / "fatal.py"
    program.write_text(FATAL)
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, str(program)))
    options = Options(out, Places(out.parent), devices=devices, isolate=True, timeout=20, download=False)
    assert run(Suite.model_validate(SUITE), options) == 4
    rows = read_rows(out / "runs/coco/gray--none--s0")
    assert {key: row.message for key, row in rows.items()} == {
        "0": "",
        "1": "the method's process was killed by SIGSEGV",
        "2": "the method's process ended with status 0",
        "3": "the method's process gave no answer for 20 s",
        "4": "SystemExit: 0",
    }
    assert [row.status for row in rows.values()] == ["ok", *["error-crash"] * 4]
    assert all(row.status == "ok" for row in read_rows(out / "runs/coco/random--none--s0").values())


KILLED = """
import os, signal
from pathlib import Path
from bench.worker import main
from lightning_modules.baselines.gray import GrayColorizer
from test_kills import answer_to_the_batch

def answer(self, gray):
    mark = Path(__file__).with_name("killed")
    if "3" in gray.key and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer_to_the_batch(self, gray)

GrayColorizer.colorize = answer
main()
"""


@pytest.mark.slow
def test_a_real_process_that_is_killed_once_changes_no_byte(
    unbroken: Unbroken, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = out.parent / "killed.py"
    program.write_text(KILLED)
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, str(program)))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    assert run(Suite.model_validate(SUITE), Options(out, Places(out.parent), isolate=True, download=False)) == 0
    assert (out.parent / "killed").exists()
    check_whole(out, unbroken.out)
