"""Curves over numbers of hints hold their points, one curve a method."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures.hints import draw_hints
from bench.hint_curves import HintCurves, hint_curves
from bench.ranking import rank_records
from bench.record import RunRecord

Finish = Callable[..., RunRecord]


def found(tmp_path: Path, finish_run: Finish) -> HintCurves:
    """Return the curves of three methods: with and without hints, with hints alone, with one number of them."""
    runs = [("learned", 0, 20), ("learned-hints1", 1, 21), ("learned-hints100", 100, 30), ("learned-hints10", 10, 25)]
    runs += [("scribbles-hints10", 10, 22), ("scribbles-hints100", 100, 31), ("once-hints10", 10, 5), ("gray", 0, 18)]
    records = [
        finish_run(tmp_path, {f"p{n}": {"psnr": float(psnr + n)} for n in range(3)}, method=name).model_copy(
            update={"hints": hints or None}
        )
        for name, hints, psnr in runs
    ]
    (curves,) = (each for each in hint_curves(rank_records(records, levels=["image"])) if each.metric == "psnr")
    return curves


def test_points_of_a_method_are_joined_by_their_hints(tmp_path: Path, finish_run: Finish) -> None:
    curves = found(tmp_path, finish_run).curves
    assert [(curve.label, [(point.hints, point.mean) for point in curve.points]) for curve in curves] == [
        ("learned", [(0, 21), (1, 22), (10, 26), (100, 31)]),
        ("scribbles", [(10, 23), (100, 32)]),
    ]


def test_without_several_numbers_of_hints_there_is_no_curve(tmp_path: Path, finish_run: Finish) -> None:
    plain = [finish_run(tmp_path, {"p": {"psnr": 20.0}}, method=name) for name in ("one", "other-hints10")]
    assert hint_curves(rank_records(plain)) == []


def test_the_plot_holds_the_curves(
    tmp_path: Path, finish_run: Finish, points_of: Callable[[Any], list[list[float]]]
) -> None:
    plot = draw_hints(found(tmp_path, finish_run))
    (axes,) = plot.figure.axes
    assert [points_of(line) for line in axes.get_lines()] == [
        [[0, 21], [1, 22], [10, 26], [100, 31]],
        [[10, 23], [100, 32]],
    ]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "10", "100"]
    assert (plot.kind, plot.methods, plot.metric) == (("hints",), 2, "psnr")
    assert "the first ones stay where more are given" in plot.caption
