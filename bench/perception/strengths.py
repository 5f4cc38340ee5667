"""Strengths of methods from who was preferred to whom: the model of Bradley and Terry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics import Floats

NORMAL_95 = 1.959963984540054
STEEPEST = 1e-9


@dataclass(frozen=True, slots=True)
class Strength:
    """Hold the strength of a method: the logarithm of its odds, the mean of all is 0; with a 95 % interval."""

    name: str
    strength: float
    error: float
    low: float
    high: float


def fit_strengths(names: Sequence[str], wins: Floats) -> tuple[list[Strength], str]:
    """Return the most likely strengths, the strongest first.

    A method of strength s is preferred to one of strength t with probability 1 / (1 + exp(t - s)). Forced choices have
    no ties, and nothing is added to the counts: where the likelihood has no finite maximum no strength is given.

    Args:
        names: of the methods.
        wins: (participants, methods, methods) how often each preferred the one of the line to that of the column.

    Returns:
        The strengths, and why there are none where there are none. The standard error is the larger one of the model's
        and of the one that lets answers of a participant depend on each other (two participants or more).

    Source:
        Bradley and Terry, Biometrika 1952; the condition for finite strengths is Ford's, Am. Math. Monthly 1957.
    """
    total = wins.sum(axis=0)
    reason = why_unbounded(names, total)
    if reason:
        return [], reason
    values = most_likely(total)
    errors = standard_errors(wins, values)
    found = [
        Strength(name, value, error, value - NORMAL_95 * error, value + NORMAL_95 * error)
        for name, value, error in zip(names, values.tolist(), errors.tolist(), strict=True)
    ]
    return sorted(found, key=lambda one: (-one.strength, one.name)), ""


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


def standard_errors(wins: Floats, values: Floats) -> NDArray[np.float64]:
    """Return the errors of strengths whose mean is 0, by the model or by participants, whichever is larger."""
    inverse = np.linalg.pinv(information(wins.sum(axis=0), values), hermitian=True)
    variances = np.diag(inverse)
    people = len(wins)
    if people > 1:
        scores = np.array([score(each, values) for each in wins])
        clustered = inverse @ (scores.T @ scores) @ inverse * people / (people - 1)
        variances = np.maximum(variances, np.diag(clustered))
    errors: NDArray[np.float64] = np.sqrt(variances)
    return errors


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
