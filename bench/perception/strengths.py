"""Strengths of methods from who was preferred to whom: the model of Bradley and Terry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.perception.clusters import Groups, freedom, number_groups, quantile, two_way_variance
from bench.statistics import Floats

Choice = tuple[str, str, str, str]
"""A participant, a picture, the method that was preferred there, and the other one."""

STEEPEST = 1e-9


@dataclass(frozen=True, slots=True)
class Strength:
    """Hold the strength of a method: the logarithm of its odds, the mean of all is 0; with a 95 % interval."""

    name: str
    strength: float
    error: float
    low: float
    high: float


def fit_strengths(names: Sequence[str], choices: Sequence[Choice]) -> tuple[list[Strength], str]:
    """Return the most likely strengths, the strongest first.

    A method of strength s is preferred to one of strength t with probability 1 / (1 + exp(t - s)). Forced choices have
    no ties, and nothing is added to the counts: where the likelihood has no finite maximum no strength is given.

    Returns:
        The strengths, and why there are none where there are none. The standard error is the larger one of the model's
        and of the one that lets answers of one participant, and those on one picture, depend on each other; intervals
        are wider by Student's t where there are few of either.

    Source:
        Bradley and Terry, Biometrika 1952; the condition for finite strengths is Ford's, Am. Math. Monthly 1957.
    """
    wins = count_wins(names, choices)
    reason = why_unbounded(names, wins)
    if reason:
        return [], reason
    values = most_likely(wins)
    errors = standard_errors(names, choices, values)
    people, pictures = _groups(choices)
    reach = quantile(freedom(people, pictures))
    found = [
        Strength(name, value, error, value - reach * error, value + reach * error)
        for name, value, error in zip(names, values.tolist(), errors.tolist(), strict=True)
    ]
    return sorted(found, key=lambda one: (-one.strength, one.name)), ""


def count_wins(names: Sequence[str], choices: Sequence[Choice]) -> Floats:
    """Return how often each method was preferred to each: (methods, methods)."""
    places = {name: place for place, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for *_, chosen, other in choices:
        wins[places[chosen], places[other]] += 1
    return wins


def _groups(choices: Sequence[Choice]) -> tuple[Groups, Groups]:
    return number_groups([choice[0] for choice in choices]), number_groups([choice[1] for choice in choices])


def most_likely(wins: Floats) -> Floats:
    """Return the strengths of (methods, methods) wins in which every part has both won and lost."""
    from scipy import optimize

    def loss(free: Floats) -> float:
        gaps = np.subtract.outer(_with_zero(free), _with_zero(free))
        return float((wins * np.logaddexp(0, -gaps)).sum())

    def slope(free: Floats) -> Floats:
        return -score(wins, _with_zero(free))[:-1]

    def bend(free: Floats) -> Floats:
        return information(wins, _with_zero(free))[:-1, :-1]

    steepest = STEEPEST * max(1.0, float(wins.sum()))
    start = np.zeros(len(wins) - 1)
    found = optimize.minimize(loss, start, jac=slope, hess=bend, method="trust-exact", tol=steepest)
    values = _with_zero(found.x)
    centred: Floats = values - values.mean()
    return centred


def _with_zero(free: Floats) -> Floats:
    return np.append(free, 0.0)


def _chances(values: Floats) -> Floats:
    """Return the probability that each is preferred to each, 1/2 for itself."""
    chances: Floats = 1 / (1 + np.exp(-np.subtract.outer(values, values)))
    return chances


def score(wins: Floats, values: Floats) -> Floats:
    """Return the gradient of the log likelihood: wins less expected wins of each."""
    games = wins + wins.T
    gradient: Floats = (wins - games * _chances(values)).sum(axis=1)
    return gradient


def information(wins: Floats, values: Floats) -> Floats:
    """Return Fisher's information, (methods, methods); a shift of all strengths is in its null space."""
    chances = _chances(values)
    weights = (wins + wins.T) * chances * (1 - chances)
    matrix: Floats = np.diag(weights.sum(axis=1)) - weights
    return matrix


def standard_errors(names: Sequence[str], choices: Sequence[Choice], values: Floats) -> NDArray[np.float64]:
    """Return the errors of strengths whose mean is 0, by the model or by people and pictures, whichever is larger."""
    inverse = np.linalg.pinv(information(count_wins(names, choices), values), hermitian=True)
    clustered = inverse @ two_way_variance(_scores(names, choices, values), *_groups(choices)) @ inverse
    errors: NDArray[np.float64] = np.sqrt(np.maximum(np.diag(inverse), np.diag(clustered)))
    return errors


def _scores(names: Sequence[str], choices: Sequence[Choice], values: Floats) -> Floats:
    """Return the gradient of each answer's log likelihood: (answers, methods)."""
    places = {name: place for place, name in enumerate(names)}
    chosen, other = (np.array([places[choice[side]] for choice in choices]) for side in (2, 3))
    surprise = 1 - _chances(values)[chosen, other]
    scores, answers = np.zeros((len(choices), len(names))), np.arange(len(choices))
    scores[answers, chosen] += surprise
    scores[answers, other] -= surprise
    return scores


def why_unbounded(names: Sequence[str], wins: Floats) -> str:
    """Return why no finite strengths exist: some were never compared, or never lost to the others; else nothing."""
    from scipy.sparse import csgraph

    parts, part_of = csgraph.connected_components(wins > 0, connection="weak")
    if parts > 1:
        groups = [", ".join(_members(names, part_of == part)) for part in range(parts)]
        return f"never compared with each other: {' | '.join(groups)}"
    parts, part_of = csgraph.connected_components(wins > 0, connection="strong")
    if parts == 1:
        return ""
    beaten = [bool((wins[np.ix_(part_of != part, part_of == part)] > 0).any()) for part in range(parts)]
    top = _members(names, part_of == beaten.index(False))
    rest = [name for name in names if name not in top]
    return f"{', '.join(top)} never lost to {', '.join(rest)}, so that no distance is large enough"


def _members(names: Sequence[str], inside: NDArray[np.bool_]) -> list[str]:
    return [name for name, member in zip(names, inside.tolist(), strict=True) if member]
