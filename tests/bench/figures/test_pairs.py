"""Points of two methods are the scores of both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.figures.pairs import best_pair, check_names, draw_pair, named_pair
from bench.figures.subjects import Subject
from bench.leaderboard import read_runs

KEYS = [f"photo-{number}" for number in range(7)]


def test_points_of_a_pair_are_the_scores_of_both(
    finished: Path,
    subject_of: Callable[..., Subject],
    lines_of: Callable[[Path], list[dict[str, str]]],
    points_of: Callable[[Any], list[list[float]]],
) -> None:
    subject = subject_of(finished)
    compared = named_pair(subject, ("gray", "instcolor-fusion--yolo"))
    assert compared is not None
    plot = draw_pair(compared)
    axes = plot.figure.axes[0]
    (points,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    runs = {record.method: folder for folder, record in read_runs([finished])}
    tables = [lines_of(runs[name] / "images.csv") for name in ("gray", "instcolor-fusion")]
    gray, fusion = ({line["image"]: float(line["psnr"]) for line in table} for table in tables)
    assert sorted(points_of(points)) == sorted([fusion[key], gray[key]] for key in KEYS)
    assert [text.get_text() for text in axes.texts] == ["0 of 7", "7 of 7"]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_ylabel().startswith("gray\n")
    assert "n = 7 images" in plot.caption
    assert "better on 0.0 %" in plot.caption


def test_the_best_two_are_compared_where_none_are_named(finished: Path, subject_of: Callable[..., Subject]) -> None:
    compared = best_pair(subject_of(finished))
    assert compared is not None
    assert (compared.a.name, compared.b.name) == ("instcolor-fusion--yolo", "zhang--none")


def test_names_that_no_subject_has_are_refused(finished: Path, subjects_of: Callable[..., list[Subject]]) -> None:
    with pytest.raises(UsageError, match="did you mean gray"):
        check_names(subjects_of(finished), [("grey", "zhang")])


def test_compare_draws_its_pair(
    colorbench: Callable[..., tuple[int, str, str]], finished: Path, texts: Callable[[bytes], list[str]]
) -> None:
    status, plain, _ = colorbench("compare", finished, "gray", "zhang", "--json")
    again = colorbench("compare", finished, "gray", "zhang", "--json", "--figure", finished / "pair.SVG")
    assert again == (status, plain, "")
    assert "7 of 7" in texts((finished / "pair.SVG").read_bytes())
    status, _, err = colorbench("compare", finished, "gray", "zhang", "--figure", finished / "pair.jpeg")
    assert (status, ".png or .svg" in err) == (2, True)
