"""Plots of categories, sizes and numbers hold the groups of the breakdown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.board import run_key
from bench.breakdown import By, read_breakdown
from bench.breakdown_board import break_down_board
from bench.figures.parts import draw_parts
from bench.figures.subjects import Subject
from bench.leaderboard import read_runs


@pytest.mark.parametrize(("by", "level"), [("category", "instance"), ("size", "instance"), ("instances", "image")])
def test_parts_are_those_of_the_breakdown(
    finished: Path,
    by: By,
    level: str,
    subject_of: Callable[..., Subject],
    dots: Callable[[Any], list[tuple[float, ...]]],
) -> None:
    subject = subject_of(finished, level)
    folders = {run_key(record): folder for folder, record in read_runs([finished])}
    plot = draw_parts(subject, break_down_board(subject.board, by, folders))
    assert plot is not None
    wanted = [
        read_breakdown(folders[method.entry.runs[0]] / "breakdown.csv", by)[0].scores["psnr"]
        for method in subject.methods
    ]
    drawn = [dot[1:] for dot in dots(plot.figure.axes[0])]
    assert drawn == [pytest.approx((score.mean, score.low, score.high)) for score in wanted]
