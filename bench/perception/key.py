"""The key of a study: what each trial showed, kept by the researcher and never beside the page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from bench.errors import CommandError, MissingError
from bench.perception.protocols import FAKE, PROTOCOLS, REAL, SIDES, Layout, Protocol, ProtocolId
from bench.perception.stimuli import TRUTH, WRONG

SCHEMA: Literal[1] = 1
KEY_FILE = "key.json"
Kind = Literal["practice", "check", "test"]


class Trial(BaseModel):
    """Hold one trial.

    Attributes:
        id: by which the page and the answers name it; it tells nothing.
        session: from 1; 0 for practice, which all participants share.
        image: key of the picture in its dataset.
        shown: methods, the truth or the wrong colours; the left one first.
        files: names of the shown pictures in the session's folder, in the same order; no other trial has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Kind
    session: NonNegativeInt
    image: str
    shown: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def right_answer(self) -> str | None:
        """Return the answer that is true, None where none is: two methods have none."""
        if len(self.shown) == 1:
            return REAL if self.shown[0] == TRUTH else FAKE
        return SIDES[self.shown.index(TRUTH)] if TRUTH in self.shown else None


class Key(BaseModel):
    """Hold everything about one study; written as `key.json`.

    Attributes:
        schema_: version of this form; `schema` in JSON.
        study: digest that the page writes into every answer.
        exposure: seconds that a picture is seen; None until the answer.
        run_ids: of the run of each method.
        salt: of all names, orders and sides; who has it can work out the rest.
        folders: of the sessions, below the page's folder and in their order.
        participants: how many sessions were planned.
        trials_per_session: that are counted, without practice and checks.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    study: str
    protocol: ProtocolId
    layout: Layout
    exposure: PositiveFloat | None
    dataset: str
    pictures: PositiveInt
    run_ids: dict[str, str]
    seed: int
    salt: str
    folders: tuple[str, ...]
    participants: PositiveInt
    trials_per_session: PositiveInt
    checks: NonNegativeInt
    trials: tuple[Trial, ...]

    @property
    def asked(self) -> Protocol:
        """Return the protocol."""
        return PROTOCOLS[self.protocol]

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the names of the methods, sorted."""
        return tuple(sorted(self.run_ids))

    @cached_property
    def by_id(self) -> Mapping[str, Trial]:
        """Return the trials by their ids."""
        return {trial.id: trial for trial in self.trials}

    @cached_property
    def sessions(self) -> Mapping[int, Sequence[Trial]]:
        """Return the trials of each session in order, by its number from 1."""
        found: dict[int, list[Trial]] = {number: [] for number in range(1, self.participants + 1)}
        for trial in self.trials:
            if trial.kind != "practice":
                found.setdefault(trial.session, []).append(trial)
        return found

    @cached_property
    def session_of_file(self) -> Mapping[str, int]:
        """Return the session of each picture file, 0 for practice."""
        return {file: trial.session for trial in self.trials for file in trial.files}

    def to_json(self) -> str:
        """Return the content of `key.json`."""
        return self.model_dump_json(indent=1) + "\n"


def read_key(folder: Path) -> Key:
    """Read the key of a study.

    Raises:
        MissingError: The folder holds none.
        CommandError: It cannot be read, or contradicts itself.
    """
    path = folder / KEY_FILE
    if not path.is_file():
        raise MissingError(f"no {KEY_FILE} in {folder}: give the --out FOLDER that `colorbench study` made the page in")
    try:
        key = Key.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CommandError(f"{path} is no key ({str(error).splitlines()[0]}): make the page again") from error
    names = {*key.methods, TRUTH, WRONG}
    strange = sorted({name for trial in key.trials for name in trial.shown} - names)
    twice = [name for name, count in Counter(trial.id for trial in key.trials).items() if count > 1]
    if strange or twice:
        raise CommandError(f"{path} was changed: {', '.join([*strange, *twice])} does not fit; make the page again")
    return key
