"""Answers are read as the page wrote them, and everything else is named."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import MissingError
from bench.perception.answers import COLUMNS, AnswerError, read_answers
from bench.perception.key import Key, Trial

Write = Callable[..., Path]
HOSTILE = '=cmd|"/c calc", <b>\N{RIGHT-TO-LEFT OVERRIDE}[red]'


def left(trial: Trial) -> str:
    return "left"


def change(path: Path, column: str, value: str, line: int = 2) -> Path:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    rows[line - 1][COLUMNS.index(column)] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_answers_are_those_of_the_page(key: Key, answer: Write) -> None:
    found = read_answers(key, [answer(key, "7", 3, left)])
    assert [each.trial for each in found] == key.sessions[3]
    assert {(each.participant, each.session, each.answer, each.showings) for each in found} == {("7", 3, "left", 1)}
    assert (found[0].response, found[0].exposures) == (0.501, (2.0,))


def test_what_a_spreadsheet_saves_again_is_read(key: Key, answer: Write) -> None:
    path = answer(key, HOSTILE, 1, left)
    known = read_answers(key, [path])
    change(path, "answer", "left")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert b"\r\n" in path.read_bytes()
    assert read_answers(key, [path]) == known
    assert known[0].participant == HOSTILE


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("study", "0" * 16, "an answer of study 0000000000000000"),
        ("answer", "right", "not as the page wrote it"),
        ("response_ms", "1.0", "not as the page wrote it"),
        ("participant", "8", "not as the page wrote it"),
        ("check", "00000000", "not as the page wrote it"),
        ("trial", "x", "not as the page wrote it"),
    ],
)
def test_changed_lines_are_named(key: Key, answer: Write, column: str, value: str, words: str) -> None:
    path = change(answer(key, "7", 1, left), column, value)
    with pytest.raises(AnswerError, match=words) as error:
        read_answers(key, [path])
    assert f"{path}:2" in str(error.value)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"trial": "0123456789ab"}, "no trial 0123456789ab"),
        ({"answer": "both"}, "'both', not left or right"),
        ({"session": 2}, "is of session 1, not of 2"),
        ({"place": 2}, "is not the one at place 2"),
        ({"place": 99}, "is not the one at place 99"),
        ({"response_ms": "nan"}, "no number of milliseconds"),
        ({"response_ms": "-3"}, "no number of milliseconds"),
        ({"showings": "many"}, "no whole number"),
    ],
)
def test_lines_that_no_page_writes_are_named(key: Key, answer: Write, cells: dict[str, object], words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        read_answers(key, [answer(key, "7", 1, left, **cells)])


def test_lines_left_out_and_lines_twice_are_seen(key: Key, answer: Write) -> None:
    path = answer(key, "7", 1, left)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], *lines[3:]]))
    with pytest.raises(AnswerError, match="one before it, is not as the page wrote it"):
        read_answers(key, [path])
    path.write_text("".join([*lines, *lines[1:]]))
    with pytest.raises(AnswerError, match="not as the page wrote it"):
        read_answers(key, [path])


def test_practice_is_no_answer(key: Key, answer: Write) -> None:
    practice = next(trial.id for trial in key.trials if trial.kind == "practice")
    with pytest.raises(AnswerError, match="no trial"):
        read_answers(key, [answer(key, "7", 1, left, trial=practice)])


def test_one_number_for_two_people_is_seen(key: Key, answer: Write) -> None:
    paths = [answer(key, "7", 1, left), answer(key, "7", 1, left)]
    assert len(read_answers(key, paths)) == len(key.sessions[1])
    with pytest.raises(AnswerError, match="different answers of participant 7"):
        read_answers(key, [*paths, answer(key, "7", 1, lambda trial: "right")])


def test_folders_are_read_and_sorted(key: Key, answer: Write) -> None:
    paths = [answer(key, name, session, left) for session, name in enumerate(("b", "10", "9"), 1)]
    found = read_answers(key, [paths[0].parent])
    assert [each.participant for each in found] == ["9"] * 8 + ["10"] * 8 + ["b"] * 8


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\n", ",".join(COLUMNS) + "\n1,2\n", '"', "\0"])
def test_other_files_are_refused(key: Key, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(AnswerError):
        read_answers(key, [tmp_path / "other.csv"])


def test_files_that_are_not_there_are_missing(key: Key, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none.csv", tmp_path / "empty"):
        with pytest.raises(MissingError, match="holds no answers"):
            read_answers(key, [path])
    (tmp_path / "empty" / "picture.csv").write_bytes(b"\x89PNG\xff")
    with pytest.raises(AnswerError, match="UTF-8"):
        read_answers(key, [tmp_path / "empty"])
