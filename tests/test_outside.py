"""OUTSIDE.md: a recipe for each method that is known from outside, whose command lines are lines of the parser."""

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.published import outside
from datamodules.naming import check_pattern
from datamodules.protocol import PROTOCOLS

Colorbench = Callable[..., tuple[int, str, str]]
DOCUMENT = Path(__file__).resolve().parent.parent / "bench" / "OUTSIDE.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
RECIPES = {
    id: part
    for part in TEXT.split("\n## ")[1:]
    for id in re.findall(r"\(`([a-z0-9-]+)`|, `([a-z0-9-]+)`", part.partition("\n")[0])
    for id in id
    if id
}
LINES = re.findall(r"^colorbench (score .*)$", TEXT, re.MULTILINE)
"""What is scored, without the `colorbench`; the parser reads them in tests/test_extending.py."""


def test_every_released_method_has_a_recipe_and_every_recipe_its_card() -> None:
    known = {id for id, card in outside().items() if card.url is not None}
    assert set(RECIPES) == known
    for id, recipe in RECIPES.items():
        assert "\ncolorbench score " in recipe, id
        assert re.search(r"^- ", recipe, re.MULTILINE), f"{id}: what differs is not said"


def test_cards_say_how_their_authors_evaluate_where_it_is_known() -> None:
    told = [card for card in outside().values() if card.evaluation is not None]
    assert {"deoldify", "ddcolor-large", "ddcolor-tiny", "colorformer-eccv22", "ct2-eccv22"} <= {one.id for one in told}
    for card in told:
        assert card.url is not None
        assert card.evaluation is not None
        assert card.evaluation.source
        assert set(card.evaluation.model_dump(exclude_none=True)) > {"source"}


def test_every_recipe_keeps_to_its_own_pictures() -> None:
    names = [shlex.split(line)[shlex.split(line).index("--name") + 1] for line in LINES]
    assert len({*names, "truth"}) == len(names) - 1, "two recipes would write one run; truth is there for two protocols"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition("--name ")[2].split()[0])
def test_a_recipe_scores_a_folder_as_its_program_leaves_it(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colorbench: Colorbench
) -> None:
    """Leave what a program would: its names, and the size of the photo or of the protocol."""
    _, folder, _, *options = shlex.split(line)
    given = dict(pairwise(options))
    protocol = PROTOCOLS[given.get("--protocol", "native-v1")]
    called = check_pattern(given.get("--named", "{name}")).replace("*", "12")
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path(folder).mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(3).integers(0, 256, (5, 7, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((70, 50))
    for name in ("ILSVRC2012_val_00000001", "two"):
        photo.save(Path("photos", f"{name}.png"))
        if folder != "photos":
            protocol.apply(photo).save(Path(folder, f"{called.format(name=name)}.jpg"))
    status, output, errors = colorbench(*shlex.split(line), "--metrics", "psnr")
    assert status == 0, errors
    assert f"{given['--name']} " in output
