"""Which pictures of a dataset a report shows: the extremes of the whole set, and others that nobody chose."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from bench.scoring.metrics import Metric

Each = TypeVar("Each")
Order = Mapping[str, float]
"""A number for each picture, the first in an order having the highest; pictures without it are missing."""


def goodness(metric: Metric, scores: Mapping[str, float | None]) -> float | None:
    """Return how good a row's score is, the higher, the better; None without a score."""
    value = scores.get(metric.id)
    if value is None:
        return None
    if metric.direction == "truth":
        truth = scores.get(metric.companion)
        return None if truth is None else -abs(value - truth)
    return value if metric.direction == "higher" else -value


def orders(goods: Mapping[str, Sequence[float]]) -> tuple[Order, Order, Order]:
    """Return pictures by how bad, how good and how different the methods are on them.

    Args:
        goods: how good the scores of the methods are, by picture.
    """
    scored = {key: values for key, values in goods.items() if values}
    means = {key: math.fsum(values) / len(values) for key, values in scored.items()}
    worst = {key: -mean for key, mean in means.items()}
    spreads = {key: max(values) - min(values) for key, values in scored.items() if len(values) > 1}
    return worst, means, spreads


def choose(keys: Sequence[str], ranked: Sequence[Order], most: int) -> list[str]:
    """Return at most `most` of the sorted `keys`, sorted: half of them the first of each order, the others spread.

    >>> choose(list("abcdefghij"), [{"c": 1.0, "d": 2.0}], 4)
    ['a', 'c', 'd', 'j']
    """
    if len(keys) <= most:
        return list(keys)
    each = most // (2 * len(ranked)) if ranked else 0
    extremes = {key for order in ranked for key in firsts(order, each)}
    return sorted([*extremes, *spread([key for key in keys if key not in extremes], most - len(extremes))])


def firsts(order: Order, most: int) -> list[str]:
    """Return the pictures with the highest numbers; of equal ones the first by name."""
    return sorted(order, key=lambda key: (-order[key], key))[:most]


def spread(keys: Sequence[Each], most: int) -> list[Each]:
    """Return at most `most` keys, evenly spread over all, so that nobody chose them.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if len(keys) <= most:
        return list(keys)
    step = (len(keys) - 1) / max(1, most - 1)
    return [keys[round(index * step)] for index in range(most)]
