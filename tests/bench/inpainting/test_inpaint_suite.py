"""Suites, cards and recipes of inpainting that ship, and what a suite refuses; the leaderboard of made-up records."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench import catalog
from bench.build import instantiate
from bench.errors import UsageError
from bench.formats import to_csv, to_markdown
from bench.inpainting import suite as suites
from bench.inpainting.board import leaderboard, ranking, tables_of
from bench.inpainting.metrics import INPAINT_METRICS
from bench.inpainting.record import InpaintRecord, score_of
from bench.inpainting.suite import InpaintSuite, load_recipe, load_suite, model_tree
from bench.recipe import setting_names
from lightning_modules.inpainting.inpainter import Inpainter

HERE = Path()


@pytest.mark.parametrize("name", suites.suites())
def test_shipped_suites_are_valid_and_trained_by_their_recipe(name: str) -> None:
    suite, _ = load_suite(name)
    assert suite.name == name
    recipe = load_recipe(suite.recipe, HERE)
    assert {choice.id for choice in suite.methods if choice.learns} <= set(recipe.stages)


@pytest.mark.parametrize("name", ["small", "published"])
def test_recipes_set_nothing_that_no_method_has(name: str) -> None:
    recipe = load_recipe(name, HERE)
    assert recipe.id == name
    assert set(recipe.stages) == {card.id for card in suites.cards().values() if card.trainable}
    for method, stage in recipe.stages.items():
        assert {*recipe.model, *stage.model} <= set(setting_names(model_tree(method)))


def test_every_card_has_a_model_and_marks_what_is_from_memory() -> None:
    paths = sorted((catalog.HERE / "cards" / "inpainting").glob("*.yaml"))
    assert [path.stem for path in paths] == list(suites.cards())
    for card in suites.cards().values():
        for reported in card.reported:
            assert reported.verified_by is None
            assert set(reported.scores) <= set(INPAINT_METRICS)


@pytest.mark.parametrize("method", suites.cards())
def test_the_published_size_has_the_authors_parameters(method: str) -> None:
    with torch.device("meta"):
        networks = instantiate(model_tree(method), Inpainter).networks()
    assert bool(networks) == suites.cards()[method].trainable
    counts = {name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()}
    blocks, ends = 8 * 2 * 256 * 256 * 9, 2 * 16 * (64 * 128 + 128 * 256)
    biases = 64 + 128 + 256 + 128 + 64
    expected = {
        "edge_network": 3 * 64 * 49 + blocks + ends + 64 * 1 * 49 + biases + 1,
        "completion_network": 4 * 64 * 49 + blocks + 16 * 256 + ends + 64 * 3 * 49 + biases + 3,
    }
    assert counts in ({}, expected)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"methods": ["edge-connect"]}, "no inpainting method"),
    "setting": ({"methods": [{"id": "edgeconnect-inpainting", "settings": {"use_edges": False}}]}, "uses_edges"),
    "twice": ({"methods": ["mean-fill", "mean-fill"]}, "two methods are called"),
    "holes": ({"holes": ["fixed", "fixed"]}, "two buckets are called"),
    "lines": ({"methods": [{"id": "mean-fill", "edges": "true"}]}, "sees no lines"),
    "sizes": ({"protocol": "native-v1"}, "give a size"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_suite_refuses_what_it_does_not_know(case: str) -> None:
    changes, told = REFUSED[case]
    with pytest.raises(UsageError, match=told):
        InpaintSuite.model_validate({"name": "trial", "methods": ["mean-fill"], "dataset": "samples-core", **changes})


def record(method: str, psnr: list[float], **changes: Any) -> InpaintRecord:
    fields: dict[str, Any] = {
        "run_id": "0" * 64,
        "suite": "trial",
        "method": method,
        "method_id": "mean-fill",
        "dataset": "photos",
        "protocol": "centercrop256-v1@96",
        "protocol_sha256": "1" * 64,
        "holes": "10-20",
        "hole_share": 0.15,
        "painted": True,
        "edges": "none",
        "sigma": 2.0,
        "seed": 0,
        "partial": False,
        "untrained": False,
        "recipe": None,
        "steps": None,
        "train_sigma": None,
        "settings": {},
        "scores": {"psnr": score_of(list(psnr))},
        "images": len(psnr),
        "failed": 0,
        "digests": {"dataset": "d", "masks": None, "weights": None, "rows": "r"},
        "parameters": {},
        "git_commit": None,
        "git_dirty": None,
        "versions": {},
        "device": "cpu",
        "started_utc": "2026-01-02T03:04:05Z",
        "seconds": 1.0,
    }
    return InpaintRecord.model_validate({**fields, **changes})


def test_only_whole_trained_runs_without_true_lines_are_ranked() -> None:
    records = [
        record("good", [30.0, 32.0]),
        record("alike", [32.0, 30.0]),
        record("poor", [20.0, 20.0]),
        record("told", [40.0, 40.0], edges="true"),
        record("part", [50.0, 50.0], partial=True),
        record("raw", [50.0, 50.0], untrained=True),
        record("fewer", [60.0], images=2, failed=1),
    ]
    ranks = {each.method: rank for rank, each in ranking(records)}
    assert ranks == {"good": 1, "alike": 1, "poor": 3, "told": None, "part": None, "raw": None, "fewer": None}
    text = to_markdown(tables_of(records))
    assert "see into the hole" in text
    assert "published figures are of other holes" in text
    assert "| 1 | alike | 2 | **31.00" in text


def test_buckets_have_tables_of_their_own_and_lie_in_one_long_table(tmp_path: Path) -> None:
    records = [record("a", [20.0, 21.0], holes=holes) for holes in ("fixed", "10-20")]
    for each in records:
        folder = tmp_path / "inpainting" / "photos" / f"a--{each.holes}--s0"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(each.to_json())
    tables = leaderboard(tmp_path)
    assert [sheet.title for sheet, *_ in tables.sheets] == [
        "photos, centercrop256-v1@96, holes: 10-20 %",
        "photos, centercrop256-v1@96, holes: the middle quarter",
    ]
    head, first, second = to_csv(tables).splitlines()
    assert head.startswith("dataset,protocol,holes,hole_share,rank,method,n,")
    assert [line.split(",")[2] for line in (first, second)] == ["10-20", "fixed"]
    published = to_markdown(leaderboard(tmp_path, published=True))
    assert "unverified, from memory" in published
    assert "27.95" in published
