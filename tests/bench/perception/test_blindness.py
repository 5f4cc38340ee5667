"""Attacks on the page of a study by somebody who has its folders, these programs and its options, but not the key."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from bench.perception import page as pages
from bench.perception.key import Key, read_key
from bench.perception.page import make_key, write_study
from bench.perception.plan import Settings
from bench.perception.protocols import ProtocolId
from bench.perception.stimuli import TRUTH, Gathered

SETTINGS = Settings(protocol=ProtocolId.which_real, trials=7, participants=12, practice=2, checks=2)
Worth = Callable[[Path], float]


@pytest.fixture
def folder(tmp_path: Path, gathered: Gathered, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pages, "new_salt", lambda: "salt")
    write_study(tmp_path / "study", SETTINGS, gathered)
    return tmp_path / "study"


def trials_of(session: Path) -> list[tuple[str, list[Path]]]:
    """Return the trials that a page shows, by what stands in its folder."""
    (text,) = re.findall(r'id="data">(.*?)</script>', (session / "index.html").read_text(encoding="utf-8"), re.DOTALL)
    return [
        (trial, [session / "pictures" / f"{name}.png" for name in names])
        for trial, *names in json.loads(text)["trials"]
    ]


def seen(folder: Path) -> list[tuple[str, list[Path]]]:
    """Return the trials of all sessions, in an order that does not tell the kind."""
    return [trial for session in sorted((folder / "page").iterdir()) for trial in trials_of(session)]


def rights(key: Key, trials: Sequence[tuple[str, list[Path]]], worth: Worth) -> list[bool]:
    """Return for the trials in which an attack prefers a side whether that is the truth."""
    gaps = [(trial, worth(left) - worth(right)) for trial, (left, right) in trials]
    return [key.by_id[trial].right_answer == ("left" if gap > 0 else "right") for trial, gap in gaps if gap]


def partners(trials: Sequence[tuple[str, list[Path]]], same: Callable[[Path], object]) -> Worth:
    beside = defaultdict[object, set[object]](set)
    for _, (left, right) in trials:
        beside[same(left)].add(same(right))
        beside[same(right)].add(same(left))
    return lambda path: len(beside[same(path)])


def repeats(trials: Sequence[tuple[str, list[Path]]], same: Callable[[Path], object]) -> Worth:
    counts = Counter(same(path) for _, files in trials for path in files)
    return lambda path: counts[same(path)]


@pytest.mark.parametrize("same", [lambda path: path.name, Path.read_bytes])
@pytest.mark.parametrize("attack", [partners, repeats])
def test_nothing_comes_twice_or_beside_several(
    folder: Path, attack: Callable[..., Worth], same: Callable[[Path], object]
) -> None:
    trials = seen(folder)
    assert sum(len(files) for _, files in trials) == 12 * 9 * 2
    assert rights(read_key(folder), trials, attack(trials, same)) == []


def test_lengths_names_and_bytes_tell_no_side(folder: Path) -> None:
    key, trials = read_key(folder), seen(folder)
    assert rights(key, trials, lambda path: path.stat().st_size) == []
    for worth in (lambda path: int(path.stem, 16), lambda path: sum(path.read_bytes()[33:49])):
        found = rights(key, trials, worth)
        assert len(found) > 100
        assert stats.binomtest(sum(found), len(found)).pvalue > 0.01


def test_checks_are_not_known_by_their_files(folder: Path) -> None:
    key, trials = read_key(folder), seen(folder)
    practised = {path.name for trial in key.trials if trial.kind == "practice" for path in map(Path, trial.files)}
    uses = {kind: set[int]() for kind in ("test", "check")}
    count = repeats(trials, lambda path: path.name)
    for trial, files in trials:
        uses[key.by_id[trial].kind] |= {int(count(path)) for path in files}
        assert practised.isdisjoint(path.name for path in files)
    assert uses == {"test": {1}, "check": {1}}


def test_one_session_shows_no_version_twice(folder: Path) -> None:
    key = read_key(folder)
    for session in key.sessions.values():
        versions = [(trial.image, shown) for trial in session for shown in trial.shown if trial.kind == "test"]
        assert len(set(versions)) == len(versions) == 14


def test_programs_and_options_do_not_give_the_key_again(folder: Path, gathered: Gathered) -> None:
    key, guess = read_key(folder), make_key(replace(SETTINGS), gathered, "another salt")
    assert {trial.id for trial in key.trials}.isdisjoint(trial.id for trial in guess.trials)
    assert {file for trial in key.trials for file in trial.files}.isdisjoint(guess.session_of_file)
    assert set(key.folders).isdisjoint(guess.folders)
    pairs = [(one, other) for n in key.sessions for one, other in zip(key.sessions[n], guess.sessions[n], strict=True)]
    agree = sum(one.shown.index(TRUTH) == other.shown.index(TRUTH) for one, other in pairs)
    assert stats.binomtest(agree, len(pairs)).pvalue > 0.01
    assert key.salt not in "".join(path.read_text() for path in (folder / "page").glob("*/index.html"))


def test_every_study_has_a_salt_of_its_own(tmp_path: Path, gathered: Gathered) -> None:
    keys = [write_study(tmp_path / name, replace(SETTINGS, participants=1), gathered) for name in ("one", "two")]
    assert keys[0].salt != keys[1].salt
    assert len(keys[0].salt) == 32
    assert {trial.id for trial in keys[0].trials}.isdisjoint(trial.id for trial in keys[1].trials)
