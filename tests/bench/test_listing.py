import io
import re

import pytest
from rich.console import Console

from bench import catalog
from bench.listing import KINDS, print_entries
from bench.scoring.metrics import is_variant


def listed(kind: str, width: int) -> str:
    file = io.StringIO()
    print_entries(kind, Console(file=file, force_terminal=True, width=width, color_system=None))
    return file.getvalue()


def test_methods_fit_80_columns_with_whole_words() -> None:
    text = listed("methods", 80)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) == 1 + len(catalog.methods())
    for card in catalog.methods().values():
        assert f" {card.id} " in text
        assert card.license is None or f" {card.license} " in text
        assert card.name in listed("methods", 140)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ids_are_never_cut(kind: str) -> None:
    text = listed(kind, 80)
    assert all(str(entry["id"]) in text for entry in KINDS[kind]() if not is_variant(str(entry["id"])))


def test_the_networks_of_a_metric_are_named_in_one_line() -> None:
    (line,) = [line for line in listed("metrics", 80).splitlines() if line.startswith("classification_top1_NETWORK")]
    named = {f"classification_top1_{name}" for name in re.findall(r"\w+", line)}
    assert {str(entry["id"]) for entry in KINDS["metrics"]() if is_variant(str(entry["id"]))} <= named
