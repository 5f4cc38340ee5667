import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from bench.errors import CommandError, MissingError
from bench.record import RunRecord
from bench.status import print_status, read_status, tell_failures

Finish = Callable[..., RunRecord]


def plan(out: Path, *records: RunRecord, total: int = 3) -> None:
    entries = [
        {
            "folder": f"runs/{record.dataset}/{record.method}--{record.detector}--s{record.seed}",
            "dataset": record.dataset,
            "method": record.method,
            "detector": record.detector,
            "seed": record.seed,
            "total": total,
            "run_id": record.run_id,
        }
        for record in records
    ]
    (out / "plan.json").write_text(json.dumps({"runs": entries}))


@pytest.fixture
def stopped(tmp_path: Path, finish_run: Finish) -> Path:
    """Return an output folder with a finished run, one that was killed after two pictures, and one not begun."""
    whole = {key: {"psnr": 20.0} for key in "abc"}
    done = finish_run(tmp_path, whole, method="done", metrics=("psnr",))
    broken = {"a": {"psnr": 20.0}, "b": "error-decode"}
    killed = finish_run(tmp_path, broken, method="killed", metrics=("psnr",))
    (tmp_path / "runs/samples/killed--none--s0/record.json").unlink()
    plan(tmp_path, done, killed, done.model_copy(update={"method": "later", "run_id": "f" * 64}))
    return tmp_path


def test_every_run_has_its_state(stopped: Path) -> None:
    status = read_status(stopped)
    states = [(run["method"], run["state"], run["done"], run["total"], run["failed"]) for run in status["runs"]]
    assert states == [("done", "finished", 3, 3, 0), ("killed", "partial", 2, 3, 1), ("later", "not started", 0, 3, 0)]
    assert status["runs"][1]["failures"] == {"error-decode": 1}
    assert status["runs"][1]["failed_images"] == ["b"]
    sums = {key: status[key] for key in ("finished", "total_runs", "done", "total", "failed")}
    assert sums == {"finished": 1, "total_runs": 3, "done": 5, "total": 9, "failed": 1}
    json.dumps(status, allow_nan=False)


def test_people_see_the_same(stopped: Path) -> None:
    file = io.StringIO()
    print_status(stopped, Console(file=file, highlight=False, width=40))
    text = file.getvalue()
    for words in ("finished", "partial", "not started", "2/3", "1 error-decode", "1 of 3 runs finished", "Go on with"):
        assert words in text
    assert "runs/samples/killed--none--s0:\n  b\n" in text


def test_the_first_failures_are_told_with_their_reason(stopped: Path, finish_run: Finish) -> None:
    many = dict.fromkeys([f"{number:02}\x1b[2J" for number in range(12)], "error-size")
    finish_run(stopped, many, method="worse", metrics=("psnr",))
    assert tell_failures(stopped, {"runs/samples/done--none--s0"}) == []
    first, second, *_, last = lines = tell_failures(stopped)
    assert first == "runs/samples/killed--none--s0: b: it broke (error-decode)"
    assert second == "runs/samples/worse--none--s0: 00\N{REPLACEMENT CHARACTER}[2J: it broke (error-size)"
    assert (len(lines), last) == (11, "and 3 more")


def test_a_record_of_another_run_does_not_count(stopped: Path) -> None:
    path = stopped / "plan.json"
    path.write_text(path.read_text().replace(read_status(stopped)["runs"][0]["run_id"], "0" * 64))
    run = read_status(stopped)["runs"][0]
    assert run["state"] == "partial"
    assert "among those of run 000000000000" in run["error"]


@pytest.mark.parametrize("with_plan", [True, False])
def test_a_broken_record_is_named_beside_its_run(stopped: Path, with_plan: bool) -> None:
    if not with_plan:
        (stopped / "plan.json").unlink()
    (stopped / "runs/samples/done--none--s0/record.json").write_text('{"schema": 1')
    run, *others = read_status(stopped)["runs"]
    place = (run["dataset"], run["method"], run["detector"], run["seed"])
    assert (*place, run["state"], run["done"], run["total"]) == ("samples", "done", "none", 0, "partial", 3, 3)
    assert "done--none--s0/record.json is no record" in run["error"]
    assert len(others) == (2 if with_plan else 0)
    file = io.StringIO()
    print_status(stopped, Console(file=file, highlight=False, width=100))
    assert "record.json is no record" in file.getvalue()


def test_runs_without_a_plan_are_shown_too(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"psnr": 20.0}}, method="scored", metrics=("psnr",))
    (run,) = read_status(tmp_path)["runs"]
    assert (run["method"], run["state"], run["total"]) == ("scored", "finished", 1)


def test_an_empty_folder_and_a_broken_plan_are_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no run in"):
        read_status(tmp_path)
    (tmp_path / "plan.json").write_text('{"runs": [{"folder": "x"}]}')
    with pytest.raises(CommandError, match=r"plan\.json is no plan"):
        read_status(tmp_path)


def test_a_plan_that_points_elsewhere_reads_nothing(stopped: Path) -> None:
    content = json.loads((stopped / "plan.json").read_text())
    content["runs"][0]["folder"] = "../../etc"
    (stopped / "plan.json").write_text(json.dumps(content))
    with pytest.raises(CommandError, match=r"plan\.json"):
        read_status(stopped)
