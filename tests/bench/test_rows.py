import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.errors import CommandError
from bench.rows import InstanceRow, Row, RowError, RowStore, read_rows, write_images_csv, write_instances_csv
from bench.tables import read_table

LargestFile = Callable[[int], AbstractContextManager[None]]

RUN = "5" * 64


def make_instance(number: int = 1, **changes: Any) -> InstanceRow:
    fields = {"instance": number, "category_id": 18, "category": "dog", "area": 812.5, "size": "small"}
    box = {"x": 1, "y": 2, "width": 30, "height": 40}
    return InstanceRow.model_validate({**fields, **box, "scores": {"psnr": 21.5, "ssim": None}, **changes})


def make_row(image: str, **changes: Any) -> Row:
    instances = changes.pop("instances", ())
    fields = {"run_id": RUN, "image": image, "status": "ok", "width": 256, "height": 256, "n_boxes": 3}
    scores = {"psnr": 20 + len(image) / 7, "ssim": 0.9}
    return Row.model_validate(
        {**fields, "scores": scores, "instances": instances, "n_instances": len(instances), **changes}
    )


def write_rows(folder: Path, rows: Sequence[Row], rank: int = 0) -> Path:
    with RowStore(folder, RUN, rank) as store:
        for row in rows:
            store.append(row)
    return store.path


def test_rows_of_all_processes_come_back_sorted(tmp_path: Path) -> None:
    rows = {name: make_row(name, instances=(make_instance(),)) for name in ("b/2", "a", "b/10", "ü \n'\"", "c")}
    for rank, name in enumerate(rows):
        write_rows(tmp_path, [rows[name]], rank % 3)
    found = read_rows(tmp_path, RUN)
    assert list(found) == sorted(rows)
    assert found == rows


def test_a_folder_without_rows_has_none(tmp_path: Path) -> None:
    assert read_rows(tmp_path, RUN) == {}


def test_each_row_is_one_line_of_strict_json(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [make_row("a\r\n\u2028b"), make_row("c")])
    lines = path.read_bytes().decode("ascii").split("\n")
    assert [json.loads(line)["image"] for line in lines[:-1]] == ["a\r\n\u2028b", "c"]
    assert lines[-1] == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        make_row("a", scores={"psnr": value})


def test_a_row_agrees_with_itself() -> None:
    with pytest.raises(ValidationError, match="has no scores"):
        make_row("a", status="error-decode")
    with pytest.raises(ValidationError, match="n_instances"):
        make_row("a", n_instances=2)
    with pytest.raises(ValidationError, match="status"):
        make_row("a", status="fine")
    with pytest.raises(ValidationError, match="surplus"):
        make_row("a", surplus=1)


def test_the_same_row_twice_counts_once(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row("a")], 0)
    write_rows(tmp_path, [make_row("a"), make_row("b")], 1)
    assert list(read_rows(tmp_path, RUN)) == ["a", "b"]


def test_rows_that_differ_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row("b"), make_row("a")], 0)
    write_rows(tmp_path, [make_row("a", n_boxes=4)], 1)
    with pytest.raises(RowError, match=r"rows\.rank0\.jsonl:2 and rows\.rank1\.jsonl:1 .* 'a'"):
        read_rows(tmp_path, RUN)


def test_rows_of_another_run_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [make_row("a")])
    with pytest.raises(RowError, match=r"rows\.rank0\.jsonl:1: a row of run 555"):
        read_rows(tmp_path, "6" * 64)
    assert list(read_rows(tmp_path)) == ["a"]
    with RowStore(tmp_path, "6" * 64) as store, pytest.raises(RowError, match="was given to the store"):
        store.append(make_row("a"))
    assert path.read_bytes().count(b"\n") == 1


