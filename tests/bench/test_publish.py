"""Only what holds, is whole and has a known commit is published, and what is published is never replaced."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import publish as module
from bench.errors import CommandError, MissingError, UsageError
from bench.leaderboard import render
from bench.plan import Places
from bench.prepare import Options
from bench.publish import differences, publish, results_folder
from bench.record import RunRecord
from bench.runner import run
from bench.suite import Suite

DATA = {"id": "synthetic", "count": 3, "size": 64}
SUITE = Suite.model_validate({"name": "test-v1", "methods": ["gray"], "datasets": [DATA], "metrics": ["psnr"]})
GRAY = "runs/synthetic/gray--none--s0"
PLACE = "records/synthetic/stretch256-v1/gray--none--s0--cpu.json"
COMMIT = "a" * 40


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of a real run, as a clean checkout makes it on a processor."""
    out = tmp_path_factory.mktemp("finished")
    assert run(SUITE, Options(out, Places(out), download=False)) == 0
    edit(out / GRAY / "record.json", git_commit=COMMIT, git_dirty=False, device="cpu")
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def files(results: Path) -> dict[str, bytes]:
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_a_record_that_holds_is_copied_and_ranked(out: Path, results: Path) -> None:
    published = publish(out, results)
    board = "leaderboard/synthetic--stretch256-v1"
    assert (published.added, published.there, published.refused) == ((PLACE,), (), {})
    assert set(files(results)) == {PLACE, f"{board}.md", f"{board}.csv"}
    assert json.loads((results / PLACE).read_bytes()) == json.loads((out / GRAY / "record.json").read_bytes())
    assert (results / f"{board}.md").read_text(encoding="utf-8") == render([out], "md")
    untied = re.sub(r",image,1,1,|,instance,1,1,", lambda place: f"{place[0][:-2]},", render([out], "csv"))
    assert (results / f"{board}.csv").read_text(encoding="utf-8") == untied, "single scores are not published"


def test_twice_is_once(out: Path, results: Path) -> None:
    publish(out, results)
    before = files(results)
    again = publish(out, results)
    assert (again.added, again.there, again.refused) == ((), (PLACE,), {})
    assert files(results) == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"partial": True}, "--limit"),
        ({"untrained": True}, "untrained"),
        ({"git_commit": None, "git_dirty": None}, "installed package"),
        ({"git_dirty": True}, f"differs from commit {COMMIT[:12]}"),
        ({"seed": 1}, "does not hold"),
    ],
)
def test_what_may_not_be_published_is_named_with_its_reason(
    colorbench: Callable[..., tuple[int, str, str]], out: Path, results: Path, change: dict[str, Any], told: str
) -> None:
    edit(out / GRAY / "record.json", **change)
    status, printed, err = colorbench("publish", out, "--results", results)
    assert (status, printed) == (1, "")
    assert f"refused: {GRAY}: " in err
    assert told in err
    assert files(results) == {}


def test_a_run_whose_tables_are_not_those_of_its_rows_is_refused(out: Path, results: Path) -> None:
    table = out / GRAY / "images.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("ok", "gray-truth", 1), encoding="utf-8")
    published = publish(out, results)
    assert published.added == ()
    assert "images.csv" in published.refused[GRAY][0]


def test_a_record_that_cannot_be_read_is_refused(out: Path, results: Path) -> None:
    (out / GRAY / "record.json").write_text("{", encoding="utf-8")
    assert "record.json" in publish(out, results).refused[GRAY][0]


def test_another_record_of_the_same_name_is_never_replaced(
    colorbench: Callable[..., tuple[int, str, str]], out: Path, results: Path
) -> None:
    publish(out, results)
    before = files(results)
    edit(out / GRAY / "record.json", seconds=4321.0, git_commit="b" * 40)
    status, _, err = colorbench("publish", out, "--results", results)
    assert status == 1
    assert all(told in err for told in (PLACE, f"'{COMMIT}'", f"'{'b' * 40}'", "seconds"))
    assert files(results) == before


def test_a_run_that_is_refused_holds_up_no_other(
    finish_run: Callable[..., RunRecord], tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("gray", "ours", "half"):
        finish_run(tmp_path / "out", {"a": {"psnr": 20.0 + len(method)}}, method=method, partial=method == "half")
        edit(tmp_path / f"out/runs/samples/{method}--none--s0/record.json", git_commit=COMMIT, git_dirty=False)
    monkeypatch.setattr(module, "verify", lambda out: (3, []))
    published = publish(tmp_path / "out", results)
    assert [place.rpartition("/")[2] for place in published.added] == [
        "gray--none--s0--cpu.json",
        "ours--none--s0--cpu.json",
    ]
    assert [*published.refused] == ["runs/samples/half--none--s0"]
    lines = csv.DictReader((results / "leaderboard/samples--stretch256-v1.csv").read_text("utf-8").splitlines())
    assert [(line["rank"], line["method"], line["level"]) for line in lines] == [
        ("1", "gray", "image"),
        ("1", "ours", "image"),
        ("1", "gray", "instance"),
        ("1", "ours", "instance"),
    ]


def test_later_records_join_the_board(out: Path, results: Path) -> None:
    publish(out, results)
    record = RunRecord.model_validate_json((results / PLACE).read_bytes())
    other = record.model_copy(update={"seed": 1, "device": "NVIDIA H100 80GB HBM3"})
    place = "records/synthetic/stretch256-v1/gray--none--s1--nvidia-h100-80gb-hbm3.json"
    assert other.path == place
    (results / place).write_text(other.to_json(), encoding="utf-8")
    publish(out, results)
    board = (results / "leaderboard/synthetic--stretch256-v1.csv").read_text("utf-8").splitlines()
    assert next(csv.DictReader(board))["seeds"] == "2"


def test_a_broken_record_among_the_published_stops_it(out: Path, results: Path) -> None:
    publish(out, results)
    (results / PLACE).write_text("{}", encoding="utf-8")
    with pytest.raises(CommandError, match=r"gray--none--s0--cpu\.json is no record"):
        publish(out, results)


def test_a_broken_plan_stops_it(out: Path, results: Path) -> None:
    (out / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(CommandError, match=r"plan\.json"):
        publish(out, results)
    assert files(results) == {}


def test_a_folder_without_runs_is_missing(tmp_path: Path, results: Path) -> None:
    with pytest.raises(MissingError, match="no run"):
        publish(tmp_path / "nothing", results)


def test_results_are_those_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (results_folder(None) / "README.md").is_file()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(UsageError, match="installed package: give --results"):
        results_folder(None)
    with pytest.raises(UsageError, match="nosuch is not there"):
        results_folder(tmp_path / "nosuch")


def test_differences_name_each_field(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}})
    counts = record.counts.model_copy(update={"failed": 2})
    told = differences(record, record.model_copy(update={"counts": counts, "seconds": 3.0}))
    assert told == "counts.failed 0 there and 2 here, and other seconds"
