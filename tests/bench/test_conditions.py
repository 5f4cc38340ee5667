"""Runs under conditions of their own: guided ones in tables of their own, those with errors of boxes without rank."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.board import Board
from bench.box_errors import Perturbation
from bench.leaderboard import HTML, format_boards, rank_runs
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.tracks import SEEN, TITLES

Finish = Callable[..., RunRecord]
ORACLE = "the annotators' own: an oracle that no user has."


def scores(psnr: float) -> dict[str, dict[str, float]]:
    return {f"photo{index}": {"psnr": psnr + index, "ssim": psnr / 100} for index in range(8)}


def perturbed(record: RunRecord, **errors: Any) -> RunRecord:
    return record.model_copy(update={"perturbation": Perturbation(detector="annotations", boxes="b", **errors)})


def ranked(tmp_path: Path, finish_run: Finish) -> list[tuple[Path, RunRecord]]:
    """Return two rivals, and above them by their scores one with hints and one whose name hides what its boxes are."""
    rivals = [
        finish_run(tmp_path, scores(20), method="rival"),
        finish_run(tmp_path, scores(21), method="fusion", detector="yolo"),
    ]
    hinted = finish_run(tmp_path, scores(40), method="aided").model_copy(update={"hints": 10})
    careful = perturbed(finish_run(tmp_path, scores(30), method="fusion", detector="careful"), drop=0.5, add=4)
    return [
        (tmp_path / "runs/samples" / f"{record.method}--{record.detector}--s0", record)
        for record in (*rivals, hinted, careful)
    ]


def only(boards: list[Board]) -> Board:
    (board,) = boards
    return board


def test_hints_compete_in_their_track_and_errors_of_boxes_with_nobody(tmp_path: Path, finish_run: Finish) -> None:
    board = only(rank_runs(ranked(tmp_path, finish_run), levels=["image"]))
    lines = [(entry.method, entry.rank, entry.unaided_rank, entry.tie_group, entry.notes) for entry in board.entries]
    assert lines == [
        ("fusion", 1, 1, 1, []),
        ("rival", 2, 2, 2, []),
        ("fusion", None, None, None, ["boxes: drop 0.5 + add 4"]),
        ("aided", 1, None, 1, ["10 hints"]),
    ]
    assert {cell.rank for cell in board.entries[2].scores.values()} == {None}
    automatic, guided = board.parts
    assert [entry.method for entry in automatic.entries] == ["fusion", "rival", "fusion"]
    assert [entry.method for entry in guided.entries] == ["aided"]
    assert (automatic.grouped, guided.grouped) == (True, False)


def guided(tmp_path: Path, finish_run: Finish, name: str, psnr: float, **fields: object) -> RunRecord:
    return finish_run(tmp_path, scores(psnr), method=name).model_copy(update=fields)


def test_runs_are_ranked_among_those_that_saw_as_much(tmp_path: Path, finish_run: Finish) -> None:
    runs = {"few-a": 2, "few-b": 2, "many": 10, "all": 100}
    records = [guided(tmp_path, finish_run, name, 30 + place, hints=runs[name]) for place, name in enumerate(runs)]
    records += [guided(tmp_path, finish_run, name, psnr, track="reference") for name, psnr in (("r", 50), ("s", 51))]
    records += [guided(tmp_path, finish_run, "unaided", 10)]
    board = only(rank_records(reversed(records), levels=["image"]))
    assert [(entry.method, entry.track, entry.rank) for entry in board.entries] == [
        ("unaided", "automatic", 1),
        ("few-b", "hints-2", 1),
        ("few-a", "hints-2", 2),
        ("many", "hints-10", 1),
        ("all", "hints-100", 1),
        ("s", "reference", 1),
        ("r", "reference", 2),
    ]
    assert [part.track for part in board.parts] == ["automatic", "hints", "reference"]
    automatic, hints, reference = format_boards([board], "md").split("## ")[1:]
    assert "Bold: best of its column among as many hints; underlined: second best." in hints
    assert "Bold: best of its column." in automatic
    assert "Bold: best of its column; underlined: second best." in reference


def test_every_format_shows_each_track_in_a_table_of_its_own(tmp_path: Path, finish_run: Finish) -> None:
    records = [
        guided(tmp_path, finish_run, "unaided", 20),
        guided(tmp_path, finish_run, "aided", 30, hints=10),
        guided(tmp_path, finish_run, "shown", 25, track="reference"),
    ]
    boards = rank_records(records, levels=["image"])
    for form in ("md", "terminal", "latex", HTML):
        places = [format_boards(boards, form).find(words) for words in ("unaided", *TITLES.values())]
        assert places == sorted(places)
        assert min(places) > 0
    for name, lines in (("csv", csv.DictReader(io.StringIO(format_boards(boards, "csv")))), ("json", None)):
        found = list(lines) if lines is not None else json.loads(format_boards(boards, name))
        assert [(line["method"], line["track"]) for line in found] == [
            ("unaided", "automatic"),
            ("aided", "hints-10"),
            ("shown", "reference"),
        ]
        assert list(found[0])[-1] == "track"
    assert ",track" not in format_boards(rank_records(records[:1]), "csv")


def test_guided_runs_alone_have_no_table_of_automatic_ones(tmp_path: Path, finish_run: Finish) -> None:
    boards = rank_records([guided(tmp_path, finish_run, "aided", 30, hints=10)], levels=["image"])
    assert format_boards(boards, "md").count("## ") == 1
    assert TITLES["hints"] in format_boards(boards, "md")


def test_readers_are_told_of_conditions(tmp_path: Path, finish_run: Finish) -> None:
    boards = rank_records([record for _, record in ranked(tmp_path, finish_run)], levels=["image"])
    for form in ("md", "terminal", HTML):
        text = format_boards(boards, form)
        assert "10 hints" in text
        assert "boxes: drop 0.5 + add 4" in text
        assert SEEN["hints"] in text
        assert "Boxes with errors on purpose, made to those of annotations, " in text
        assert ORACLE not in text
    _, _, careful, hinted = csv.DictReader(io.StringIO(format_boards(boards, "csv")))
    assert (hinted["rank"], hinted["hints"], hinted["box_errors"]) == ("1", "10", "")
    assert (careful["rank"], careful["hints"], careful["box_errors"]) == ("", "", "drop 0.5 + add 4")


def test_the_annotators_boxes_are_told_by_whatever_name(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, scores(20), detector="careful")
    old = finish_run(tmp_path, scores(20), detector="annotations")
    known = record.model_copy(update={"detector_id": "annotations"})
    other = old.model_copy(update={"detector_id": "yolo"})
    told = {
        "careful": [known],
        "annotations": [old],
        "annotations and careful": [known, old],
        "": [record, other],
    }
    for names, records in told.items():
        sentence = f"Boxes of {names} are {ORACLE}"
        assert (sentence in format_boards(rank_records(records), "md")) == bool(names)
    assert ORACLE not in format_boards(rank_records([record, other]), "md")


def test_seeds_under_other_conditions_are_not_averaged(tmp_path: Path, finish_run: Finish) -> None:
    first, second = (finish_run(tmp_path, scores(20 + seed), detector="careful", seed=seed) for seed in range(2))
    others = {
        None: perturbed(second, drop=0.5),
        1: second.model_copy(update={"hints": 10}),
    }
    for rank, other in others.items():
        entries = only(rank_records([first, other], levels=["image"])).entries
        assert [(entry.seeds, entry.rank) for entry in entries] == [(1, 1), (1, rank)]
    alike = [perturbed(record, drop=0.5) for record in (first, second)]
    assert [entry.seeds for entry in only(rank_records(alike, levels=["image"])).entries] == [2]
