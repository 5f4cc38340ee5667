"""Runs under conditions of their own, with hints or with boxes made worse on purpose: shown, told, and no rivals."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.board import Board
from bench.box_errors import Perturbation
from bench.leaderboard import HTML, format_boards, rank_runs
from bench.ranking import rank_records
from bench.record import RunRecord

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


def test_hints_and_errors_of_boxes_compete_with_nobody(tmp_path: Path, finish_run: Finish) -> None:
    board = only(rank_runs(ranked(tmp_path, finish_run), levels=["image"]))
    lines = [(entry.method, entry.rank, entry.tie_group, entry.notes) for entry in board.entries]
    assert lines == [
        ("fusion", 1, 1, []),
        ("rival", 2, 2, []),
        ("aided", None, None, ["10 hints"]),
        ("fusion", None, None, ["boxes: drop 0.5 + add 4"]),
    ]
    assert {cell.rank for entry in board.entries[2:] for cell in entry.scores.values()} == {None}


def test_readers_are_told_of_conditions(tmp_path: Path, finish_run: Finish) -> None:
    boards = rank_records([record for _, record in ranked(tmp_path, finish_run)], levels=["image"])
    for form in ("md", "terminal", HTML):
        text = format_boards(boards, form)
        assert "10 hints" in text
        assert "boxes: drop 0.5 + add 4" in text
        assert "Methods with hints saw some true colours: they stand below and have no rank." in text
        assert "Boxes with errors on purpose, made to those of annotations, " in text
        assert ORACLE not in text
    _, _, hinted, careful = csv.DictReader(io.StringIO(format_boards(boards, "csv")))
    assert (hinted["rank"], hinted["hints"], hinted["box_errors"]) == ("", "10", "")
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
    for other in (perturbed(second, drop=0.5), second.model_copy(update={"hints": 10})):
        entries = only(rank_records([first, other], levels=["image"])).entries
        assert [(entry.seeds, entry.rank) for entry in entries] == [(1, 1), (1, None)]
    alike = [perturbed(record, drop=0.5) for record in (first, second)]
    assert [entry.seeds for entry in only(rank_records(alike, levels=["image"])).entries] == [2]
