"""Means are dots with the intervals of the records, in the order of the board."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.container import ErrorbarContainer

from bench.figures.dots import draw_scores
from bench.figures.subjects import Subject
from bench.leaderboard import read_runs
from bench.record import RunRecord

KEYS = [f"photo-{number}" for number in range(7)]


def test_dots_are_the_means_and_intervals_of_the_records(
    finished: Path, subject_of: Callable[..., Subject], dots: Callable[[Any], list[tuple[float, ...]]]
) -> None:
    plot = draw_scores(subject_of(finished))
    records = sorted(
        (record for _, record in read_runs([finished])), key=lambda record: -(record.image["psnr"].mean or 0)
    )
    for place, record in enumerate(records):
        score = record.image["psnr"]
        assert dots(plot.figure.axes[0])[place] == pytest.approx((place, score.mean, score.low, score.high))
    names = [text.get_text() for text in plot.figure.axes[0].get_yticklabels()]
    assert names == ["instcolor-fusion · yolo", "zhang", "gray"]
    assert plot.figure.axes[0].get_xlabel() == "PSNR [dB] ↑"
    assert (plot.n, plot.methods) == ("7", 3)
    assert "n = 7 images" in plot.caption


def test_several_seeds_are_one_dot_at_their_mean(
    finish_run: Callable[..., RunRecord],
    tmp_path: Path,
    subject_of: Callable[..., Subject],
    dots: Callable[[Any], list[tuple[float, ...]]],
) -> None:
    for seed, value in enumerate((20.0, 23.0)):
        finish_run(tmp_path, {"a": {"psnr": value}, "b": {"psnr": value + 1}}, seed=seed, metrics=("psnr",))
    plot = draw_scores(subject_of(tmp_path))
    assert dots(plot.figure.axes[0]) == [(0, 22.0, 20.0, 24.0)]
    assert "2 seeds" in plot.caption


def test_the_truth_is_a_line_where_nearest_to_it_is_best(
    finish_run: Callable[..., RunRecord],
    tmp_path: Path,
    subjects_of: Callable[..., list[Subject]],
    points_of: Callable[[Any], list[list[float]]],
) -> None:
    scores = {
        "a": {"colorfulness": 20.0, "colorfulness_truth": 31.0},
        "b": {"colorfulness": 24.0, "colorfulness_truth": 35.0},
    }
    finish_run(tmp_path, scores, metrics=("colorfulness",))
    plot = draw_scores(subjects_of(tmp_path, "colorfulness")[0])
    (line,) = [line for line in plot.figure.axes[0].get_lines() if line.get_linestyle() == "--"]
    assert points_of(line) == [[33.0, 0.0], [33.0, 1.0]]
    assert "Dashed" in plot.caption


def test_what_has_no_rank_is_hollow_below_a_rule_and_says_why(
    finish_run: Callable[..., RunRecord], tmp_path: Path, subject_of: Callable[..., Subject]
) -> None:
    finish_run(tmp_path, {key: {"psnr": 20.0 + n} for n, key in enumerate(KEYS)}, metrics=("psnr",))
    finish_run(tmp_path, {"photo-0": {"psnr": 40.0}}, method="part", partial=True, metrics=("psnr",))
    plot = draw_scores(subject_of(tmp_path))
    axes = plot.figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["gray", "part †"]
    faces = [each.lines[0].get_markerfacecolor() for each in axes.containers if isinstance(each, ErrorbarContainer)]
    assert faces[1] == "white" != faces[0]
    assert "Hollow" in plot.caption
    assert "†: partial." in plot.caption
