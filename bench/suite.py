"""A suite: which methods, detectors, data and seeds are compared, and under which protocol. Knows no torch."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import catalog
from bench.box_errors import ERROR_KINDS, BoxErrors, error_label
from bench.errors import UsageError
from bench.scoring.metrics import find_metric
from bench.tracks import track_of
from datamodules.protocol import PROTOCOLS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LARGEST_FILE = 1_000_000
MOST_HINTS = 10_000
MOST_BOXES = 100
DEFAULT_METRICS = ("psnr", "ssim", "lpips_squeeze")


def check_name(name: str) -> str:
    """Return a name that can be a folder's, on any file system.

    Raises:
        UsageError: It has other characters than letters, digits, `.`, `_`, `-`, begins with a mark, or is too long.
    """
    if NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name[:120]!r} cannot be a name: use 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter "
            "or digit"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]


class Choice(BaseModel):
    """Name one thing of the catalog, and the name under which it stands in the tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: Name = ""

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: Any) -> Any:
        """Read a bare id as an object, and let the name default to the id."""
        fields = {"id": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else value
        if isinstance(fields, dict) and isinstance(fields.get("id"), str):
            fields.setdefault("name", cls._usual_name(fields))
        return fields

    @classmethod
    def _usual_name(cls, fields: Mapping[str, Any]) -> str:
        """Return the name of a choice that was given none."""
        return str(fields["id"])


class MethodChoice(Choice):
    """Choose a method.

    `weights` is a folder, `untrained`, or None for what is found by the method's id. `hints` is how many squares of
    each picture give their true colour away, to a method that takes hints; without a name such a choice is called
    `<id>-hints<N>`, so that no table takes it for the unaided method. In a suite it may be a list, which stands for as
    many methods, each with that ending.
    """

    weights: str | None = None
    hints: int = Field(default=0, ge=0, le=MOST_HINTS, strict=True)

    @classmethod
    def _usual_name(cls, fields: Mapping[str, Any]) -> str:
        return f"{fields['id']}{_hints_label(fields.get('hints'))}"

    @model_validator(mode="after")
    def _known(self) -> Self:
        catalog.known("method", self.id, catalog.methods())
        if self.hints and not catalog.methods()[self.id].uses_hints:
            takers = ", ".join(name for name, card in catalog.shipped_methods().items() if card.uses_hints)
            raise UsageError(
                f"{self.id} takes no hints, but was given `hints: {self.hints}`: leave it out, or choose {takers}"
            )
        if self.id in catalog.shipped_methods():  # the card of another imports it and torch
            self.check_hints()
        return self

    def check_hints(self) -> None:
        """Refuse a method that needs hints and is given none.

        Raises:
            UsageError: It is one.
        """
        if self.track == "hints":
            raise UsageError(
                f"{self.id} has no colours but those of hints: say how many squares of each picture it is given, such "
                f"as {{id: {self.id}, hints: 10}}"
            )

    @property
    def track(self) -> str:
        """Return among which runs it is ranked."""
        return track_of(catalog.methods()[self.id].track, self.hints)

    @property
    def untrained(self) -> bool:
        """Whether the method is to be tried with random weights."""
        return self.weights == "untrained"


class DetectorChoice(BoxErrors, Choice):
    """Choose a detector, which of its boxes methods see, and what is done to these boxes on purpose.

    `score_threshold` is the least confidence, `max_boxes` the most boxes a photo. Of more, `choice` takes the best, or
    as many `random` ones, drawn by seed and picture from the best `MOST_BOXES`.

    Errors are made to the boxes that are left then, by the seed of the run, and methods see all that come of it. In a
    suite one of `drop`, `jitter`, `duplicate` and `add` may be a list, which stands for as many detectors. Without a
    name such a choice is called `<id>-drop0.5`, and each of a list gets that ending.
    """

    weights: str | None = None
    score_threshold: float = Field(default=0.7, ge=0, le=1)
    max_boxes: int = Field(default=8, ge=1, le=MOST_BOXES)
    choice: Literal["best", "random"] = "best"

    @model_validator(mode="after")
    def _known(self) -> Self:
        catalog.known("detector", self.id, catalog.detectors())
        if self.kinds:
            self._check_errors()
        return self

    def _check_errors(self) -> None:
        made = ", ".join(f"{kind}: {self.size(kind):g}" for kind in self.kinds)
        if self.id == "none":
            raise UsageError(f"the detector `none` has no boxes that `{made}` could be done to: choose another one")
        if self.choice == "random":
            raise UsageError(f"{self.name}: `{made}` is for the boxes of `choice: best`; leave `choice: random` out")
        if self.seen_boxes > MOST_BOXES:
            raise UsageError(
                f"{self.name}: {self.max_boxes} boxes with `{made}` become {self.seen_boxes}, more than the "
                f"{MOST_BOXES} that a method can be given: lower max_boxes, duplicate or add"
            )

    @classmethod
    def _usual_name(cls, fields: Mapping[str, Any]) -> str:
        return f"{fields['id']}{error_label(fields)}"

    @property
    def kept_boxes(self) -> int:
        """Return how many boxes a photo the box file holds, before errors are made."""
        return self.max_boxes if self.choice == "best" else MOST_BOXES

    @property
    def seen_boxes(self) -> int:
        """Return how many boxes a photo a method may see, with errors."""
        return self.max_boxes * (1 + self.duplicate) + self.add

    @property
    def errors(self) -> BoxErrors:
        """Return what is done to the boxes."""
        return BoxErrors.model_validate({kind: getattr(self, kind) for kind in ERROR_KINDS})

    @property
    def exact(self) -> Self:
        """Return the same detector, under its id, with its boxes as they are."""
        return self.model_copy(update={**BoxErrors().model_dump(), "name": self.id})


class DatasetChoice(Choice):
    """Choose a dataset. `root` and `annotations` are looked for below `--data-root`, else beside the suite's file.

    `count`, `size` and `seed` are those of `synthetic`: test scenes, pixels a side, and the generator's seed.
    """

    root: str | None = None
    annotations: str | None = None
    split: str | None = None
    count: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=16)
    seed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _known(self) -> Self:
        catalog.known("dataset", self.id, catalog.datasets())
        return self


