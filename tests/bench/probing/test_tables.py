import pytest
from scipy.stats import binom

from bench.probing.cells import Cell, Identity, Initialisation, LayerScore
from bench.probing.settings import Input, Settings, Task
from bench.probing.tables import to_markdown

N, CHANCE = 120, 100 * 49 / 120


def cell(initialisation: Initialisation, scores: tuple[float, ...], chance: float | None = CHANCE) -> Cell:
    task = Task.classification if chance is None else Task.linear
    identity = Identity(
        method="zhang-eccv16",
        initialisation=initialisation,
        model={},
        weights=None,
        task=task,
        variant=Input.gray,
        layers=(),
        recipe="small",
        settings=Settings(size=96, steps=300),
        seed=0,
        dataset="folder",
        data={},
        partial=False,
    )
    measured = tuple(
        LayerScore(layer=f"conv{place}", metric="accuracy", score=score, n=N) for place, score in enumerate(scores, 1)
    )
    return Cell(
        id="0",
        identity=identity,
        network="network",
        parameters=1,
        counts={"learnt": N, "tested": N, "classes": 5},
        chance=chance,
        scores=measured,
        git_commit=None,
        git_dirty=None,
        versions={},
        device="cpu",
        started_utc="",
        seconds=0,
    )


def test_rows_that_luck_explains_are_named_under_the_table() -> None:
    most = 100 * binom.ppf(0.975, N, CHANCE / 100) / N
    text = to_markdown([cell("random", (40.0, most - 1, 25.8)), cell("trained", (40.0, most + 1, 25.8))])
    assert f"may get, {most:.1f} (95 %): zhang-eccv16 random, seed 0.\n" in text


@pytest.mark.parametrize("chance", [CHANCE, None])
def test_nothing_is_said_of_rows_above_luck_or_without_any(chance: float | None) -> None:
    assert "commonest class alone" not in to_markdown([cell("trained", (90.0, 20.0), chance)])
