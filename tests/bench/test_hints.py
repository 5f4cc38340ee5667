"""`hints: N` in a suite: its name, its refusal, its rows, whoever computes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from bench import catalog
from bench.build import build_method
from bench.errors import UsageError
from bench.execute import load_data, load_method
from bench.leaderboard import read_records
from bench.manifest import save_weights
from bench.plan import Places, plan
from bench.portion import Portion
from bench.prepare import Options, prepare
from bench.runner import run
from bench.suite import MethodChoice, Suite, parse_suite

METHOD = "zhang-siggraph17"
TAKERS = [name for name, card in catalog.methods().items() if card.uses_hints]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of tiny weights whose network copies a part of its hints, drawn from a seed."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    tree = catalog.with_settings(catalog.model_tree(METHOD), {"width": 0.0625, "input_size": 32})
    save_weights(METHOD, tree, build_method(tree).networks(), folder)
    return folder


def suite(weights: Path, *hints: int, **changes: Any) -> Suite:
    methods = [{"id": METHOD, "weights": str(weights), "hints": count} for count in hints]
    dataset = {"id": "synthetic", "count": 5, "size": 64}
    fields = {"name": "hints-v1", "methods": methods, "datasets": [dataset], "metrics": ["psnr"], "batch_size": 2}
    return Suite.model_validate({**fields, **changes})


def options(out: Path) -> Options:
    return Options(out=out, places=Places(out), download=False)


def rows(out: Path, name: str) -> dict[str, float]:
    lines = (out / "runs" / "synthetic" / f"{name}--none--s0" / "rows.rank0.jsonl").read_text().splitlines()
    return {row["image"]: row["scores"]["psnr"] for row in map(json.loads, lines)}


def test_name_tells_of_the_hints() -> None:
    assert MethodChoice.model_validate(METHOD).name == METHOD
    assert MethodChoice(id=METHOD, hints=0).name == METHOD
    assert MethodChoice(id=METHOD, hints=10).name == f"{METHOD}-hints10"
    assert MethodChoice(id=METHOD, hints=10, name="aided").name == "aided"


@pytest.mark.parametrize("method", sorted(set(catalog.methods()) - set(TAKERS)))
def test_a_method_without_hints_refuses_them(method: str) -> None:
    assert MethodChoice(id=method, hints=0).hints == 0
    with pytest.raises(UsageError, match=rf"{method} takes no hints, but was given `hints: 3`.*{METHOD}"):
        MethodChoice(id=method, hints=3)


def test_a_list_stands_for_as_many_methods() -> None:
    listed = parse_suite(
        f"name: a-v1\nmethods: [{{id: {METHOD}, hints: [0, 5]}}, {{id: levin-2004, name: scribbles, hints: [5, 20]}}]\n"
        "datasets: [synthetic]\n",
        "a.yaml",
    )
    assert [(method.name, method.track) for method in listed.methods] == [
        (METHOD, "automatic"),
        (f"{METHOD}-hints5", "hints-5"),
        ("scribbles-hints5", "hints-5"),
        ("scribbles-hints20", "hints-20"),
    ]
    with pytest.raises(UsageError, match="method 'levin-2004' has an empty list of hints"):
        parse_suite("name: a-v1\nmethods: [{id: levin-2004, hints: []}]\ndatasets: [synthetic]\n", "a.yaml")


@pytest.mark.parametrize("given", ["levin-2004", "{id: levin-2004, hints: 0}"])
def test_a_method_that_needs_hints_asks_for_them(given: str) -> None:
    with pytest.raises(UsageError, match=r"levin-2004 has no colours but .* such as \{id: levin-2004, hints: 10\}"):
        parse_suite(f"name: a-v1\nmethods: [{given}]\ndatasets: [synthetic]\n", "a.yaml")


def test_two_methods_get_the_same_hints(weights: Path, tmp_path: Path) -> None:
    given = suite(weights, 10, methods=[*suite(weights, 10).methods, {"id": "levin-2004", "hints": 10}])
    one, other = (
        torch.cat(
            [
                batch.gray.guide
                for batch in load_data(job.request, load_method(job.request), Portion()).test_dataloader()
            ]
        )
        for job in prepare(given, plan(given), options(tmp_path))
    )
    assert torch.equal(one, other)
    assert bool(one[:, 2].any())


def test_levin_runs_in_the_track_of_its_hints(tmp_path: Path) -> None:
    fields = {"name": "a-v1", "methods": [{"id": "levin-2004", "hints": [1, 40]}]}
    dataset = {"id": "synthetic", "count": 1, "size": 64}
    given = Suite.model_validate({**fields, "datasets": [dataset], "metrics": ["psnr"]})
    assert run(given, options(tmp_path)) == 0
    records = read_records([tmp_path])
    assert [record.track for record in records] == ["hints-1", "hints-40"]
    few, many = (record.image["psnr"].mean or 0 for record in records)
    assert many > few + 1


@pytest.mark.parametrize("given", ["-1", "2.5", "many", "true", "10001"])
def test_hints_are_a_whole_number(given: str) -> None:
    text = f"name: a-v1\nmethods: [{{id: {METHOD}, hints: {given}}}]\ndatasets: [synthetic]\n"
    with pytest.raises(UsageError, match=r"methods\.0\.hints"):
        parse_suite(text, "a.yaml")


def test_hints_are_part_of_the_identity(weights: Path, tmp_path: Path) -> None:
    given = suite(weights, 0, 1, 10)
    jobs = prepare(given, plan(given), options(tmp_path))
    assert len({job.request.run_id for job in jobs}) == 3
    assert [job.request.hints for job in jobs] == [0, 1, 10]
    alone = [parse_suite(job.config(), "config.yaml").methods[0] for job in jobs]
    assert [(method.hints, method.name) for method in alone] == [
        (0, METHOD),
        (1, f"{METHOD}-hints1"),
        (10, f"{METHOD}-hints10"),
    ]


def test_seeds_share_their_settings_and_other_hints_do_not(weights: Path, tmp_path: Path) -> None:
    given = suite(weights, methods=["random", *suite(weights, 5, 10).methods], seeds=[0, 1])
    settings: dict[str, set[str]] = {}
    for job in prepare(given, plan(given), options(tmp_path)):
        settings.setdefault(job.run.method.name, set()).add(job.digests["settings"])
        assert job.request.method["init_args"].get("seed", job.run.seed) == job.run.seed
    assert [len(found) for found in settings.values()] == [1, 1, 1]
    assert len(set.union(*settings.values())) == 3


def test_the_method_gets_a_guide_and_no_other_color(weights: Path, tmp_path: Path) -> None:
    given = suite(weights, 0, 10)
    for job in prepare(given, plan(given), options(tmp_path)):
        batches = list(load_data(job.request, load_method(job.request), Portion()).test_dataloader())
        hinted = [batch.gray.guide is not None for batch in batches]
        assert hinted == [job.request.hints > 0] * 3


def test_rows_hang_on_nothing_but_seed_and_picture(weights: Path, tmp_path: Path) -> None:
    name = f"{METHOD}-hints40"
    assert run(suite(weights, 0, 40), options(tmp_path / "a")) == 0
    assert run(suite(weights, 40, batch_size=5), options(tmp_path / "b")) == 0
    free, few, many = (rows(tmp_path / out, of) for out, of in (("a", METHOD), ("a", name), ("b", name)))
    assert len(few) == 5
    np.testing.assert_allclose([few[key] for key in sorted(few)], [many[key] for key in sorted(few)], atol=1e-3)
    assert max(abs(free[key] - few[key]) for key in few) > 1e-3
    record = json.loads((tmp_path / "a" / "runs" / "synthetic" / f"{name}--none--s0" / "record.json").read_text())
    assert (record["method"], record["hints"], record["detector_id"]) == (name, 40, "none")


def test_other_hints_under_one_name_are_refused(weights: Path, tmp_path: Path) -> None:
    def named(hints: int) -> Suite:
        methods = [{"id": METHOD, "name": "aided", "weights": str(weights), "hints": hints}]
        return suite(weights, methods=methods)

    assert run(named(1), options(tmp_path)) == 0
    before = yaml.safe_load((tmp_path / "runs/synthetic/aided--none--s0/config.yaml").read_text())
    assert before["methods"][0]["hints"] == 1
    with pytest.raises(UsageError, match="methods changed"):
        run(named(2), options(tmp_path))
