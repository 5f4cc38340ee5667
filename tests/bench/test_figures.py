"""Plots show what records and tables hold, fit their paper whatever the names are, and are the same bytes each time."""

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Rectangle
from PIL import Image

from bench.board import Cost, run_key
from bench.breakdown import By, read_breakdown
from bench.breakdown_board import break_down_board
from bench.errors import MissingError, UsageError
from bench.failure_modes import ErrorCurves, Point, Series
from bench.figures import folder
from bench.figures.box_errors import draw_box_errors
from bench.figures.costs import draw_gmacs, draw_speed
from bench.figures.distributions import draw_cumulative, draw_distribution
from bench.figures.dots import draw_scores
from bench.figures.folder import Wanted, parse_wanted, write_figures
from bench.figures.grids import draw_pictures, picture_keys
from bench.figures.names import labels, stem
from bench.figures.pairs import best_pair, check_names, draw_pair, named_pair
from bench.figures.parts import draw_parts
from bench.figures.style import COLUMN, DPI, MARKERS, looks, styled, to_bytes
from bench.figures.subjects import Plot, Run, Subject, read_subjects
from bench.leaderboard import read_runs
from bench.record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
KEYS = [f"photo-{number}" for number in range(7)]
METHODS = {"gray": 20.0, "zhang": 22.5, "instcolor-fusion": 24.0}
HOSTILE = "$x_{\\frac{1}{2}}^$ <b>&\"'%#~`|*_"


@pytest.fixture(scope="module")
def made() -> list[Path]:
    """Return where the folder below was made by the first test that asked for it."""
    return []


