"""What is told of a study equals what simulated participants chose, counted by plain loops."""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.errors import CommandError
from bench.perception.analysis import Results, analyse
from bench.perception.answers import read_answers
from bench.perception.document import to_document, write_results
from bench.perception.key import Key, Trial
from bench.perception.page import make_key, write_study
from bench.perception.plan import Settings
from bench.perception.protocols import Layout, ProtocolId
from bench.perception.results import facts, print_results, to_markdown
from bench.perception.stimuli import TRUTH, WRONG, Gathered
from bench.tables import read_table

Write = Callable[..., Path]
SKILL = {"gray--none": -1.5, "sepia--none": 0.0, "vivid--none": 1.0, TRUTH: 1.5, WRONG: -20.0}
HOSTILE = "=1+1|<b>`[red]\\textbf"


class Simulated:
    """Choose by chance as the skills say, attention checks always right, and remember what was chosen."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.chosen = Counter[tuple[str, str]]()
        self.shown = Counter[str]()
        self.real = Counter[str]()

    def __call__(self, trial: Trial) -> str:
        if trial.kind == "check":
            return trial.right_answer or ""
        if len(trial.shown) == 1:
            real = bool(self.generator.random() < 1 / (1 + np.exp(-SKILL[trial.shown[0]])))
            self.shown[trial.shown[0]] += 1
            self.real[trial.shown[0]] += real
            return "real" if real else "fake"
        one, other = trial.shown
        first = bool(self.generator.random() < 1 / (1 + np.exp(SKILL[other] - SKILL[one])))
        self.chosen[(one, other) if first else (other, one)] += 1
        return "left" if first else "right"


def study(gathered: Gathered, protocol: ProtocolId, **options: object) -> Key:
    settings = {"trials": 9, "participants": 8, "practice": 2, "checks": 2, **options}
    return make_key(Settings(protocol=protocol, **settings), gathered, "salt")  # type: ignore[arg-type]  # settings as a mapping


def answered(key: Key, answer: Write, simulated: Simulated, **cells: object) -> Results:
    paths = [answer(key, str(number), number, simulated, **cells) for number in range(1, key.participants + 1)]
    return analyse(key, read_answers(key, paths))


def test_preferences_are_those_chosen(gathered: Gathered, answer: Write) -> None:
    key, simulated = study(gathered, ProtocolId.preference), Simulated(0)
    found = answered(key, answer, simulated)
    assert len(found.counted) == 72
    for pair in found.pairs:
        assert pair.share.count == simulated.chosen[pair.a, pair.b]
        assert pair.share.total == simulated.chosen[pair.a, pair.b] + simulated.chosen[pair.b, pair.a]
    for name, share in found.rates:
        assert share.count == sum(
            count for (won, lost), count in simulated.chosen.items() if won == name and lost != WRONG
        )
    assert [one.name for one in found.strengths] == ["vivid--none", "sepia--none", "gray--none"]


def test_fooling_rates_are_those_chosen(gathered: Gathered, answer: Write) -> None:
    key, simulated = study(gathered, ProtocolId.which_real, exposure=1.0, layout=Layout.turns), Simulated(1)
    found = answered(key, answer, simulated, second_exposure_ms="1000.2")
    for name, share in found.rates:
        assert share.count == simulated.chosen[name, TRUTH]
        assert share.total == simulated.chosen[name, TRUTH] + simulated.chosen[TRUTH, name] == 24
    assert found.pairs == ()
    assert (found.exposure.shortest, found.exposure.longest) == (1.0, 1.0002)


def test_naturalness_is_that_chosen(gathered: Gathered, answer: Write) -> None:
    key, simulated = study(gathered, ProtocolId.real_fake), Simulated(2)
    found = answered(key, answer, simulated)
    assert [name for name, _ in found.rates] == [TRUTH, "gray--none", "sepia--none", "vivid--none"]
    assert all(
        (share.count, share.total) == (simulated.real[name], simulated.shown[name]) for name, share in found.rates
    )
    assert found.first_p is None
    assert found.first.count == sum(simulated.real.values()) - simulated.real[WRONG]


def test_who_looks_away_is_excluded_and_counted(gathered: Gathered, answer: Write) -> None:
    key, simulated = study(gathered, ProtocolId.preference, checks=4, trials=10), Simulated(0)
    paths = [answer(key, str(number), number, simulated) for number in (1, 2)]
    lines = answer(key, "3", 3, lambda trial: "left").read_text()
    (paths[0].parent / "blind.csv").write_text(lines)
    found = analyse(key, read_answers(key, [*paths, paths[0].parent / "blind.csv"]))
    assert [one.reason for one in found.participants] == ["", "", "2 of 4 attention checks right"]
    assert {each.participant for each in found.counted} == {"1", "2"}
    assert (found.checks.count, found.checks.total) == (10, 12)
    assert "3 participants, 1 excluded: 1 for the attention checks" in facts(found)[1]


@pytest.mark.parametrize(("wrong", "counted"), [(2, True), (3, False)])
def test_ten_of_twelve_checks_are_enough(gathered: Gathered, answer: Write, wrong: int, counted: bool) -> None:
    key = study(gathered, ProtocolId.preference, checks=12, trials=14)
    missed = [trial.id for trial in key.sessions[1] if trial.kind == "check"][:wrong]

    def choose(trial: Trial) -> str:
        right = trial.right_answer or "left"
        return {"left": "right", "right": "left"}[right] if trial.id in missed else right

    paths = [answer(key, "1", 1, choose), answer(key, "2", 2, Simulated(0))]
    first = analyse(key, read_answers(key, paths)).participants[0]
    assert (first.checks_right, not first.reason) == (12 - wrong, counted)


@pytest.mark.parametrize(
    ("protocol", "always"),
    [*((ProtocolId.real_fake, each) for each in ("real", "fake")), (ProtocolId.which_real, "left")],
)
def test_one_answer_to_everything_is_not_counted(
    gathered: Gathered, answer: Write, protocol: ProtocolId, always: str
) -> None:
    key = study(gathered, protocol, checks=None, exposure=None)
    paths = [answer(key, "1", 1, lambda trial: always), answer(key, "2", 2, lambda trial: trial.right_answer or always)]
    found = analyse(key, read_answers(key, paths))
    assert [one.reason for one in found.participants] == ["4 of 8 attention checks right", ""]


def test_who_stops_before_checks_can_tell_is_not_counted(gathered: Gathered, answer: Write) -> None:
    key = study(gathered, ProtocolId.preference, checks=8)
    early = answer(key, "1", 1, lambda trial: trial.right_answer or "left")
    kinds = [trial.kind for trial in key.sessions[1]]
    fourth = [place for place, kind in enumerate(kinds) if kind == "check"][3]
    early.write_text("".join(early.read_text().splitlines(keepends=True)[: fourth + 2]))
    found = analyse(key, read_answers(key, [early, answer(key, "2", 2, Simulated(0))]))
    assert [one.reason for one in found.participants] == ["stopped after 4 of 8 attention checks", ""]
    assert "1 excluded: 0 for the attention checks" in facts(found)[1]
    assert "1 for stopping before 5 of them; 1 not to the end" in facts(found)[1]


def test_trials_with_the_page_out_of_sight_are_left_out(gathered: Gathered, answer: Write) -> None:
    key = study(gathered, ProtocolId.preference)
    paths = [
        answer(key, "1", 1, Simulated(0)),
        answer(key, "2", 2, Simulated(1), hidden=1),
        answer(key, "3", 2, Simulated(2)),
    ]
    found = analyse(key, read_answers(key, paths))
    assert (len(found.counted), found.left_out, found.hidden) == (18, 9, 9)
    assert "9 left out: 9 with the page out of sight" in facts(found)[3]
    assert "Of 8 sessions, 1 are counted of one participant, 1 of several, 6 of nobody" in facts(found)[2]


@pytest.mark.parametrize("cells", [{"exposure_ms": "1100.4"}, {"exposure_ms": "880.0"}, {"showings": 2}])
def test_trials_not_seen_as_planned_are_left_out(gathered: Gathered, answer: Write, cells: dict[str, object]) -> None:
    key, simulated = study(gathered, ProtocolId.which_real, exposure=1.0), Simulated(0)
    good = [answer(key, str(number), number, simulated) for number in (1, 2)]
    bad = answer(key, "3", 3, lambda trial: trial.right_answer or "left", **cells)
    found = analyse(key, read_answers(key, [*good, bad]))
    assert (len(found.counted), found.left_out) == (18, 9)


def test_nothing_to_count_is_told(gathered: Gathered, answer: Write) -> None:
    key = study(gathered, ProtocolId.preference)
    with pytest.raises(CommandError, match="no answer can be counted: 1: 1 of 2 attention checks right"):
        analyse(key, read_answers(key, [answer(key, "1", 1, lambda trial: "left")]))


def test_side_that_is_liked_is_seen(gathered: Gathered, answer: Write) -> None:
    key = study(gathered, ProtocolId.preference)
    paths = [answer(key, str(n), n, lambda trial: trial.right_answer or "left") for n in range(1, 5)]
    found = analyse(key, read_answers(key, paths))
    assert found.first.share == 1.0
    assert found.first_p is not None
    assert found.first_p < 0.02, "of four people"


def test_strengths_without_bound_are_told_and_not_given(gathered: Gathered, answer: Write) -> None:
    def choose(trial: Trial) -> str:
        return trial.right_answer or ("left" if SKILL[trial.shown[0]] > SKILL[trial.shown[1]] else "right")

    key = study(gathered, ProtocolId.preference)
    found = analyse(key, read_answers(key, [answer(key, str(n), n, choose) for n in range(1, 5)]))
    assert found.strengths == ()
    assert "No strengths can be given: vivid--none never lost to gray--none, sepia--none" in to_markdown(found)
    assert json.loads(json.dumps(to_document(found), allow_nan=False))["strengths"] == []


def test_files_hold_the_numbers_and_no_formula(tmp_path: Path, gathered: Gathered, answer: Write) -> None:
    key, simulated = study(gathered, ProtocolId.preference), Simulated(0)
    names = [HOSTILE, "2", "3", "4"]
    paths = [answer(key, name, number, simulated) for number, name in enumerate(names, 1)]
    found = analyse(key, read_answers(key, paths))
    write_results(tmp_path, found)
    document = to_document(found)
    for file, part in (("rates", "methods"), ("preferences", "pairs"), ("strengths", "strengths")):
        for line, wanted in zip(read_table(tmp_path / f"{file}.csv"), document[part], strict=True):
            assert line == {name: "" if value is None else str(value) for name, value in wanted.items()}
    assert len(read_table(tmp_path / "answers.csv")) == len(found.counted)
    assert HOSTILE in {line["participant"] for line in read_table(tmp_path / "participants.csv")}
    assert not any(line.startswith("=") for line in (tmp_path / "participants.csv").read_text().splitlines())
    assert r"=1+1\|\<b\>\`\[red\]" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_terminal_shows_names_as_they_are(gathered: Gathered, answer: Write) -> None:
    key = study(gathered, ProtocolId.preference)
    paths = [answer(key, name, n, Simulated(n)) for n, name in enumerate(("[bold]\x1b[31mred", "b"), 1)]
    file = io.StringIO()
    print_results(analyse(key, read_answers(key, paths)), Console(file=file, width=200))
    assert "[bold]\N{REPLACEMENT CHARACTER}[31mred" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_command_reads_the_answers(
    tmp_path: Path, gathered: Gathered, answer: Write, colorbench: Callable[..., tuple[int, str, str]]
) -> None:
    settings = Settings(trials=9, participants=4, practice=2, checks=2)
    key, simulated = write_study(tmp_path / "study", settings, gathered), Simulated(3)
    paths = [answer(key, str(number), number, simulated) for number in range(1, 5)]
    status, told, _ = colorbench("study", tmp_path, "--answers", paths[0].parent, "--json")
    assert status == 0
    assert json.loads(told) == to_document(analyse(key, read_answers(key, paths)))
    status, told, _ = colorbench("study", tmp_path, "--answers", paths[0], "--answers", paths[1])
    assert status == 0
    assert "2 participants, 0 excluded" in told
    assert colorbench("study", tmp_path, "--out", tmp_path, "--answers", paths[0])[0] == 3
