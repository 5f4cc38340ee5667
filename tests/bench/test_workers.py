"""What a parent makes of processes that die, hang, are stopped or cannot go on; the processes are small programs."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch

from bench import workers
from bench.errors import CommandError
from bench.execute import Effort, Request
from bench.interrupt import Interrupted
from bench.rows import Row, read_rows
from bench.workers import GaveUpError, Member, Task, end_all, execute_in_processes

RUN = "5" * 64
KEYS = tuple("abcdefgh")
PROGRAM = '''
"""Write a row for each picture, but do to some of them what the file `plan.json` says."""
import json, os, pathlib, signal, sys, time

orders = json.loads(sys.stdin.readline())
here = pathlib.Path(__file__).parent
with (here / "threads").open("a") as file:
    file.write(os.environ["OMP_NUM_THREADS"] + "\\n")
plan = json.loads((here / "plan.json").read_text())

def say(**answer):
    print(json.dumps(answer), flush=True)

def color(batch, done, folder, path):
    say(begin=[key for key in batch if key not in done])
    with (here / "begun").open("a") as file:
        file.write(f"{orders['rank']} {' '.join(batch)}\\n")
    for key in batch:
        deed = plan.get(f"{folder.name}/{key}", plan.get(key))
        if deed == "once":
            if (here / key).exists():
                deed = None
            (here / key).touch()
        if deed in ("crash", "once"):
            os.kill(os.getpid(), signal.SIGSEGV)
        elif deed == "exit":
            os._exit(0)
        elif deed == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        elif deed == "sleep":
            time.sleep(60)
        elif deed == "full":
            say(failed="no space")
            sys.exit(1)
    for key in batch:
        if key in done:
            continue
        row = {"run_id": RUN, "image": key, "status": "ok"}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\\n")
        done.append(key)
        say(rows=1)

for run in orders["runs"]:
    folder = pathlib.Path(run["request"]["folder"])
    if plan.get(folder.name) == "crash":
        os.abort()
    elif plan.get(folder.name) == "load":
        time.sleep(1)
    elif plan.get(folder.name) == "torn":
        print('{"rows"', end="", flush=True)
        os.abort()
    elif plan.get(folder.name) == "garbled":
        print('{"rows"', flush=True)
        time.sleep(60)
    elif plan.get(folder.name) == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (here / f"deaf{orders['rank']}").touch()
        time.sleep(60)
    path = folder / f"rows.rank{orders['rank']}.jsonl"
    done, size = run["done"], run["request"]["batch_size"]
    before = len(done)
    for key in run["singly"]:
        color([key], done, folder, path)
    for start in range(orders["rank"] * size, len(KEYS), orders["world"] * size):
        batch = KEYS[start:start + size]
        if not set(batch) <= set(done):
            color(batch, done, folder, path)
    if plan.get(folder.name) == "few":
        say(begin=["h"])
    say(effort={"pictures": len(done) - before, "seconds": 1.0, "peak_memory_mb": 2.0})
'''

Plan = Callable[[dict[str, str]], object]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return a function that says what the processes do, by picture, by run/picture or by run."""
    program = tmp_path / "program.py"
    program.write_text(f"RUN, KEYS = {RUN!r}, {KEYS!r}\n" + PROGRAM)
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-S", str(program)))
    return lambda deeds: program.with_name("plan.json").write_text(json.dumps(deeds))


def task(folder: Path, done: frozenset[str] = frozenset(), **changes: Any) -> Task:
    folder.mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "run_id": RUN, "title": folder.name, "folder": folder, "method": {}, "weights": None, "data": {},
        "protocol": "stretch256-v1", "boxes": None, "max_boxes": 0, "box_choice": "best", "hints": 0,
        "metrics": ("psnr",), "seed": 0, "batch_size": 2, "precision": "32", "limit": None, "total": len(KEYS),
        "save_images": False,
    }  # fmt: skip
    return Request.model_validate({**fields, **changes}), done


def statuses(folder: Path) -> dict[str, str]:
    return {key: row.status for key, row in read_rows(folder, RUN).items()}


def begun(here: Path) -> list[str]:
    """Return the batches that were coloured, each after the rank that did."""
    return (here / "begun").read_text().splitlines()


def fine(*wrong: str) -> dict[str, str]:
    return {key: "error-crash" if key in wrong else "ok" for key in KEYS}