@pytest.fixture
def finished(
    made: list[Path],
    finish_run: Callable[..., RunRecord],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return an output folder of three methods, whose scores are anything but smooth."""
    if not made:
        made.append(tmp_path_factory.mktemp("made"))
        for method, level in METHODS.items():
            scores = {key: {"psnr": level + (7 * n % 5) - len(method) % 3, "ssim": 0.9} for n, key in enumerate(KEYS)}
            detector = "yolo" if method == "instcolor-fusion" else "none"
            finish_run(made[0], scores, method=method, detector=detector, images=True)
    return shutil.copytree(made[0], tmp_path / "run")


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with styled():
        yield


def subjects_of(out: Path, *metrics: str) -> list[Subject]:
    return read_subjects(read_runs([out]), metrics or ("psnr",))


def subject_of(out: Path, level: str = "image") -> Subject:
    return next(subject for subject in subjects_of(out) if subject.board.level == level)


def lines_of(path: Path) -> list[dict[str, str]]:
    return [*csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


def points_of(line: Any) -> list[list[float]]:
    found: list[list[float]] = np.asarray(line.get_xydata()).tolist()
    return found


def dots(axes: Any) -> list[tuple[float, ...]]:
    """Return place, mean and ends of each dot, as the artists hold them."""
    found = []
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            line, _, bars = container.lines
            ends = tuple(bars[0].get_segments()[0][:, 0]) if bars else ()
            ((mean, place),) = points_of(line)
            found.append((place, mean, *ends))
    return found


def test_dots_are_the_means_and_intervals_of_the_records(finished: Path) -> None:
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


def test_several_seeds_are_one_dot_at_their_mean(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    for seed, value in enumerate((20.0, 23.0)):
        finish_run(tmp_path, {"a": {"psnr": value}, "b": {"psnr": value + 1}}, seed=seed, metrics=("psnr",))
    plot = draw_scores(subject_of(tmp_path))
    assert dots(plot.figure.axes[0]) == [(0, 22.0, 20.0, 24.0)]
    assert "2 seeds" in plot.caption


def test_the_truth_is_a_line_where_nearest_to_it_is_best(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
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
    finish_run: Callable[..., RunRecord], tmp_path: Path
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


def test_boxes_are_quartiles_and_percentiles(finished: Path) -> None:
    subject = subject_of(finished)
    plot = draw_distribution(subject)
    assert plot is not None
    boxes = [patch for patch in plot.figure.axes[0].patches if isinstance(patch, Rectangle)]
    for box, method in zip(boxes, subject.methods, strict=True):
        first, _, third = statistics.quantiles((method.scores or {}).values(), n=4, method="inclusive")
        assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((first, third))


def test_curves_tell_the_share_of_pictures_at_most_there(finished: Path) -> None:
    subject = subject_of(finished)
    plot = draw_cumulative(subject)
    assert plot is not None
    for line, method in zip(plot.figure.axes[0].get_lines(), subject.methods, strict=True):
        values = [*(method.scores or {}).values()]
        points = points_of(line)
        for value in values:
            share = 100 * sum(each <= value for each in values) / len(values)
            assert max(y for x, y in points if x == value) == pytest.approx(share)
        assert points[0] == [min(values), 0]


def test_points_of_a_pair_are_the_scores_of_both(finished: Path) -> None:
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


def test_the_best_two_are_compared_where_none_are_named(finished: Path) -> None:
    compared = best_pair(subject_of(finished))
    assert compared is not None
    assert (compared.a.name, compared.b.name) == ("instcolor-fusion--yolo", "zhang--none")


@pytest.mark.parametrize(("by", "level"), [("category", "instance"), ("size", "instance"), ("instances", "image")])
def test_parts_are_those_of_the_breakdown(finished: Path, by: By, level: str) -> None:
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


def test_scores_stand_over_what_they_cost(finished: Path) -> None:
    subject = subject_of(finished)
    plot = draw_speed(subject)
    assert plot is not None
    container = plot.figure.axes[0].containers[0]
    assert isinstance(container, ErrorbarContainer)
    first = subject.methods[0]
    assert points_of(container.lines[0]) == [[first.runs[0][1].images_per_second, first.entry.scores["psnr"].mean]]
    assert "cpu" in plot.caption
    assert draw_gmacs(replace(subject, methods=tuple(without_cost(each) for each in subject.methods))) is None
    some = (without_cost(subject.methods[0]), replace_cost(subject.methods[1], Cost(gmacs=53.6)))
    drawn = draw_gmacs(replace(subject, methods=some))
    assert drawn is not None
    assert drawn.methods == 1
    assert "Not known, or none: instcolor-fusion · yolo" in drawn.caption


def without_cost(method: Any) -> Any:
    return replace_cost(method, Cost())


def replace_cost(method: Any, cost: Cost) -> Any:
    return replace(method, entry=replace(method.entry, cost=cost))


def test_pictures_stand_beside_each_other_with_their_scores(finished: Path) -> None:
    subject = subject_of(finished)
    assert picture_keys(subject) == KEYS
    plot = draw_pictures(subject, KEYS[:2])
    assert plot is not None
    panels = np.array(plot.figure.axes).reshape(2, 5)
    assert [panel.get_title() for panel in panels[0]] == [
        "input",
        "instcolor-\nfusion · yolo",
        "zhang",
        "gray",
        "truth",
    ]
    scores = [(method.scores or {})[KEYS[1], 0] for method in subject.methods]
    assert [panel.get_xlabel() for panel in panels[1, 1:-1]] == [f"{score:.2f}" for score in scores]
    truth = np.asarray(Image.open(finished / "pictures/samples/photo-1.truth.png"))
    assert np.array_equal(panels[1, -1].images[0].get_array(), truth)
    assert KEYS[1] in plot.caption


def test_a_picture_without_its_prediction_is_in_no_grid(finished: Path) -> None:
    next(finished.glob("runs/*/zhang*/images/photo-3.png")).unlink()
    assert picture_keys(subject_of(finished)) == [key for key in KEYS if key != "photo-3"]


def test_curves_of_box_errors_hold_their_points() -> None:
    points = tuple(Point(x / 4, 24.0 - x, 23.0 - x, 25.0 - x) for x in range(5))
    series = (
        Series("fusion · annotations", points),
        Series("full (looks at no boxes)", (points[0], points[-1]), "reference"),
        Series("fusion · yolo", points[2:3], "detector"),
    )
    plot = draw_box_errors(ErrorCurves("coco", "stretch256-v1", "image", "psnr", "drop", "share missed", series))
    lines = plot.figure.axes[0].get_lines()
    assert [points_of(line) for line in lines] == [[[p.x, p.mean] for p in each.points] for each in series]
    assert len(plot.figure.axes[0].collections) == 1, "one band"
    assert plot.kind == ("box-errors", "drop")


@pytest.fixture
def scores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only one kind of plot: it is files that matter, and all kinds take seconds."""

    def draw(subjects: Sequence[Subject], *rest: object) -> Iterator[Plot]:
        yield from map(draw_scores, subjects)

    monkeypatch.setattr(folder, "_plots", draw)


def plots_of(out: Path, keys: Sequence[str]) -> list[Plot]:
    subjects = subjects_of(out)
    folders = {run_key(record): place for place, record in read_runs([out])}
    parts = [folder._read_parts(subject, folders) for subject in subjects]
    return [*folder._plots(subjects, parts, (), [(subjects[0], keys)])]


def test_every_kind_is_drawn(finished: Path) -> None:
    plots = plots_of(finished, KEYS[:1])
    kinds = {"scores", "distribution", "cumulative", "speed", "pair", "by-number", "by-category", "by-size", "pictures"}
    assert {plot.kind[0] for plot in plots} == kinds
    assert all(plot.caption and plot.n == "7" for plot in plots)


@pytest.mark.usefixtures("scores_alone")
def test_a_folder_of_plots_has_an_index_and_the_right_sizes(finished: Path, tmp_path: Path) -> None:
    names = write_figures(finished, tmp_path / "plots", Wanted(metrics=("psnr",)))
    lines = lines_of(tmp_path / "plots/figures.csv")
    assert [line["file"] for line in lines] == names
    assert {(line["kind"], line["level"], line["n"]) for line in lines} == {
        ("scores", "image", "7"),
        ("scores", "instance", "7"),
    }
    files = {f"{name}.{form}" for name in names for form in ("png", "svg")} | {"figures.csv", "figures.md"}
    assert {path.name for path in (tmp_path / "plots").iterdir()} == files
    place = "samples--stretch256-v1--image--psnr"
    with Image.open(tmp_path / f"plots/{place}--scores.png") as picture:
        assert picture.width == round(COLUMN * DPI)
        assert picture.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    svg = ElementTree.parse(tmp_path / f"plots/{place}--scores.svg").getroot()
    assert svg.get("width") == f"{COLUMN * 72}pt"
    assert {"instcolor-fusion · yolo", "PSNR [dB] ↑"} <= set(texts(ElementTree.tostring(svg)))
    page = (tmp_path / "plots/figures.md").read_text(encoding="utf-8")
    assert all(f"({name}.png)" in page for name in names)


def texts(svg: bytes) -> list[str]:
    """Return the texts of an SVG file, which are no outlines."""
    root = ElementTree.fromstring(svg)
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_equal_runs_give_equal_bytes_whatever_the_user_likes(finished: Path, form: str) -> None:
    first = to_bytes(draw_scores(subject_of(finished)).figure, form)
    with mpl.rc_context({"font.size": 30, "text.parse_math": True, "lines.linewidth": 9}), styled():
        second = to_bytes(draw_scores(subject_of(finished)).figure, form)
    assert first == second
    assert b"2026" not in first or b"<dc:date>" not in first


@pytest.mark.slow
def test_a_home_that_takes_no_cache_is_no_matter(tmp_path: Path) -> None:
    """Fonts take a second to find where no cache of them can be kept."""
    code = "from bench.figures.style import *\nwith styled():\n    print(len(to_bytes(one_panel(1, 1)[0], 'svg')))"
    home = {"HOME": "/proc/nosuch", "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 1000
    assert [*tmp_path.iterdir()] == [], "the cache of this process goes with it"


def rename(runs: list[Run], names: Mapping[str, str]) -> list[Run]:
    return [(place, record.model_copy(update={"method": names[record.method]})) for place, record in runs]


def test_names_are_no_formulas_and_no_markup(finished: Path) -> None:
    names = {"gray": HOSTILE, "zhang": "_begins-like-what-legends-hide", "instcolor-fusion": "\x1b[31m写真"}
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


def test_looks_differ_in_more_than_their_colour() -> None:
    found = looks(f"method {number}" for number in range(34))
    assert len({(look.color, look.marker) for look in found.values()}) == 34
    assert len({(look.color, str(look.dash)) for look in found.values()}) == 34
    assert len({look.marker for look in [*found.values()][: len(MARKERS)]}) == len(MARKERS)


def test_one_picture_of_one_method_can_be_drawn(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    finish_run(tmp_path, {"a": {"psnr": 20.0}}, metrics=("psnr",), images=True)
    plots = plots_of(tmp_path, ["a"])
    kinds = {"scores", "distribution", "cumulative", "speed", "by-number", "by-category", "by-size", "pictures"}
    assert {plot.kind[0] for plot in plots} == kinds
    for plot in plots:
        plot.figure.draw_without_rendering()


def test_runs_without_scores_give_an_empty_index(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    finish_run(tmp_path / "run", {"a": "error-decode"})
    assert write_figures(tmp_path / "run", tmp_path / "plots", Wanted()) == []
    assert (tmp_path / "plots/figures.md").read_text(encoding="utf-8").startswith("# Figures")


def test_tables_that_are_gone_leave_the_means(finished: Path) -> None:
    for path in finished.glob("runs/*/*/images.csv"):
        path.unlink()
    subject = subject_of(finished)
    assert draw_distribution(subject) is None
    assert draw_cumulative(subject) is None
    assert best_pair(subject) is None
    assert len(dots(draw_scores(subject).figure.axes[0])) == 3


@pytest.mark.parametrize(
    ("metrics", "pairs", "pictures", "told"),
    [
        (["psmr"], [], [], "psnr"),
        ([], ["gray"], [], "A,B"),
        ([], ["gray,,zhang"], [], "A,B"),
        ([], ["gray,zhnag"], [], "zhang"),
        ([], ["gray,gray--none"], [], "two methods"),
        ([], [], ["nosuch"], "nosuch"),
    ],
)
def test_what_is_not_there_is_named(
    finished: Path, tmp_path: Path, metrics: list[str], pairs: list[str], pictures: list[str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        write_figures(finished, tmp_path / "plots", parse_wanted(metrics or ["psnr"], pairs, pictures))


def test_a_metric_that_was_not_measured_is_missing(finished: Path) -> None:
    with pytest.raises(MissingError, match=r"fid was not measured.*psnr, ssim"):
        read_subjects(read_runs([finished]), ("fid",))


def test_nothing_is_written_where_a_breakdown_is_gone(finished: Path, tmp_path: Path) -> None:
    next(finished.glob("runs/*/zhang*/breakdown.csv")).unlink()
    with pytest.raises(MissingError, match=r"has no breakdown\.csv"):
        write_figures(finished, tmp_path / "plots", Wanted(metrics=("psnr",)))
    assert not (tmp_path / "plots").exists()


def test_names_of_files_are_safe_and_tell_things_apart() -> None:
    names = [
        stem("coco", name, "psnr") for name in (HOSTILE, "../../x", ".hidden", "写真", "a b", "a-b", 300 * "m", "")
    ]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]{1,120}", name) for name in names)
    assert stem("coco-val2017", "stretch256-v1", "image") == "coco-val2017--stretch256-v1--image"


def test_labels_that_are_cut_stay_different() -> None:
    names = [f"{40 * 'a'}{number}{40 * 'b'}" for number in range(12)]
    short = labels(names)
    assert len(set(short)) == 12
    assert max(map(len, short)) <= 34
    assert labels(["a", "a"]) == ["a", "a"]
    both = labels([f"instcolor-fusion-masked · annotations-drop0.{tenth}" for tenth in range(10)])
    assert both[5] == "instcolo…-masked · annota…rop0.5"
    assert len({*both}) == 10


def test_names_that_no_subject_has_are_refused(finished: Path) -> None:
    with pytest.raises(UsageError, match="did you mean gray"):
        check_names(subjects_of(finished), [("grey", "zhang")])


@pytest.mark.usefixtures("scores_alone")
def test_report_draws_plots_beside_the_page(colorbench: Callable[..., tuple[int, str, str]], finished: Path) -> None:
    status, out, err = colorbench(
        "report",
        finished,
        "--figures",
        finished / "plots",
        "--metric",
        "ssim",
        "--pair",
        "gray,zhang",
        "--show",
        "photo-2",
    )
    assert (status, err) == (0, "")
    assert str(finished / "plots") in out
    assert (finished / "report.html").is_file()
    levels = ("image", "instance")
    names = {f"samples--stretch256-v1--{level}--ssim--scores.svg" for level in levels}
    assert {path.name for path in finished.glob("plots/*.svg")} == names


def test_report_refuses_what_only_plots_have(colorbench: Callable[..., tuple[int, str, str]], finished: Path) -> None:
    status, _, err = colorbench("report", finished, "--pair", "gray,zhang")
    assert status == 2
    assert "--figures" in err


def test_compare_draws_its_pair(colorbench: Callable[..., tuple[int, str, str]], finished: Path) -> None:
    status, plain, _ = colorbench("compare", finished, "gray", "zhang", "--json")
    again = colorbench("compare", finished, "gray", "zhang", "--json", "--figure", finished / "pair.SVG")
    assert again == (status, plain, "")
    assert "7 of 7" in texts((finished / "pair.SVG").read_bytes())
    status, _, err = colorbench("compare", finished, "gray", "zhang", "--figure", finished / "pair.jpeg")
    assert (status, ".png or .svg" in err) == (2, True)
