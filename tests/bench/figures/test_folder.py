"""A folder of plots holds every kind with an index, or says what is missing."""

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.board import run_key
from bench.errors import MissingError, UsageError
from bench.figures import folder
from bench.figures.distributions import draw_cumulative, draw_distribution
from bench.figures.dots import draw_scores
from bench.figures.folder import Wanted, Written, parse_wanted, write_figures
from bench.figures.grids import shown_methods
from bench.figures.pairs import best_pair
from bench.figures.style import COLUMN, DPI
from bench.figures.subjects import Plot, Subject, read_subjects
from bench.leaderboard import read_runs
from bench.record import RunRecord

KEYS = [f"photo-{number}" for number in range(7)]


@pytest.fixture
def scores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only one kind of plot: it is files that matter, and all kinds take seconds."""

    def draw(subjects: Sequence[Subject], *rest: object) -> Iterator[Plot]:
        yield from map(draw_scores, subjects)

    monkeypatch.setattr(folder, "_plots", draw)


def plots_of(out: Path, keys: Sequence[str]) -> list[Plot]:
    subjects = read_subjects(read_runs([out]), ("psnr",))
    folders = {run_key(record): place for place, record in read_runs([out])}
    parts = [folder._read_parts(subject, folders, {}) for subject in subjects]
    return [*folder._plots(subjects, parts, (), [(subjects[0], shown_methods(subjects[0]), keys)])]


def test_every_kind_is_drawn(finished: Path) -> None:
    plots = plots_of(finished, KEYS[:1])
    kinds = {"scores", "distribution", "cumulative", "speed", "pair", "by-number", "by-category", "by-size", "pictures"}
    assert {plot.kind[0] for plot in plots} == kinds
    assert all(plot.caption and plot.n == "7" for plot in plots)


def test_one_picture_of_one_method_can_be_drawn(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    finish_run(tmp_path, {"a": {"psnr": 20.0}}, metrics=("psnr",), images=True)
    plots = plots_of(tmp_path, ["a"])
    kinds = {"scores", "distribution", "cumulative", "speed", "by-number", "by-category", "by-size", "pictures"}
    assert {plot.kind[0] for plot in plots} == kinds
    for plot in plots:
        plot.figure.draw_without_rendering()


@pytest.mark.usefixtures("scores_alone")
def test_a_folder_of_plots_has_an_index_and_the_right_sizes(
    finished: Path,
    tmp_path: Path,
    lines_of: Callable[[Path], list[dict[str, str]]],
    texts: Callable[[bytes], list[str]],
) -> None:
    names = write_figures(finished, tmp_path / "plots", Wanted(metrics=("psnr",))).names
    lines = lines_of(tmp_path / "plots/figures.csv")
    assert tuple(line["file"] for line in lines) == names
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


def test_runs_without_scores_give_an_empty_index(finish_run: Callable[..., RunRecord], tmp_path: Path) -> None:
    finish_run(tmp_path / "run", {"a": "error-decode"})
    assert write_figures(tmp_path / "run", tmp_path / "plots", Wanted()) == Written((), ())
    assert (tmp_path / "plots/figures.md").read_text(encoding="utf-8").startswith("# Figures")


def test_tables_that_are_gone_leave_the_means(
    finished: Path, subject_of: Callable[..., Subject], dots: Callable[[Any], list[tuple[float, ...]]]
) -> None:
    for path in finished.glob("runs/*/*/images.csv"):
        path.unlink()
    subject = subject_of(finished)
    assert draw_distribution(subject) is None
    assert draw_cumulative(subject) is None
    assert best_pair(subject) is None
    assert len(dots(draw_scores(subject).figure.axes[0])) == 3


@pytest.mark.parametrize(
    ("metrics", "pairs", "pictures", "grid", "told"),
    [
        (["psmr"], [], [], None, "psnr"),
        ([], ["gray"], [], None, "A,B"),
        ([], ["gray,,zhang"], [], None, "A,B"),
        ([], ["gray,zhnag"], [], None, "zhang"),
        ([], ["gray,gray--none"], [], None, "two methods"),
        ([], [], ["photo-2", "poto-6"], None, "'poto-6'.*7 were, of which 'photo-6'"),
        ([], [], [], "gray,zhnag", "zhang"),
    ],
)
def test_what_is_not_there_is_named(
    finished: Path,
    tmp_path: Path,
    metrics: list[str],
    pairs: list[str],
    pictures: list[str],
    grid: str | None,
    told: str,
) -> None:
    with pytest.raises(UsageError, match=told):
        write_figures(finished, tmp_path / "plots", parse_wanted(metrics or ["psnr"], pairs, pictures, grid))


def test_pictures_that_nobody_kept_are_asked_of_run(finished: Path, tmp_path: Path) -> None:
    shutil.rmtree(finished / "pictures")
    with pytest.raises(UsageError, match="with --save-images"):
        write_figures(finished, tmp_path / "plots", Wanted(metrics=("psnr",), pictures=("photo-1",)))


def test_a_metric_that_was_not_measured_is_missing(finished: Path) -> None:
    with pytest.raises(MissingError, match=r"fid was not measured.*psnr, ssim"):
        read_subjects(read_runs([finished]), ("fid",))


@pytest.mark.usefixtures("scores_alone")
def test_only_the_parts_are_left_out_where_a_breakdown_is_broken(
    colorbench: Callable[..., tuple[int, str, str]], finished: Path, subject_of: Callable[..., Subject]
) -> None:
    next(finished.glob("runs/*/zhang*/breakdown.csv")).write_text("by,group\ninstances,0\n")
    status, _, err = colorbench("report", finished, "--figures", finished / "plots", "--metric", "psnr")
    assert status == 0
    assert (err.count("has no breakdown.csv that can be read"), err.count("`colorbench run`")) == (1, 1)
    assert "Missing: no plots of categories" in (finished / "plots/figures.md").read_text(encoding="utf-8")
    folders = {run_key(record): place for place, record in read_runs([finished])}
    assert folder._read_parts(subject_of(finished), folders, {}) == []


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