@pytest.mark.parametrize("processes", [1, 3, 11])
def test_every_picture_is_done_once(processes: int, plan: Plan, tmp_path: Path) -> None:
    plan({})
    tasks = [task(tmp_path / "one"), task(tmp_path / "two", frozenset("ab"))]
    efforts = execute_in_processes(tasks, processes)
    assert statuses(tmp_path / "one") == fine()
    assert list(statuses(tmp_path / "two")) == list("cdefgh")
    assert efforts == [Effort(8, 1.0, 2.0), Effort(6, 1.0, 2.0)]


def test_threads_do_not_hang_on_processes(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN's convolutions differ in their last bits between one thread and two."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    plan({})
    execute_in_processes([task(tmp_path / "one")], 3)
    assert (tmp_path / "threads").read_text().split() == [str(torch.get_num_threads())] * 3


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize(("deed", "reason"), [("crash", "was killed by SIGSEGV"), ("exit", "ended with status 0")])
def test_a_crash_costs_the_picture_that_does_it(
    deed: str, reason: str, batch_size: int, processes: int, plan: Plan, tmp_path: Path
) -> None:
    plan({"c": deed, "f": deed})
    execute_in_processes([task(tmp_path / "one", batch_size=batch_size)], processes)
    assert statuses(tmp_path / "one") == fine("c", "f")
    row: Row = read_rows(tmp_path / "one")["c"]
    assert row.message == f"the method's process {reason}"


def test_a_crash_that_does_not_come_again_costs_nothing(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan({"c": "once"})
    execute_in_processes([task(tmp_path / "one")], 1)
    assert statuses(tmp_path / "one") == fine()
    said = " ".join(capsys.readouterr().err.split())
    assert "one: process 0 was killed by SIGSEGV on c, d; their batch comes once more" in said
    assert begun(tmp_path) == ["0 a b", "0 c d", "0 c d", "0 e f", "0 g h"], "no picture is scored in another batch"


def test_a_batch_that_crashes_again_is_tried_one_by_one(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan({"d": "crash"})
    execute_in_processes([task(tmp_path / "one")], 1)
    assert statuses(tmp_path / "one") == fine("d")
    assert "was killed by SIGSEGV on c, d once more; they come one by one" in " ".join(capsys.readouterr().err.split())
    assert begun(tmp_path) == ["0 a b", "0 c d", "0 c d", "0 c", "0 d", "0 e f", "0 g h"]


def test_a_picture_is_not_blamed_for_what_its_batch_does(plan: Plan, tmp_path: Path) -> None:
    """A run that was stopped after c had become an error row is gone on from: c still brings down its batch."""
    plan({"c": "crash"})
    execute_in_processes([task(tmp_path / "one", frozenset("abc"))], 1)
    assert statuses(tmp_path / "one") == dict.fromkeys("defgh", "ok")
    assert begun(tmp_path) == ["0 c d", "0 c d", "0 d", "0 e f", "0 g h"]


def test_three_pictures_in_a_row_may_crash(plan: Plan, tmp_path: Path) -> None:
    plan(dict.fromkeys("bcd", "crash"))
    (effort,) = execute_in_processes([task(tmp_path / "one")], 1)
    assert isinstance(effort, Effort)
    assert statuses(tmp_path / "one") == fine("b", "c", "d")


def test_a_picture_that_comes_alone_is_blamed_the_second_time(plan: Plan, tmp_path: Path) -> None:
    plan({"c": "crash"})
    execute_in_processes([task(tmp_path / "one", batch_size=1)], 1)
    assert begun(tmp_path) == [f"0 {key}" for key in "abccdefgh"]


def test_a_method_that_always_crashes_is_left_and_the_others_are_run(plan: Plan, tmp_path: Path) -> None:
    plan({f"bad/{key}": "crash" for key in KEYS} | {"unloadable": "crash"})
    tasks = [task(tmp_path / name) for name in ("bad", "unloadable", "good")]
    bad, unloadable, good = execute_in_processes(tasks, 1)
    assert isinstance(bad, GaveUpError)
    assert "was killed by SIGSEGV, 6 times in a row, last on" in str(bad)
    assert isinstance(unloadable, GaveUpError)
    assert "was killed by SIGABRT, 2 times in a row, last with no picture in its hands" in str(unloadable)
    assert isinstance(good, Effort)
    assert statuses(tmp_path / "good") == fine()
    assert set(statuses(tmp_path / "bad").values()) == {"error-crash"}
    assert statuses(tmp_path / "unloadable") == {}


def test_a_batch_may_take_its_time_but_no_longer(plan: Plan, tmp_path: Path) -> None:
    plan({"c": "sleep"})
    execute_in_processes([task(tmp_path / "one")], 1, timeout=0.3)
    assert statuses(tmp_path / "one") == fine("c")
    assert read_rows(tmp_path / "one")["c"].message == "the method's process gave no answer for 0.3 s"


def test_what_is_not_the_method_ends_all(plan: Plan, tmp_path: Path) -> None:
    plan({"a": "full", "c": "sleep"})
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"no space \(process 0\); .* run the same command again"):
        execute_in_processes([task(tmp_path / "one")], 2)
    assert time.monotonic() - began < 10
    assert statuses(tmp_path / "one") == {}


def test_a_stopped_process_stops_all_and_blames_no_picture(plan: Plan, tmp_path: Path) -> None:
    plan({"c": "stop", "b": "sleep"})
    with pytest.raises(Interrupted, match="SIGTERM"):
        execute_in_processes([task(tmp_path / "one", batch_size=1)], 2)
    assert statuses(tmp_path / "one") == {"a": "ok"}


def test_what_comes_after_a_run_is_not_laid_to_its_pictures(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that said too little is neither late nor suspicious while it loads the next run's weights."""
    plan({"one": "few", "two": "load", "three": "crash"})
    names = ("one", "two", "three")
    one, two, three = execute_in_processes([task(tmp_path / name) for name in names], 1, timeout=0.5)
    assert isinstance(one, Effort)
    assert isinstance(two, Effort)
    assert str(three).startswith("three: left unfinished: process 0 was killed by SIGABRT, 2 times in a row")
    assert "no answer" not in capsys.readouterr().err


@pytest.mark.parametrize("deed", ["torn", "garbled"])
def test_an_answer_that_breaks_off_ends_a_process(deed: str, plan: Plan, tmp_path: Path) -> None:
    plan({"bad": deed})
    bad, good = execute_in_processes([task(tmp_path / name) for name in ("bad", "good")], 1)
    assert isinstance(bad, GaveUpError)
    assert isinstance(good, Effort)


def test_processes_that_do_not_listen_are_ended_together(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    plan({"one": "deaf"})
    team = [Member(rank, 4, [task(tmp_path / "one")], None, Queue()) for rank in range(4)]
    for member in team:
        member.start()
    until = time.monotonic() + 30
    while len(list(tmp_path.glob("deaf*"))) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic()
    end_all(team)
    assert 0.5 <= time.monotonic() - began < 1.5
    assert all(member.process is None for member in team)


LOUD = """
import os, sys, types
from dataclasses import dataclass
from bench import worker


@dataclass
class Effort:
    pictures: int


def do_work(request, portion):
    portion.begin([request["key"]])
    print('{"rows": 100}', "x" * 100_000)
    os.write(1, b'{"failed": "no"}\\n')
    portion.advance(1)
    return Effort(1)


sys.modules["bench.work"] = types.SimpleNamespace(read_work=dict, do_work=do_work)
worker.main()
"""


def test_what_a_method_prints_is_no_answer(tmp_path: Path) -> None:
    """Neither in Python nor below it: answers go where standard output led before the method was loaded."""
    orders = {"rank": 0, "world": 1, "runs": [{"request": {"key": "a"}, "done": [], "singly": []}]}
    code, root, errors = [sys.executable, "-c", LOUD], Path(workers.__file__).parent.parent, tmp_path / "errors"
    pipe = subprocess.PIPE
    with (
        errors.open("w") as file,
        subprocess.Popen(code, stdin=pipe, stdout=pipe, stderr=file, cwd=root, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(orders), file=process.stdin, flush=True)
        answers = [json.loads(line) for line in process.stdout]
    assert answers == [{"begin": ["a"]}, {"rows": 1}, {"effort": {"pictures": 1}}]
    assert '{"rows": 100} xxx' in errors.read_text()
    assert '{"failed": "no"}' in errors.read_text()