TAILS = {
    "cut": b'{"run_id":"5555',
    "no line end": make_row("torn").to_json().encode(),
    "zeros": b"\0" * 300,
    "zeros and line end": b"\0" * 300 + b"\n",
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_torn_last_line_is_left_out_and_written_anew(tail: bytes, tmp_path: Path) -> None:
    path = write_rows(tmp_path, [make_row("a"), make_row("b")])
    with path.open("ab") as file:
        file.write(tail)
    with pytest.warns(UserWarning, match="torn last line") as caught:
        assert list(read_rows(tmp_path, RUN)) == ["a", "b"]
    assert len(caught) == 1
    write_rows(tmp_path, [make_row("torn")])
    assert list(read_rows(tmp_path, RUN)) == ["a", "b", "torn"]


@pytest.mark.parametrize("length", range(0, 700, 37))
def test_a_file_cut_anywhere_loses_one_row_at_most(length: int, tmp_path: Path) -> None:
    rows = [make_row(name) for name in "abc"]
    path = write_rows(tmp_path, rows)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    complete = whole[:length].count(b"\n")
    write_rows(tmp_path, rows[complete:])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{}", b"[1]", b'{"run_id": NaN}'])
def test_a_broken_line_in_the_middle_is_named(damage: bytes, tmp_path: Path) -> None:
    """F13: no option mends it. The line is named, whoever deletes it has seen it, and its picture is done again."""
    path = write_rows(tmp_path, [make_row("a"), make_row("b"), make_row("c")])
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(RowError, match=r"rows\.rank0\.jsonl:2: not a row"):
        read_rows(tmp_path, RUN)


@pytest.mark.parametrize(("seconds", "syncs"), [(0.0, 2), (5.0, 40)])
def test_rows_reach_the_disk_every_few(
    seconds: float, syncs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    clock = [0.0]
    store = RowStore(tmp_path, RUN)
    monkeypatch.setattr(os, "fsync", calls.append)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    store.flush()
    for number in range(40):
        clock[0] += seconds
        store.append(make_row(str(number)))
    assert len(calls) == syncs
    store.close()
    store.close()
    assert len(calls) == syncs + (40 % 16 > 0 and seconds == 0)


@pytest.mark.parametrize("room", [0, 50])
def test_a_full_disk_is_reported_and_costs_no_earlier_row(room: int, tmp_path: Path, largest_file: LargestFile) -> None:
    path = write_rows(tmp_path, [make_row("a")])
    size = path.stat().st_size
    with RowStore(tmp_path, RUN) as store:
        with largest_file(size + room), pytest.raises(RowError, match=r"rows\.rank0\.jsonl: \d+ bytes could not"):
            store.append(make_row("b"))
        assert path.stat().st_size == size
        store.append(make_row("c"))
    assert list(read_rows(tmp_path, RUN)) == ["a", "c"]


def test_tables_are_the_same_for_rows_in_any_order(tmp_path: Path) -> None:
    instances = (make_instance(10), make_instance(9, category="=1+2", scores={"psnr": 1 / 3, "ssim": None}))
    rows = [
        make_row("b", instances=instances),
        make_row("=a", status="gray-truth", scores={"psnr": 100.0, "ssim": None}),
        Row(run_id=RUN, image="c", status="error-decode", message="truncated"),
    ]
    for name, ordered in (("one", rows), ("two", rows[::-1])):
        write_images_csv(ordered, tmp_path / name / "images.csv", ["psnr", "ssim"])
        write_instances_csv(ordered, tmp_path / name / "instances.csv", ["psnr", "ssim"])
    assert (tmp_path / "one/images.csv").read_text() == (
        "image,width,height,n_instances,status,psnr,ssim\n"
        "'=a,256,256,0,gray-truth,100.0,\n"
        "b,256,256,2,ok,20.142857142857142,0.9\n"
        "c,,,0,error-decode,,\n"
    )
    assert (tmp_path / "one/instances.csv").read_text() == (
        "image,instance,category_id,category,area,size,x,y,width,height,psnr,ssim\n"
        "b,9,18,'=1+2,812.5,small,1,2,30,40,0.3333333333333333,\n"
        "b,10,18,dog,812.5,small,1,2,30,40,21.5,\n"
    )
    for table in ("images.csv", "instances.csv"):
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes()
    assert read_table(tmp_path / "one/instances.csv")[0]["category"] == "=1+2"


def test_a_disk_that_takes_rows_but_does_not_keep_them_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RowStore(tmp_path, RUN) as store:
        store.append(make_row("a"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
            with pytest.raises(CommandError, match=r"rows\.rank0\.jsonl cannot be written: Input/output error"):
                store.flush()
