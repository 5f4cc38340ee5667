"""Plan a study: its pictures, conditions, practice and attention checks, and the trials of every participant."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.errors import UsageError
from bench.perception.design import Shown, deal, generator_of, scatter
from bench.perception.key import Trial
from bench.perception.protocols import PROTOCOLS, Layout, ProtocolId
from bench.perception.secret import Secret
from bench.perception.stimuli import TRUTH, WRONG, Gathered

TRIALS = 40
PARTICIPANTS = 40
PICTURES = 50
CHECK_SHARE = 0.1
FEWEST_CHECKS = 8
"""Of a study whose author says nothing: fewer are passed too often by somebody who clicks at random."""
HELD_OUT_SHARE = 5

Condition = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what the researcher chose; None takes what is customary for the protocol.

    Attributes:
        exposure: seconds that a picture is seen; None until the answer.
        trials: of a session that are counted; None for 40, or all there are.
        checks: attention checks of a session; None for one in ten trials, as Zhang et al. have, and eight at least.
        pictures: the most that are shown; more are drawn by the seed.
    """

    protocol: ProtocolId = ProtocolId.preference
    exposure: float | None = None
    layout: Layout = Layout.together
    trials: int | None = None
    participants: int = PARTICIPANTS
    practice: int = 0
    checks: int | None = None
    pictures: int = PICTURES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold the trials, practice first and then by session, and how many of a session count and how many check."""

    trials: tuple[Trial, ...]
    counted: int
    checks: int
    pictures: int


class Namer:
    """Give trials and their pictures names; a file belongs to one side of one trial, whatever it shows."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._given = Counter[tuple[str, int]]()

    def __call__(self, kind: str, session: int, image: str, shown: Condition) -> Trial:
        """Return a trial with its names."""
        self._given[kind, session] += 1
        name = self._secret.name("trial", kind, session, self._given[kind, session])
        files = tuple(f"{self._secret.name('file', name, side)}.png" for side in range(len(shown)))
        return Trial.model_validate(
            {"id": name, "kind": kind, "session": session, "image": image, "shown": shown, "files": files}
        )


def plan_trials(settings: Settings, gathered: Gathered, secret: Secret) -> Plan:
    """Return the trials of a study; equal input with an equal secret gives the equal plan.

    Where there are five pictures or more, up to a fifth of them are kept for practice and checks: what feedback has
    told of a picture helps with no counted trial.

    Raises:
        UsageError: There are too few methods, or more trials are wanted than there are different ones.
    """
    conditions = conditions_of(settings.protocol, [method.name for method in gathered.methods])
    spare, tested = split_pictures(settings, gathered.keys)
    counted, checks = count_trials(settings, len(conditions) * len(tested))
    namer = Namer(secret)
    dealt = deal(len(conditions), len(tested), counted, settings.participants, secret.generator("order", *tested))
    trials = list(_practice(settings, conditions, spare, secret, namer))
    pools = _check_pools(settings, spare, trials)
    for number, session in enumerate(dealt, 1):
        places = scatter(counted, checks, secret.generator("checks", number))
        main = [namer("test", number, tested[each.picture], _turned(conditions, each)) for each in session]
        for place, check in zip(places, _checks(checks, number, pools, secret, namer), strict=True):
            main.insert(place, check)
        trials += main
    return Plan(tuple(trials), counted, checks, len(tested))


def conditions_of(protocol: ProtocolId, methods: Sequence[str]) -> list[Condition]:
    """Return what is shown of a picture: pairs of methods, each beside the truth, or each and the truth alone.

    Raises:
        UsageError: Two methods are needed to prefer one.
    """
    if protocol is ProtocolId.preference:
        if len(methods) < 2:
            raise UsageError(f"a study of preference needs two methods, but there is only {', '.join(methods)}")
        return list(combinations(methods, 2))
    if protocol is ProtocolId.which_real:
        return [(TRUTH, method) for method in methods]
    return [(TRUTH,), *((method,) for method in methods)]


