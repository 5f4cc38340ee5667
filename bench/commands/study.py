"""The command that asks people: makes the page of a study, and reads its answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import AsJson, print_json
from bench.errors import MissingError, UsageError
from bench.perception.protocols import PROTOCOLS, UNLIMITED, Layout, ProtocolId, parse_exposure

if TYPE_CHECKING:
    from bench.perception.key import Key

STUDY_FOLDER = "study"


def study(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run with --save-images.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the study; `study` in DIR if left out.")] = None,
    answers: Annotated[
        list[Path] | None, typer.Option("--answers", help="Files of answers, or folders of them: analyse these.")
    ] = None,
    protocol: Annotated[ProtocolId, typer.Option(help="What participants are asked.")] = ProtocolId.preference,
    methods: Annotated[str | None, typer.Option(help="METHOD or METHOD--DETECTOR, by commas; all if left out.")] = None,
    dataset: Annotated[str | None, typer.Option(help="May be left out where there is one.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Counted trials of each; up to 40 if left out.")] = None,
    participants: Annotated[int, typer.Option(min=1, help="How many sessions, a folder for each.")] = 40,
    exposure: Annotated[str | None, typer.Option(help="Seconds a picture is seen, or unlimited.")] = None,
    layout: Annotated[Layout | None, typer.Option(help="Both pictures at once, or one after the other.")] = None,
    practice: Annotated[int | None, typer.Option(min=0, help="Trials with feedback before the others.")] = None,
    checks: Annotated[
        int | None, typer.Option(min=0, help="Attention checks; one in ten trials, and eight at least, if left out.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="The most that are shown, drawn by the seed.")] = 50,
    seed: Annotated[
        int, typer.Option(min=0, help="Draws pictures and, with the salt in key.json, orders and sides.")
    ] = 0,
    consent: Annotated[Path | None, typer.Option(help="Text file that the page shows above the consent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a page that asks people which colours are better or real; with --answers, say what they answered."""
    where = out or folder / STUDY_FOLDER
    if answers:
        _analyse(where, answers, as_json=as_json)
        return
    from bench.perception.page import write_study
    from bench.perception.plan import Settings
    from bench.perception.stimuli import gather

    asked = PROTOCOLS[protocol]
    seconds = asked.exposure if exposure is None else parse_exposure(exposure)
    settings = Settings(
        protocol=protocol,
        exposure=seconds,
        layout=_layout(layout, asked.layout, timed=seconds is not None and asked.paired),
        trials=trials,
        participants=participants,
        practice=asked.practice if practice is None else practice,
        checks=checks,
        pictures=pictures,
        seed=seed,
    )
    names = [name for name in (methods or "").split(",") if name]
    key = write_study(where, settings, gather(folder, names, dataset), _read_consent(consent))
    if as_json:
        print_json(key.model_dump(mode="json", exclude={"trials"}))
        return
    typer.echo(_told(folder, where, key))


def _told(folder: Path, where: Path, key: "Key") -> str:
    """Return what the researcher should know of a page that was made."""
    from bench.perception.attention import LEAST_CHECKS, chance, needed

    shown = UNLIMITED if key.exposure is None else f"{key.exposure:g} s"
    size = sum(path.stat().st_size for path in (where / "page").rglob("*.png")) / key.participants
    lines = [
        f"{where / 'page'}: {key.protocol}, {len(key.methods)} methods, {key.pictures} pictures, "
        f"{key.trials_per_session} trials with {key.checks} more as attention checks for each of {key.participants} "
        f"participants, exposure {shown}, {size / 1e6:.1f} MB for each",
        f"Give each participant one of the {key.participants} folders in {where / 'page'}, and a number of their own; "
        f"{where / 'key.json'} tells what is shown, and {where / 'README.txt'} how far blindness goes.",
        f"Then: colorbench study {folder} --out {where} --answers FILE...",
    ]
    if key.checks < LEAST_CHECKS:
        passes = chance(needed(key.checks), key.checks)
        lines.insert(
            1, f"Somebody who clicks at random passes the checks in {100 * passes:.0f} % of the cases: give more."
        )
    return "\n".join(lines)


def _layout(wanted: Layout | None, customary: Layout, *, timed: bool) -> Layout:
    """Return how two pictures are shown: at once where they stay.

    Raises:
        UsageError: Pictures are to take turns that stay, or of which there is one.
    """
    if wanted is Layout.turns and not timed:
        raise UsageError("--layout turns needs two pictures that are seen for a while: give --exposure in seconds")
    return wanted or (customary if timed else Layout.together)


def _read_consent(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingError(f"{path} is not there: give --consent a text file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: give --consent another file") from error


def _analyse(where: Path, answers: list[Path], *, as_json: bool) -> None:
    from bench.perception.analysis import analyse
    from bench.perception.answers import read_answers
    from bench.perception.document import to_document, write_results
    from bench.perception.key import read_key
    from bench.perception.results import print_results

    key = read_key(where)
    found = analyse(key, read_answers(key, answers))
    write_results(where, found)
    if as_json:
        print_json(to_document(found))
    else:
        print_results(found)
