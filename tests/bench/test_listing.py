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


def test_methods_that_see_more_than_light_and_boxes_say_what() -> None:
    lines = {line.split()[0]: line.split() for line in listed("methods", 80).splitlines()[1:]}
    tracks = {method: {"hints", "reference"} & {*words} for method, words in lines.items()}
    assert {method: words for method, words in tracks.items() if words} == {
        "levin-2004": {"hints"},
        "gupta-2012": {"reference"},
    }
    assert not any("automatic" in words for words in lines.values())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ids_are_never_cut(kind: str) -> None:
    text = listed(kind, 80)
    assert all(str(entry["id"]) in text for entry in KINDS[kind]() if not is_variant(str(entry["id"])))


@pytest.mark.parametrize("width", [80, 160])
def test_the_networks_of_a_metric_are_named_whole_in_lines_that_can_be_read(width: int) -> None:
    whole = listed("metrics", width)
    text = whole[whole.index("classification_top1_NETWORK") : whole.index("Of other definitions")]
    assert 70 < max(map(len, text.splitlines())) <= min(width, 100)
    named = {f"classification_top1_{name}" for name in re.findall(r"\w+", text)}
    assert {str(entry["id"]) for entry in KINDS["metrics"]() if is_variant(str(entry["id"]))} <= named