def split_pictures(settings: Settings, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the pictures for practice and checks, and those for counted trials, in an order drawn by the seed."""
    generator = generator_of(settings.seed, "pictures")
    drawn = [keys[place] for place in generator.permutation(len(keys))[: settings.pictures]]
    wanted = max(settings.practice, wanted_checks(settings, settings.trials or TRIALS))
    spare = min(wanted, len(drawn) // HELD_OUT_SHARE)
    return drawn[:spare] or drawn, drawn[spare:]


def wanted_checks(settings: Settings, counted: int) -> int:
    """Return how many attention checks go with so many counted trials."""
    if settings.checks is not None:
        return settings.checks
    return min(counted, max(FEWEST_CHECKS, round(counted * CHECK_SHARE)))


def count_trials(settings: Settings, different: int) -> tuple[int, int]:
    """Return how many trials of a session are counted, and how many are checks.

    Raises:
        UsageError: There are fewer different trials, or more checks than trials.
    """
    counted = min(TRIALS, different) if settings.trials is None else settings.trials
    if counted > different:
        raise UsageError(
            f"--trials {counted} would show one participant something twice: there are {different} different trials of "
            "these methods and pictures; give fewer trials, or more pictures"
        )
    checks = wanted_checks(settings, counted)
    if checks > counted:
        raise UsageError(f"{checks} attention checks among {counted} trials are too many: give fewer --checks")
    return counted, checks


def _turned(conditions: Sequence[Condition], each: Shown) -> Condition:
    shown = conditions[each.condition]
    return shown[::-1] if each.swapped else shown


def _practice(
    settings: Settings, conditions: Sequence[Condition], spare: Sequence[str], secret: Secret, namer: Namer
) -> Iterator[Trial]:
    """Yield trials with a true answer, its sides even: two methods have none, so there the wrong colours stand in."""
    paired = PROTOCOLS[settings.protocol].paired
    preference = settings.protocol is ProtocolId.preference
    known = [(TRUTH, WRONG)] if preference else list(conditions)
    made = [shown for shown in known if shown != (TRUTH,)]
    generator = secret.generator("practice")
    turns = generator.permutation(settings.practice) % 2
    for number, turn in enumerate(turns.tolist()):
        shown = made[number % len(made)]
        if not paired:
            shown = (TRUTH,) if turn else shown
        elif turn:
            shown = shown[::-1]
        yield namer("practice", 0, spare[number % len(spare)], shown)


def _checks(
    count: int, session: int, pools: Mapping[Condition, Sequence[str]], secret: Secret, namer: Namer
) -> Iterator[Trial]:
    """Yield trials that everybody answers right who looks; what is shown alternates, in an order drawn for the session.

    Args:
        count: of the checks.
        session: from 1.
        pools: pictures by what is shown of them.
        secret: of the order.
        namer: of the trials.
    """
    kinds = list(pools)
    generator = secret.generator("check order", session)
    order = (generator.permutation(count) + generator.integers(len(kinds))) % len(kinds)
    drawn = {kind: secret.generator("check pictures", session).permutation(pools[kind]).tolist() for kind in kinds}
    for number, place in enumerate(order.tolist()):
        kind = kinds[place]
        yield namer("check", session, drawn[kind][number % len(drawn[kind])], kind)


def _check_pools(
    settings: Settings, spare: Sequence[str], practice: Sequence[Trial]
) -> Mapping[Condition, Sequence[str]]:
    """Return what checks show: wrong colours left and right of the truth; alone, or a photograph that practice showed.

    Either answer is right as often as the other, so that nobody passes who always gives one.
    """
    if PROTOCOLS[settings.protocol].paired:
        return {(TRUTH, WRONG): spare, (WRONG, TRUTH): spare}
    revealed = [trial.image for trial in practice if trial.shown == (TRUTH,)]
    return {(WRONG,): spare, (TRUTH,): revealed or spare}