class Suite(BaseModel):
    """Say what is compared. Every field can stand in the suite's YAML file.

    Attributes:
        batch_size: pictures a forward pass; recorded, since it may change the last bits of a network's output.
        limit: score the first so many pictures of each dataset only; such runs are partial and never ranked.
        expected: digests that must hold before anything is computed; written by `run` into `config.yaml`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    methods: tuple[MethodChoice, ...] = Field(min_length=1)
    detectors: tuple[DetectorChoice, ...] = (DetectorChoice(id="annotations"),)
    datasets: tuple[DatasetChoice, ...] = Field(min_length=1)
    protocol: str = "stretch256-v1"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    seeds: tuple[int, ...] = (0,)
    batch_size: int = Field(default=4, ge=1)
    precision: Literal["32", "bf16"] = "32"
    limit: int | None = Field(default=None, ge=1)
    expected: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Write out every detector with a list of errors, and every method with a list of hints."""
        if not isinstance(value, Mapping):
            return value
        expanded = {
            key: [one for choice in value[key] for one in expand(choice)]
            for key, expand in (("methods", expand_hints), ("detectors", expand_errors))
            if isinstance(value.get(key), list | tuple)
        }
        return {**value, **expanded}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        catalog.known("protocol", self.protocol, PROTOCOLS)
        for metric in self.metrics:
            find_metric(metric)
        if not self.seeds or min(self.seeds) < 0:
            raise UsageError(f"seeds are {list(self.seeds)}: give one or more whole numbers from 0")
        _unique("method", self.methods)
        _unique("detector", self.detectors)
        _unique("dataset", self.datasets)
        return self


