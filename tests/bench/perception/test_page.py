"""The page of a study tells nobody what is shown, and needs nothing from outside."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest

from bench.errors import MissingError, UsageError
from bench.perception.key import Key, read_key
from bench.perception.page import make_key, render, write_study
from bench.perception.plan import Settings, split_pictures
from bench.perception.protocols import PROTOCOLS, Layout, ProtocolId, parse_exposure
from bench.perception.stimuli import TRUTH, WRONG, Gathered, gather, spoil_colours
from bench.record import RunRecord
from datamodules.images import read_image

Colorbench = Callable[..., tuple[int, str, str]]
Finish = Callable[..., RunRecord]
PROTOCOL_IDS = pytest.mark.parametrize("protocol", list(ProtocolId))


@pytest.fixture
def folder(tmp_path: Path, gathered: Gathered, small: Settings) -> Path:
    write_study(tmp_path / "study", small, gathered)
    return tmp_path / "study"


def page_of(folder: Path, session: int = 1) -> str:
    (page,) = (folder / "page").glob(f"{session}-*/index.html")
    return page.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_page_folder_does_not_tell_the_methods(folder: Path, gathered: Gathered) -> None:
    names = {word for method in gathered.methods for word in (method.name, method.record.method, method.record.run_id)}
    words = {*names, *gathered.keys, "samples", TRUTH, WRONG, *(Path(key).name for key in gathered.keys)}
    data = data_of(page_of(folder))
    assert {word for word in names | {WRONG} if word in page_of(folder)} == set()
    assert {word for word in words if word in json.dumps(data)} == set()
    files = [path.relative_to(folder / "page").as_posix() for path in (folder / "page").rglob("*") if path.is_file()]
    assert all(re.fullmatch(r"[1-4]-[0-9a-f]{16}/(index\.html|pictures/[0-9a-f]{16}\.png)", file) for file in files)
    assert not any(word.encode() in path.read_bytes() for path in folder.glob("page/*/pictures/*") for word in names)


def test_page_knows_true_answers_of_practice_alone(folder: Path) -> None:
    key, data = read_key(folder), data_of(page_of(folder))
    assert data["trials"] == [[trial.id, *(file[:16] for file in trial.files)] for trial in key.sessions[1]]
    assert data["session"] == 1
    assert [entry[-1] for entry in data["practice"]] == [
        trial.right_answer for trial in key.trials if trial.kind == "practice"
    ]


def test_pictures_are_those_of_the_runs(folder: Path, gathered: Gathered) -> None:
    key = read_key(folder)
    for session, name in enumerate(key.folders, 1):
        trials = [trial for trial in key.trials if trial.session in (0, session)]
        shown = {
            file: (trial.image, each) for trial in trials for file, each in zip(trial.files, trial.shown, strict=True)
        }
        assert {path.name for path in (folder / "page" / name / "pictures").iterdir()} == set(shown)
        for file, (image, each) in shown.items():
            pixels = read_image(folder / "page" / name / "pictures" / file)
            assert each == WRONG or np.array_equal(pixels, gathered.read(image, each))
    assert {each for trial in key.trials for each in trial.shown} == {*key.methods, TRUTH, WRONG}


def test_made_again_in_its_folder_all_bytes_are_equal(folder: Path, gathered: Gathered, small: Settings) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_study(folder, small, gathered)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert make_key(replace(small, seed=1), gathered, read_key(folder).salt).study != read_key(folder).study


def test_another_study_does_not_take_the_place_of_one(folder: Path, gathered: Gathered, small: Settings) -> None:
    write_study(folder, small, gathered)
    with pytest.raises(UsageError, match="holds another study"):
        write_study(folder, replace(small, seed=1), gathered)


def test_page_is_valid_and_runs_our_script_alone(folder: Path) -> None:
    page = page_of(folder)
    html5lib.HTMLParser(strict=True).parse(page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src 'self';")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp|sendBeacon| on[a-z]+=\"| style=", page)


def test_text_of_others_is_shown_and_never_run(gathered: Gathered, small: Settings) -> None:
    page = render(
        make_key(small, gathered, "salt"),
        1,
        "We thank <script>alert(1)</script>\n\n</script><img src=x onerror=alert(1)>",
    )
    assert "We thank &lt;script&gt;" in page
    assert "<img src=x" not in page
    html5lib.HTMLParser(strict=True).parse(page)


@PROTOCOL_IDS
def test_conditions_are_those_of_the_protocol(protocol: ProtocolId, gathered: Gathered) -> None:
    key = make_key(Settings(protocol=protocol, practice=4, checks=2, participants=6), gathered, "salt")
    tests = Counter(frozenset(trial.shown) for trial in key.trials if trial.kind == "test")
    gray, sepia, vivid = key.methods
    wanted = {
        ProtocolId.preference: [{gray, sepia}, {gray, vivid}, {sepia, vivid}],
        ProtocolId.real_fake: [{TRUTH}, {gray}, {sepia}, {vivid}],
        ProtocolId.which_real: [{TRUTH, gray}, {TRUTH, sepia}, {TRUTH, vivid}],
    }[protocol]
    assert set(tests) == set(map(frozenset, wanted))
    assert max(tests.values()) - min(tests.values()) <= 1
    for session in key.sessions.values():
        checks = {trial.shown for trial in session if trial.kind == "check"}
        paired = PROTOCOLS[protocol].paired
        assert checks == ({(WRONG, TRUTH), (TRUTH, WRONG)} if paired else {(WRONG,), (TRUTH,)})
    answers = Counter(trial.right_answer for trial in key.trials if trial.kind == "practice")
    assert set(answers.values()) == {2}


def test_what_practice_reveals_is_not_asked(gathered: Gathered) -> None:
    key = make_key(Settings(protocol=ProtocolId.which_real, practice=4, checks=2, participants=3), gathered, "salt")
    revealed = {trial.image for trial in key.trials if trial.kind == "practice"}
    assert len(revealed) == 1, "a fifth of eight pictures"
    assert revealed.isdisjoint(trial.image for trial in key.trials if trial.kind == "test")


def test_real_checks_are_pictures_that_practice_showed_as_real(gathered: Gathered) -> None:
    many = replace(gathered, keys=tuple(f"photo {number}" for number in range(100)))
    key = make_key(Settings(protocol=ProtocolId.real_fake, practice=10, pictures=100), many, "salt")
    real = {
        kind: {trial.image for trial in key.trials if trial.kind == kind and trial.shown == (TRUTH,)}
        for kind in ("practice", "check", "test")
    }
    assert real["check"] <= real["practice"]
    assert real["check"].isdisjoint(real["test"])


@pytest.mark.parametrize(("trials", "checks", "spare"), [(30, None, 8), (150, None, 15), (None, None, 8), (30, 12, 12)])
def test_every_check_of_a_session_has_a_picture_of_its_own(
    gathered: Gathered, trials: int | None, checks: int | None, spare: int
) -> None:
    settings = Settings(trials=trials, checks=checks, pictures=100, participants=2)
    kept, tested = split_pictures(settings, [f"photo {number}" for number in range(100)])
    assert (len(kept), len(tested)) == (spare, 100 - spare)
    key = make_key(settings, replace(gathered, keys=tuple(f"photo {number}" for number in range(100))), "salt")
    shown = [trial.image for trial in key.sessions[1] if trial.kind == "check"]
    assert len(set(shown)) == len(shown) == spare


def test_wrong_colours_keep_the_light() -> None:
    ramp = np.linspace(40, 200, 64, dtype=np.uint8)
    picture = np.stack([np.broadcast_to(ramp, (64, 64))] * 3, axis=-1)
    wrong = spoil_colours(picture, np.random.default_rng(0)).astype(float)
    assert np.ptp(wrong, axis=-1).mean() > 100, "saturated"
    light = wrong @ [0.299, 0.587, 0.114]
    assert np.corrcoef(light.ravel(), picture[..., 0].ravel())[0, 1] > 0.9


def test_pictures_that_were_not_kept_are_missing(tmp_path: Path, finish_run: Finish, colorbench: Colorbench) -> None:
    finish_run(tmp_path, {"one": {"psnr": 20.0}}, method="gray")
    status, _, told = colorbench("study", tmp_path)
    assert status == 3
    assert "no coloured pictures of gray--none" in told
    assert "colorbench run test-v1 --out NEW --save-images" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--methods", "gray,sepai"), "did you mean sepia--none"),
        (("--methods", "gray"), "needs two methods"),
        (("--trials", 500), "18 different trials"),
        (("--checks", 99), "too many"),
        (("--exposure", "soon"), "seconds above 0"),
        (("--layout", "turns"), "--exposure in seconds"),
        (("--dataset", "sample"), "did you mean samples"),
    ],
)
def test_wishes_that_cannot_be_met_are_named(
    output: Path, colorbench: Colorbench, options: tuple[object, ...], words: str
) -> None:
    status, _, told = colorbench("study", output, "--practice", 8, "--pictures", 7, *options)
    assert status == 2
    assert words in told


def test_command_says_what_participants_get(output: Path, colorbench: Colorbench) -> None:
    status, told, _ = colorbench(
        "study", output, "--protocol", "which-real", "--participants", 3, "--trials", 5, "--checks", 2
    )
    assert status == 0
    key = read_key(output / "study")
    assert (key.exposure, key.layout, key.trials_per_session) == (1.0, Layout.turns, 5)
    assert f"one of the 3 folders in {output / 'study' / 'page'}" in told
    assert "clicks at random passes the checks in 25 % of the cases" in told
    assert "How far blindness goes" in (output / "study" / "README.txt").read_text(encoding="utf-8")


def test_key_of_another_hand_is_refused(folder: Path) -> None:
    key = json.loads((folder / "key.json").read_text())
    key["trials"][0]["shown"][0] = "stranger--none"
    (folder / "key.json").write_text(json.dumps(key))
    with pytest.raises(Exception, match="stranger--none"):
        read_key(folder)
    with pytest.raises(MissingError, match=r"no key\.json"):
        read_key(folder / "page")


def test_studies_may_hold_one_picture(output: Path) -> None:
    one = replace(gather(output), keys=("album/photo 0",))
    key: Key = make_key(Settings(participants=2, practice=3, checks=1), one, "salt")
    assert {trial.image for trial in key.trials} == {"album/photo 0"}


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "61", ""])
def test_exposures_have_an_end(text: str) -> None:
    with pytest.raises(UsageError):
        parse_exposure(text)
