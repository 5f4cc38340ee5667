"""How times are compared: within one run, in turn."""

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def interleaved() -> Callable[..., dict[str, float]]:
    """Return a function that gives the shortest time of each way in seconds, all in turn, after a round to warm up."""

    def measure(rounds: int, **ways: Callable[[], object]) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        return {name: min(each[1:]) for name, each in seconds.items()}

    return measure
