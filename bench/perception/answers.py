"""Read the answers of participants, and believe nothing that the page did not write."""

import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import CommandError, MissingError
from bench.perception.key import Key, Trial
from bench.tables import unescape_text
from bench.terminal import visible

COLUMNS = (
    *("study", "participant", "session", "place", "trial", "answer", "response_ms", "exposure_ms"),
    *("second_exposure_ms", "showings", "hidden", "frame_ms", "window", "answered_utc", "check"),
)
LARGEST_FILE = 10_000_000
LONGEST_NAME = 60
NUMBER = re.compile(r"\d{1,12}(\.\d{1,3})?")


class AnswerError(CommandError):
    """Report answers that cannot be counted, with file and line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer of one participant.

    Attributes:
        place: of the trial in the session, from 1.
        response: seconds from the end of the exposure, or from the onset of pictures that stay.
        exposures: seconds that each picture, or both together, were seen.
        showings: how often the trial was begun: more than once after a reload.
        hidden: whether the page was out of sight during the trial.
    """

    participant: str
    session: int
    place: int
    trial: Trial
    answer: str
    response: float
    exposures: tuple[float, ...]
    showings: int
    hidden: bool


def read_answers(key: Key, paths: Sequence[Path]) -> list[Answer]:
    """Read the answers of all participants, sorted by participant and place; a file that was given twice counts once.

    Args:
        key: of the study.
        paths: CSV files of the page, and folders whose `*.csv` are read.

    Raises:
        MissingError: A path is not there, or there is no file.
        AnswerError: A file is not of this study, was changed, or contradicts itself or another one.
    """
    found: dict[str, tuple[Path, list[Answer]]] = {}
    for path in list(_files(paths)):
        for participant, answers in _read_file(key, path).items():
            before, known = found.setdefault(participant, (path, answers))
            if known != answers:
                raise AnswerError(
                    f"{before} and {path} hold different answers of participant {visible(participant)}: two people may "
                    "have taken one number; keep the file of one of them"
                )
    return [answer for participant in sorted(found, key=_by_number) for answer in found[participant][1]]


def _by_number(participant: str) -> tuple[int, str]:
    """Return what puts 10 behind 9."""
    return (len(participant) if participant.isdecimal() else LONGEST_NAME), participant


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        inside = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not inside or not path.exists():
            raise MissingError(f"{path} holds no answers: give the CSV files that participants saved")
        yield from inside


def _read_file(key: Key, path: Path) -> dict[str, list[Answer]]:
    """Read one file: whole sequences of rows as the page wrote them, one participant after another."""
    answers: dict[str, list[Answer]] = {}
    check = key.study
    for number, cells in _lines(path):
        where = f"{path}:{number}"
        if cells["study"] != key.study:
            raise AnswerError(f"{where}: an answer of study {visible(cells['study'])}, not of {key.study}: see --out")
        own = answers.setdefault(cells["participant"], [])
        if not own:
            check = key.study
        if _checksum(check, cells) != cells["check"]:
            raise AnswerError(f"{where}: this line, or one before it, is not as the page wrote it: ask for it again")
        check = cells["check"]
        own.append(_answer(key, cells, where))
    for own in answers.values():
        _check_once(own, path)
    if not answers:
        raise AnswerError(f"{path} holds no answer: it ends after its header")
    return answers


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the lines of a file with their numbers, by column.

    Raises:
        AnswerError: It is no such table.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise AnswerError(f"{path} is too large for answers: give the CSV files that participants saved")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{path} cannot be read as UTF-8 text ({error})") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if reader.line_num == 1 and tuple(cells) != COLUMNS:
                raise AnswerError(f"{path} does not begin with the columns of a study: {','.join(COLUMNS)}")
            if reader.line_num > 1 and len(cells) != len(COLUMNS):
                raise AnswerError(f"{path}:{reader.line_num}: {len(cells)} cells instead of {len(COLUMNS)}")
            if reader.line_num > 1:
                yield reader.line_num, dict(zip(COLUMNS, map(unescape_text, cells), strict=True))
    except csv.Error as error:
        raise AnswerError(f"{path}:{reader.line_num}: {error}") from error


def _checksum(before: str, cells: Mapping[str, str]) -> str:
    """Return the CRC-32 of a row and the check of the row before it, as the page computes it."""
    text = "\t".join([before, *(cells[name] for name in COLUMNS[:-1])])
    return f"{zlib.crc32(text.encode()):08x}"


def _answer(key: Key, cells: Mapping[str, str], where: str) -> Answer:
    trial = key.by_id.get(cells["trial"])
    if trial is None or trial.kind == "practice":
        raise AnswerError(f"{where}: no trial {visible(cells['trial'])} in this study: is key.json that of the page?")
    if cells["answer"] not in key.asked.answers:
        raise AnswerError(f"{where}: the answer is {visible(cells['answer'])!r}, not {' or '.join(key.asked.answers)}")
    session, place = _whole(cells, "session", where), _whole(cells, "place", where)
    if trial.session != session:
        raise AnswerError(f"{where}: trial {trial.id} is of session {trial.session}, not of {session}")
    if [each.id for each in key.sessions[session]][place - 1 : place] != [trial.id]:
        raise AnswerError(f"{where}: trial {trial.id} is not the one at place {place} of its session")
    exposures = [_number(cells, name, where) for name in ("exposure_ms", "second_exposure_ms") if cells[name]]
    return Answer(
        participant=cells["participant"],
        session=session,
        place=place,
        trial=trial,
        answer=cells["answer"],
        response=_number(cells, "response_ms", where) / 1000,
        exposures=tuple(exposure / 1000 for exposure in exposures),
        showings=_whole(cells, "showings", where),
        hidden=cells["hidden"] == "1",
    )


def _number(cells: Mapping[str, str], name: str, where: str) -> float:
    if not NUMBER.fullmatch(cells[name]):
        raise AnswerError(f"{where}: {name} is {visible(cells[name])!r}, no number of milliseconds")
    return float(cells[name])


def _whole(cells: Mapping[str, str], name: str, where: str) -> int:
    if not re.fullmatch(r"\d{1,9}", cells[name]):
        raise AnswerError(f"{where}: {name} is {visible(cells[name])!r}, no whole number")
    return int(cells[name])


def _check_once(own: Sequence[Answer], path: Path) -> None:
    """Refuse a trial that one participant answered twice, and answers from several sessions."""
    twice = [trial for trial, count in Counter(answer.trial.id for answer in own).items() if count > 1]
    if twice:
        raise AnswerError(f"{path}: participant {visible(own[0].participant)} answers trial {twice[0]} twice")
    if len({answer.session for answer in own}) > 1:
        raise AnswerError(f"{path}: participant {visible(own[0].participant)} has answers of several sessions")
