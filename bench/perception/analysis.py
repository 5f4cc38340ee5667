"""What the answers of a study say: who is counted, how often each method fooled or pleased, and what biased it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, groupby
from statistics import median

from bench.errors import CommandError
from bench.perception.answers import Answer
from bench.perception.attention import LEAST_CHECKS, needed
from bench.perception.key import Key
from bench.perception.protocols import REAL, SIDES, ProtocolId
from bench.perception.shares import Share, Vote, estimate_share, even_p
from bench.perception.stimuli import TRUTH
from bench.perception.strengths import Choice, Strength, fit_strengths

MOST_OFF = 0.1
"""Seconds by which an exposure may differ from the planned one."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Hold what one participant did; `reason` says why none of it is counted, and is empty where it is."""

    name: str
    session: int
    planned: int
    answered: int
    checks_right: int
    checks: int
    response: float
    first_share: float
    reason: str

    @property
    def stopped(self) -> bool:
        """Return whether too few checks were answered to tell anything."""
        return bool(self.reason) and self.checks < LEAST_CHECKS and self.answered < self.planned


@dataclass(frozen=True, slots=True)
class Exposure:
    """Hold in seconds how long pictures were really seen, over all answers of counted participants."""

    median: float
    shortest: float
    longest: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold how often `a` was preferred to `b`."""

    a: str
    b: str
    share: Share


@dataclass(frozen=True, slots=True)
class Results:
    """Hold everything that is told of a study.

    Attributes:
        counted: answers behind all shares: without checks, excluded participants and trials left out.
        left_out: trials whose pictures were not seen as planned.
        hidden: those of them during which the page was out of sight.
        rates: by method, and for `real-fake` of the truth first: how often its picture was taken for real, or
            preferred to another one.
        pairs: for `preference`, of any two methods.
        strengths: for `preference`; empty where there are none, and then `no_strengths` says why.
        first: share of the left or, where one picture is shown, of the answer "real".
        first_p: p-value that left and right were equally likely; None where one picture is shown, or for fewer than two
            participants.
        checks: attention checks that all participants, also excluded ones, got right.
        response: median in seconds; None without counted answers, like `exposure`.
    """

    key: Key
    participants: tuple[Participant, ...]
    counted: tuple[Answer, ...]
    left_out: int
    hidden: int
    rates: tuple[tuple[str, Share], ...]
    pairs: tuple[Pair, ...]
    strengths: tuple[Strength, ...]
    no_strengths: str
    first: Share
    first_p: float | None
    checks: Share
    response: float
    exposure: Exposure


def analyse(key: Key, answers: Sequence[Answer]) -> Results:
    """Count the answers of a study.

    A participant is excluded who may have clicked at random as far as the attention checks tell, or who stopped before
    five of them. A trial is left out during which the page was out of sight; where pictures are seen for a set time,
    also one that was off by more than 0.1 s, or begun again after a reload.

    Raises:
        CommandError: Nothing is left.
    """
    participants = tuple(_participant(key, list(own)) for _, own in groupby(answers, lambda one: one.participant))
    valid = {one.name for one in participants if not one.reason}
    tests = [one for one in answers if one.trial.kind == "test" and one.participant in valid]
    counted = tuple(one for one in tests if seen_as_planned(key, one))
    if not counted:
        reasons = "; ".join(f"{one.name}: {one.reason or 'no trial seen as planned'}" for one in participants)
        raise CommandError(f"no answer can be counted: {reasons}")
    preference = key.protocol is ProtocolId.preference
    strengths, reason = fit_strengths(key.methods, list(map(_choice, counted))) if preference else ([], "")
    firsts = _votes(counted, lambda one: one.answer == key.asked.answers[0])
    return Results(
        key=key,
        participants=participants,
        counted=counted,
        left_out=len(tests) - len(counted),
        hidden=sum(one.hidden for one in tests),
        rates=tuple(_rates(key, counted)),
        pairs=tuple(_pairs(key, counted)) if preference else (),
        strengths=tuple(strengths),
        no_strengths=reason,
        first=estimate_share(firsts),
        first_p=even_p(firsts) if key.asked.paired else None,
        checks=_share([one for one in answers if one.trial.kind == "check"], is_right),
        response=median(one.response for one in counted),
        exposure=_exposure(counted),
    )


def is_right(answer: Answer) -> bool:
    """Return whether an answer is the true one."""
    return answer.answer == answer.trial.right_answer


def seen_as_planned(key: Key, answer: Answer) -> bool:
    """Return whether the page was in sight, and pictures with a set time were seen once and for that time."""
    if key.exposure is None or answer.hidden:
        return not answer.hidden
    return answer.showings == 1 and all(abs(each - key.exposure) <= MOST_OFF for each in answer.exposures)


def chosen_of(answer: Answer) -> str:
    """Return what was shown on the side that was chosen."""
    return answer.trial.shown[SIDES.index(answer.answer)]


def _participant(key: Key, own: Sequence[Answer]) -> Participant:
    checks = [is_right(one) for one in own if one.trial.kind == "check"]
    reason = ""
    if len(checks) < min(key.checks, LEAST_CHECKS):
        reason = f"stopped after {len(checks)} of {key.checks} attention checks"
    elif sum(checks) < needed(len(checks)):
        reason = f"{sum(checks)} of {len(checks)} attention checks right"
    return Participant(
        name=own[0].participant,
        session=own[0].session,
        planned=key.trials_per_session + key.checks,
        answered=len(own),
        checks_right=sum(checks),
        checks=len(checks),
        response=median(one.response for one in own),
        first_share=sum(one.answer == key.asked.answers[0] for one in own) / len(own),
        reason=reason,
    )


def _share(answers: Iterable[Answer], counts: Callable[[Answer], bool]) -> Share:
    return estimate_share(_votes(answers, counts))


def _votes(answers: Iterable[Answer], counts: Callable[[Answer], bool]) -> list[Vote]:
    return [(one.participant, one.trial.image, counts(one)) for one in answers]


def _rates(key: Key, counted: Sequence[Answer]) -> Iterable[tuple[str, Share]]:
    """Yield each method, after the truth where that was shown alone, with its share."""
    names = [TRUTH, *key.methods] if key.protocol is ProtocolId.real_fake else list(key.methods)
    for name in names:
        own = [one for one in counted if name in one.trial.shown]
        if key.asked.paired:
            yield name, _share(own, partial(_chose, name))
        else:
            yield name, _share(own, lambda one: one.answer == REAL)


def _pairs(key: Key, counted: Sequence[Answer]) -> Iterable[Pair]:
    for a, b in combinations(key.methods, 2):
        own = [one for one in counted if {a, b} == set(one.trial.shown)]
        yield Pair(a, b, _share(own, partial(_chose, a)))


def _chose(name: str, answer: Answer) -> bool:
    return chosen_of(answer) == name


def _choice(answer: Answer) -> Choice:
    chosen = chosen_of(answer)
    (other,) = set(answer.trial.shown) - {chosen}
    return answer.participant, answer.trial.image, chosen, other


def _exposure(counted: Sequence[Answer]) -> Exposure:
    seen = [seconds for one in counted for seconds in one.exposures]
    return Exposure(median(seen), min(seen), max(seen))