def expand_hints(method: Any) -> list[Any]:
    """Return the methods that one entry of a suite stands for: one for each number of hints of its list, if it has one.

    >>> [one["hints"] for one in expand_hints({"id": "levin-2004", "hints": [1, 10]})]
    [1, 10]

    Raises:
        UsageError: The list is empty.
    """
    if not isinstance(method, Mapping) or not isinstance(method.get("hints"), list):
        return [method]
    if not method["hints"]:
        raise UsageError(f"method {method.get('id')!r} has an empty list of hints: give one number or more")
    name = method.get("name")
    choices: list[dict[str, Any]] = [{**method, "hints": count} for count in method["hints"]]
    if isinstance(name, str):
        return [{**choice, "name": f"{name}{_hints_label(choice['hints'])}"} for choice in choices]
    return choices


def _hints_label(hints: object) -> str:
    """Return what follows a method's name, from a number of hints that need not be valid yet."""
    return f"-hints{hints}" if isinstance(hints, int) and hints > 0 else ""


def expand_errors(detector: Any) -> list[Any]:
    """Return the detectors that one entry of a suite stands for: one for each error of its list, if it has one.

    >>> [one["drop"] for one in expand_errors({"id": "annotations", "drop": [0.25, 0.5]})]
    [0.25, 0.5]

    Raises:
        UsageError: Two errors are lists, or a list is empty.
    """
    listed = [kind for kind in ERROR_KINDS if isinstance(detector, Mapping) and isinstance(detector.get(kind), list)]
    if not listed:
        return [detector]
    kind, sizes = listed[0], detector[listed[0]]
    if len(listed) > 1 or not sizes:
        given = ", ".join(f"{name}: {detector[name]}" for name in listed)
        raise UsageError(
            f"detector {detector.get('id')!r} has {given}: give one list with one size or more, and further detectors "
            "for other errors"
        )
    name = detector.get("name")
    choices: list[dict[str, Any]] = [{**detector, kind: size} for size in sizes]
    if isinstance(name, str):
        return [{**choice, "name": f"{name}{error_label({kind: choice[kind]})}"} for choice in choices]
    return choices


def _unique(kind: str, choices: Sequence[Choice]) -> None:
    seen: set[str] = set()
    for choice in choices:
        if choice.name in seen:
            raise UsageError(f"two {kind}s are called {choice.name!r}: give one of them another `name:`")
        seen.add(choice.name)


def parse_suite(text: str, source: str) -> Suite:
    """Read a suite from YAML text; `source` names it in errors.

    Raises:
        UsageError: It is no YAML, no mapping, or has keys or values that a suite does not know.
    """
    if len(text) > LARGEST_FILE:
        raise UsageError(f"{source} has {len(text):,} characters; a suite has at most {LARGEST_FILE:,}")
    content = catalog.parse_yaml(text, source, ("name", "methods", "datasets"))
    if "command" in content:
        raise UsageError(
            f"{source} is no suite, but says how a folder was scored: repeat it by `{content['command']}`, with the "
            "folders where they are now"
        )
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        kinds = (Suite, MethodChoice, DetectorChoice, DatasetChoice)
        raise UsageError(f"{source}: {catalog.explain(error, *kinds)}") from error


def load_suite(name: str) -> tuple[Suite, Path]:
    """Read a suite by file or by the id of one that ships with colorbench.

    Returns:
        The suite, and the folder that its relative paths may be meant from.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.exists():
        if not path.is_file():
            raise UsageError(f"no suite at {name}: give a YAML file, or one of {', '.join(catalog.suites())}")
        return parse_suite(catalog.read_text(path), name), path.parent
    path = catalog.suites()[catalog.known("suite", name, catalog.suites())]
    return parse_suite(catalog.read_text(path), name), Path()
