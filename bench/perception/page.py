"""Make a study: a folder with a page for each participant, and beside them the key that tells what was shown.

How far blindness goes: the folder of a session holds its own trials alone. No name, no length of a file, no byte
beside the picture itself and no number of repeats tells what is shown, not even to somebody who has these programs and
the options of the study: everything is drawn from a salt that stands in the key. What is left is the pictures. Where a
session has more trials than pictures, a picture comes again, and its truth with it; whoever remembers it, or compares
decoded pictures of one session or of several, finds the version that comes with different partners. Whoever knows the
photograph from elsewhere knows it here. Practice tells its answers; its files are not those of counted trials, nor are
its pictures where there are five or more.
"""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.errors import UsageError
from bench.files import atomic_write
from bench.html_pages import page_environment, script_digest
from bench.perception.key import KEY_FILE, Key, Trial, read_key
from bench.perception.pictures import write_pictures
from bench.perception.plan import Settings, plan_trials
from bench.perception.protocols import UNLIMITED
from bench.perception.secret import Secret, new_salt
from bench.perception.stimuli import Gathered
from bench.provenance import canonical_digest

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "page"
README = "README.txt"
DIGEST_LENGTH = 16


def write_study(folder: Path, settings: Settings, gathered: Gathered, consent: str = "") -> Key:
    """Write `key.json` and `page/` into a folder; made again in the same folder, all bytes are equal.

    Args:
        folder: gets both; a participant gets one of the folders in `page`, and nothing else.
        settings: of the study.
        gathered: methods and pictures.
        consent: paragraphs that stand above the consent, with blank lines between them.

    Raises:
        UsageError: The folder holds another study.
    """
    before = read_key(folder) if (folder / KEY_FILE).exists() else None
    key = make_key(settings, gathered, before.salt if before else new_salt())
    if before and before.study != key.study:
        raise UsageError(
            f"{folder} holds another study, whose answers would be lost with its key: give another --out, or delete it"
        )
    atomic_write(folder / KEY_FILE, key.to_json())
    atomic_write(folder / README, (TEMPLATES / README).read_text(encoding="utf-8"))
    write_pictures(folder / PAGE, key, gathered)
    for session, name in enumerate(key.folders, 1):
        atomic_write(folder / PAGE / name / "index.html", render(key, session, consent))
    return key


def make_key(settings: Settings, gathered: Gathered, salt: str) -> Key:
    """Plan the study and give it its digest, of all that the key holds."""
    secret = Secret(salt, settings.seed)
    digits = len(str(settings.participants))
    sessions = range(1, settings.participants + 1)
    plan = plan_trials(settings, gathered, secret)
    key = Key(
        study="",
        protocol=settings.protocol,
        layout=settings.layout,
        exposure=settings.exposure,
        dataset=gathered.methods[0].record.dataset,
        pictures=plan.pictures,
        run_ids={method.name: method.record.run_id for method in gathered.methods},
        seed=settings.seed,
        salt=salt,
        folders=tuple(f"{number:0{digits}}-{secret.name('session', number)}" for number in sessions),
        participants=settings.participants,
        trials_per_session=plan.counted,
        checks=plan.checks,
        trials=plan.trials,
    )
    digest = canonical_digest(key.model_dump(mode="json"))
    return key.model_copy(update={"study": digest[:DIGEST_LENGTH]})


def render(key: Key, session: int, consent: str) -> str:
    """Return the page of a session as HTML."""
    script = (TEMPLATES / "study.js").read_text(encoding="utf-8")
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    return (
        page_environment(TEMPLATES)
        .get_template("study.html.j2")
        .render(
            data=page_data(key, session),
            asked=key.asked,
            key=key,
            minutes=minutes(key),
            practice=sum(trial.kind == "practice" for trial in key.trials),
            consent=[part.strip() for part in consent.split("\n\n") if part.strip()],
            exposure=UNLIMITED if key.exposure is None else f"{key.exposure:g} s",
            script=Markup(script),  # noqa: S704 - our own file
            style=Markup(style),  # noqa: S704 - our own file
            script_digest=script_digest(script),
        )
    )


def minutes(key: Key) -> int:
    """Return about how long a session takes: five seconds a trial beside the exposures."""
    shown = (key.exposure or 0) * (2 if key.layout == "turns" else 1)
    trials = key.trials_per_session + key.checks + sum(trial.kind == "practice" for trial in key.trials)
    return max(1, round(trials * (5 + shown) / 60))


def page_data(key: Key, session: int) -> dict[str, Any]:
    """Return what the page of a session knows: names that tell nothing, and true answers for practice alone."""
    return {
        "study": key.study,
        "session": session,
        "answers": key.asked.answers,
        "paired": key.asked.paired,
        "turns": key.layout == "turns",
        "exposure": key.exposure,
        "practice": [[*_entry(trial), trial.right_answer] for trial in key.trials if trial.kind == "practice"],
        "trials": [_entry(trial) for trial in key.sessions[session]],
    }


def _entry(trial: Trial) -> list[str]:
    return [trial.id, *(file.removesuffix(".png") for file in trial.files)]
