"""Names on plots and of files are safe, fit, and differ, whatever methods are called."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from bench.figures.costs import draw_speed
from bench.figures.distributions import draw_cumulative
from bench.figures.dots import draw_scores
from bench.figures.names import labels, stem
from bench.figures.style import to_bytes
from bench.figures.subjects import Run, read_subjects
from bench.leaderboard import read_runs
from bench.record import RunRecord

HOSTILE = "$x_{\\frac1}^$ <b>&\"'%#~`|*"


def rename(runs: list[Run], names: Mapping[str, str]) -> list[Run]:
    return [(place, record.model_copy(update={"method": names[record.method]})) for place, record in runs]


def test_names_are_no_formulas_and_no_markup(finished: Path, texts: Callable[[bytes], list[str]]) -> None:
    names = {"gray": HOSTILE, "zhang": "_begins-like-legends-hide", "instcolor-fusion": "\x1b[31m写真"}
    subject = read_subjects(rename(read_runs([finished]), names), ("psnr",))[0]
    for plot in (draw_scores(subject), draw_cumulative(subject), draw_speed(subject)):
        assert plot is not None
        shown = texts(to_bytes(plot.figure, "svg"))
        assert {HOSTILE, names["zhang"], "�[31m写真 · yolo"} <= set(shown)
        assert to_bytes(plot.figure, "png")


def test_long_names_of_many_methods_overlap_nowhere(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}, "b": {"psnr": 21.0}}, metrics=("psnr",))
    place = next(tmp_path.glob("runs/*/*"))
    runs = [
        (place, record.model_copy(update={"method": f"{100 * 'm'}-{n}-{100 * 'x'}", "run_id": f"{n:064}"}))
        for n in range(34)
    ]
    plot = draw_scores(read_subjects(runs, ("psnr",))[0])
    plot.figure.draw_without_rendering()
    ticks = plot.figure.axes[0].get_yticklabels()
    boxes = [tick.get_window_extent() for tick in ticks]
    whole = plot.figure.bbox
    assert len({tick.get_text() for tick in ticks}) == 34
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
    assert all(lower.y1 < upper.y0 for upper, lower in pairwise(boxes))
    assert plot.figure.axes[0].get_window_extent().width > 0.2 * whole.width, "even with the widest letter"


def test_names_of_files_are_safe_and_tell_things_apart() -> None:
    names = [
        stem("coco", name, "psnr") for name in (HOSTILE, "../../x", ".hidden", "写真", "a b", "a-b", 300 * "m", "")
    ]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]{1,120}", name) for name in names)
    assert stem("coco-val2017", "stretch256-v1", "image") == "coco-val2017--stretch256-v1--image"


def test_labels_of_several_lines_lose_nothing() -> None:
    names = [f"instcolor-fusion-masked · annotations-drop0.{tenth}" for tenth in range(10)]
    assert labels(names)[5].split("\n") == ["instcolor-fusion-masked", "· annotations-drop0.5"]
    assert labels(["zhang-siggraph17-class-rebalanced", "60letters" * 6, "a b", ""], 20) == [
        "zhang-siggraph17-\nclass-rebalanced",
        "60letters60letters60\nletters60letters60le\ntters60letters",
        "a b",
        "",
    ]


def test_labels_that_are_cut_stay_different() -> None:
    short = labels([f"{90 * 'a'}{number}{90 * 'b'}" for number in range(12)])
    assert len(set(short)) == 12
    assert max(len(line) for name in short for line in name.split("\n")) <= 26
    assert max(name.count("\n") for name in short) <= 3
    assert labels(["a", "a"]) == ["a", "a"]
