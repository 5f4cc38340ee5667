"""Make a study: a folder with a page that anybody may see, and beside it the key that tells what was shown."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bench.errors import UsageError
from bench.files import atomic_write, writing
from bench.perception.design import generator_of
from bench.perception.key import KEY_FILE, Key, Trial, read_key
from bench.perception.plan import Settings, plan_trials
from bench.perception.protocols import UNLIMITED
from bench.perception.stimuli import TRUTH, WRONG, Gathered, Pixels, spoil_colours
from bench.progress import progress
from bench.provenance import canonical_digest

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "page"
DIGEST_LENGTH = 16


def write_study(folder: Path, settings: Settings, gathered: Gathered, consent: str = "") -> Key:
    """Write `key.json` and `page/` into a folder; made again from equal input, all bytes are equal.

    Args:
        folder: gets both; only `page` is for participants.
        settings: of the study.
        gathered: methods and pictures.
        consent: paragraphs that stand above the consent, with blank lines between them.

    Raises:
        UsageError: The folder holds another study.
    """
    key = make_key(settings, gathered)
    if (folder / KEY_FILE).exists() and read_key(folder).study != key.study:
        raise UsageError(
            f"{folder} holds another study, whose answers would be lost with its key: give another --out, or delete it"
        )
    atomic_write(folder / KEY_FILE, key.to_json())
    write_pictures(folder / PAGE / "pictures", key, gathered)
    atomic_write(folder / PAGE / "index.html", render(key, consent))
    return key


def make_key(settings: Settings, gathered: Gathered) -> Key:
    """Plan the study and give it its digest, of all that the key holds."""
    plan = plan_trials(settings, gathered)
    key = Key(
        study="",
        protocol=settings.protocol,
        layout=settings.layout,
        exposure=settings.exposure,
        dataset=gathered.methods[0].record.dataset,
        pictures=plan.pictures,
        run_ids={method.name: method.record.run_id for method in gathered.methods},
        seed=settings.seed,
        participants=settings.participants,
        trials_per_session=plan.counted,
        checks=plan.checks,
        trials=plan.trials,
    )
    digest = canonical_digest(key.model_dump(mode="json"))
    return key.model_copy(update={"study": digest[:DIGEST_LENGTH]})


def write_pictures(folder: Path, key: Key, gathered: Gathered) -> None:
    """Write each picture once, decoded and encoded anew, so that no file tells by its form where it is from."""
    wanted = {
        file: (trial.image, shown) for trial in key.trials for shown, file in zip(trial.shown, trial.files, strict=True)
    }
    with progress("pictures of the study", len(wanted)) as advance:
        for file, (image, shown) in sorted(wanted.items()):
            with writing(folder / file):
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(_stimulus(gathered, image, shown, key.seed)).save(folder / file)
            advance()


def _stimulus(gathered: Gathered, image: str, shown: str, seed: int) -> Pixels:
    if shown == WRONG:
        return spoil_colours(gathered.read(image, TRUTH), generator_of(seed, "wrong colours", image))
    return gathered.read(image, shown)


def render(key: Key, consent: str) -> str:
    """Return the page as HTML."""
    script = (TEMPLATES / "study.js").read_text(encoding="utf-8")
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2").render(
        data=page_data(key),
        asked=key.asked,
        key=key,
        minutes=minutes(key),
        practice=sum(trial.kind == "practice" for trial in key.trials),
        consent=[part.strip() for part in consent.split("\n\n") if part.strip()],
        exposure=UNLIMITED if key.exposure is None else f"{key.exposure:g} s",
        script=Markup(script),  # noqa: S704
        style=Markup(style),  # noqa: S704
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def minutes(key: Key) -> int:
    """Return about how long a session takes: five seconds a trial beside the exposures."""
    shown = (key.exposure or 0) * (2 if key.layout == "turns" else 1)
    trials = key.trials_per_session + key.checks + sum(trial.kind == "practice" for trial in key.trials)
    return max(1, round(trials * (5 + shown) / 60))


def page_data(key: Key) -> dict[str, Any]:
    """Return what the page knows: names that tell nothing, and true answers for practice alone."""
    return {
        "study": key.study,
        "answers": key.asked.answers,
        "paired": key.asked.paired,
        "turns": key.layout == "turns",
        "exposure": key.exposure,
        "practice": [[*_entry(trial), trial.right_answer] for trial in key.trials if trial.kind == "practice"],
        "sessions": [[_entry(trial) for trial in session] for session in key.sessions.values()],
    }


def _entry(trial: Trial) -> list[str]:
    return [trial.id, *(file.removesuffix(".png") for file in trial.files)]
