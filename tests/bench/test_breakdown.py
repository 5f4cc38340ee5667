"""Breakdowns: every number against a plain loop over the same rows, and the tables that stand methods side by side."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import html5lib
import numpy as np
import pytest
from rich.console import Console

from bench.breakdown import LEVEL_OF, NUMBERS, break_down, read_breakdown, write_breakdown
from bench.breakdown_board import print_breakdowns, read_breakdown_boards, render_breakdowns
from bench.errors import MissingError, UsageError
from bench.record import RunRecord, score_instances
from bench.rows import InstanceRow, Row
from bench.shown import Shown
from bench.statistics import bootstrap_interval
from bench.tables import read_table

Finish = Callable[..., RunRecord]
CATEGORIES = {1: "person", 18: "dog", 44: ""}
METRICS = ("psnr", "ssim")


def make_rows(count: int = 80, seed: int = 0) -> list[Row]:
    """Return rows with up to twelve instances, some scores missing, a grey truth and an error."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        instances = tuple(
            InstanceRow(
                instance=100 * index + number,
                category_id=(category := int(random.choice(list(CATEGORIES)))),
                category=CATEGORIES[category],
                area=900.0,
                size=random.choice(["small", "medium", "large"]),
                x=0,
                y=0,
                width=30,
                height=30,
                scores={"psnr": random.normal(20, 3), "ssim": None if number % 5 == 4 else random.uniform()},
            )
            for number in range(int(random.integers(0, 13)))
        )
        rows.append(
            Row(
                run_id="r",
                image=f"photo{index:02}",
                status="gray-truth" if index == 3 else "ok",
                n_instances=len(instances),
                scores={"psnr": random.normal(24, 3), "ssim": None if index % 7 == 0 else random.uniform()},
                instances=instances,
            )
        )
    return [*rows, Row(run_id="r", image="broken", status="error-decode", message="it broke")]


def expected_mean(scores: list[list[float]]) -> tuple[float, float | None, float | None]:
    """Return mean and interval of scores that are given picture by picture."""
    present = [picture for picture in scores if picture]
    values = [value for picture in present for value in picture]
    interval = bootstrap_interval([sum(picture) for picture in present], [len(picture) for picture in present])
    return sum(values) / len(values), *interval


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("by", ["category", "size"])
def test_groups_of_instances_are_those_of_a_plain_loop(by: str, metric: str) -> None:
    rows = make_rows()
    found = {group.name: group for group in break_down(rows, METRICS) if group.by == by}
    names = ["category 44", "dog", "person"] if by == "category" else ["small", "medium", "large"]
    assert list(found) == names
    for name, group in found.items():
        scores = []
        members = 0
        for row in rows:
            if row.status != "ok":
                continue
            mine = [
                each
                for each in row.instances
                if (each.size if by == "size" else each.category or f"category {each.category_id}") == name
            ]
            members += len(mine)
            if mine:
                scores.append([value for each in mine if (value := each.scores[metric]) is not None])
        mean = group.scores[metric]
        assert (group.images, group.instances) == (len(scores), members)
        assert (mean.mean, mean.low, mean.high) == pytest.approx(expected_mean(scores), rel=1e-11)


@pytest.mark.parametrize("metric", METRICS)
def test_groups_of_pictures_are_those_of_a_plain_loop(metric: str) -> None:
    rows = [row for row in make_rows() if row.status == "ok"]
    found = {group.name: group for group in break_down(make_rows(), METRICS) if group.by == "instances"}
    bounds = {"0": (0, 0), "1": (1, 1), "2-4": (2, 4), "5-8": (5, 8), "9 and more": (9, 99)}
    assert list(bounds) == [name for name, _ in NUMBERS]
    assert set(found) == {
        name for name, (least, most) in bounds.items() if any(least <= r.n_instances <= most for r in rows)
    }
    for name, group in found.items():
        mine = [row for row in rows if bounds[name][0] <= row.n_instances <= bounds[name][1]]
        scores = [[value] for row in mine if (value := row.scores[metric]) is not None]
        mean = group.scores[metric]
        assert (group.images, group.instances) == (len(mine), sum(row.n_instances for row in mine))
        assert (mean.mean, mean.low, mean.high) == pytest.approx(expected_mean(scores), rel=1e-11)


def test_a_group_of_everything_has_the_scores_of_the_record() -> None:
    rows = [
        row.model_copy(update={"instances": tuple(each.model_copy(update={"size": "large"}) for each in row.instances)})
        for row in make_rows()
    ]
    (group,) = [group for group in break_down(rows, METRICS) if group.by == "size"]
    for metric in METRICS:
        score, mean = score_instances(rows, metric), group.scores[metric]
        assert mean.mean == score.mean
        assert (mean.low, mean.high) == pytest.approx((score.low, score.high), rel=1e-11)


def test_a_breakdown_of_nothing_is_empty() -> None:
    assert break_down([], METRICS) == []
    assert break_down([Row(run_id="r", image="a", status="error-size", message="m")], METRICS) == []
    (group,) = break_down([Row(run_id="r", image="a", status="ok", scores={"psnr": None})], METRICS)
    assert (group.name, group.images, group.scores["psnr"].mean, group.scores["ssim"].low) == ("0", 1, None, None)


def test_the_file_says_the_same_and_runs_no_formula(tmp_path: Path) -> None:
    rows = make_rows()
    for row in rows:
        for each in row.instances:
            if each.category == "dog":
                object.__setattr__(each, "category", "=dog()")
    path = tmp_path / "breakdown.csv"
    write_breakdown(rows, path, ("psnr", "fid", "ssim"))
    text = path.read_text()
    names = ["psnr", "psnr_low", "psnr_high", "ssim", "ssim_low", "ssim_high"]
    assert text.splitlines()[0] == ",".join(["by,group,level,images,instances", *names])
    assert "category,'=dog(),instance," in text
    groups = [group for by in ("category", "size", "instances") for group in read_breakdown(path, by)]
    assert groups == break_down(rows, METRICS)
    assert {(line["by"], line["level"]) for line in read_table(path)} == {
        ("category", "instance"),
        ("size", "instance"),
        ("instances", "image"),
    }


@pytest.fixture
def out(tmp_path: Path, finish_run: Finish) -> Path:
    """Return an output folder of three methods, one with two seeds and one partial; one picture has no score."""
    finish_run(tmp_path, {"a": {"psnr": 20.0}, "b": {"psnr": 22.0}}, method="low", metrics=("psnr",))
    for seed in (0, 1):
        scores = {"a": {"psnr": 25.0 + seed}, "b": {"psnr": 29.0 + seed}}
        finish_run(tmp_path, scores, method="high", detector="yolo", seed=seed, metrics=("psnr",))
    finish_run(tmp_path, {"a": {"psnr": 90.0}}, method="lucky", partial=True, metrics=("psnr",))
    return tmp_path


def test_methods_stand_side_by_side(out: Path) -> None:
    (table,) = read_breakdown_boards([out], "size")
    assert table.groups == ("medium",)
    cells = {entry.method: line["medium"].cell for entry, line in zip(table.board.entries, table.scores, strict=True)}
    assert {method: (cell.mean, cell.rank) for method, cell in cells.items()} == {
        "high": (26.5, 1),
        "low": (20.0, 2),
        "lucky": (89.0, None),
    }
    assert (cells["high"].low, cells["high"].high) == (24.0, 29.0)


def test_a_detector_alone_is_ranked_alone(out: Path) -> None:
    shown = Shown(detectors=("none",))
    text = render_breakdowns([out], "md", "size", shown=shown)
    assert "| 1 | low | none | **20.00 \\[19.00, 21.00\\]** |" in text
    assert "high" not in text
    assert "Ranked among the runs that are shown, with the detector none." in text


def test_two_names_of_one_run_have_their_own_numbers(out: Path) -> None:
    one = out / "runs/samples/low--none--s0"
    two = shutil.copytree(one, one.with_name("low-two--none--s0"))
    record, table = two / "record.json", two / "breakdown.csv"
    record.write_text(record.read_text().replace('"method": "low"', '"method": "low-two"'))
    table.write_text(table.read_text().replace("20.0", "20.5"))
    lines = list(csv.DictReader(io.StringIO(render_breakdowns([out], "csv", "size"))))
    assert {line["method"]: line["psnr"] for line in lines if line["rank"]} == {
        "high": "26.5",
        "low": "20.0",
        "low-two": "20.5",
    }


def test_sizes_and_numbers_have_a_line_a_method(out: Path) -> None:
    text = render_breakdowns([out], "md", "size")
    assert "| rank | method | detector | medium (2) |" in text
    assert "| 1 | high | yolo | **26.50 \\[24.00, 29.00\\]** |" in text
    assert "lucky: partial." in text
    assert "| rank | method | detector | 1 (2) |" in render_breakdowns([out], "md", "instances")


def test_categories_have_a_line_each(out: Path) -> None:
    text = render_breakdowns([out], "md", "category")
    assert "| category | images | instances | high yolo | low | lucky |" in text
    assert "| dog | 2 | 2 | **26.50** | <ins>20.00</ins> | 89.00 |" in text
    assert "Intervals stand in the CSV format" in text
    assert "*26.50 " in render_breakdowns([out], "terminal", "category")


def test_csv_and_json_hold_all_digits(out: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(render_breakdowns([out], "csv", "instances"))))
    assert [(line["method"], line["group"], line["psnr"], line["partial"]) for line in lines] == [
        ("high", "1", "27.5", "false"),
        ("low", "1", "21.0", "false"),
        ("lucky", "1", "90.0", "true"),
    ]
    objects = json.loads(render_breakdowns([out], "json", "instances"))
    assert [list(each) for each in objects] == [list(line) for line in lines]
    assert objects[2]["rank"] is None


def test_a_page_of_breakdowns_is_valid_html(out: Path) -> None:
    page = render_breakdowns([out], "html", "size")
    html5lib.HTMLParser(strict=True).parse(page)
    assert '<strong>26.50</strong> <small class="spread">[24.00, 29.00]</small>' in page
    assert "<u>20.00</u>" in page
    assert render_breakdowns([out], "html", "category").count("<tr") == 2


def test_a_narrow_terminal_loses_intervals(out: Path) -> None:
    printed = {}
    for width in (40, 120):
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, width=width, color_system=None)
        print_breakdowns([out], "size", console=console)
        printed[width] = file.getvalue()
    assert "26.50 [24.00, 29.00]" in printed[120]
    assert "[24" not in printed[40]
    assert max(map(len, printed[40].splitlines())) <= 40


def test_what_cannot_be_parted_is_said(out: Path) -> None:
    with pytest.raises(UsageError, match="--by category parts instances, so --level image has no such table"):
        read_breakdown_boards([out], "category", levels=["image"])
    with pytest.raises(UsageError, match="fid is a score of a whole set"):
        read_breakdown_boards([out], "size", sort="fid")
    with pytest.raises(MissingError, match="ssim was not measured in these runs; available: psnr"):
        read_breakdown_boards([out], "size", sort="ssim")
    with pytest.raises(MissingError, match="no finished run"):
        read_breakdown_boards([out / "nothing"], "size")


def remove_all(path: Path) -> None:
    path.unlink()
    path.with_name("rows.rank0.jsonl").unlink()


def test_a_breakdown_that_is_gone_is_made_of_the_rows(out: Path) -> None:
    for by in LEVEL_OF:
        known = read_breakdown_boards([out], by)
        texts = {path: path.read_text() for path in out.rglob("breakdown.csv")}
        for path in texts:
            path.unlink()
        assert read_breakdown_boards([out], by) == known
        for path, text in texts.items():
            path.write_text(text)


@pytest.mark.parametrize("spoil", [remove_all, lambda path: path.write_text("by,group\nsize,small\n")])
def test_a_run_without_its_breakdown_is_named(out: Path, spoil: Callable[[Path], object]) -> None:
    spoil(out / "runs/samples/low--none--s0/breakdown.csv")
    with pytest.raises(MissingError, match=r"low--none--s0 has no breakdown\.csv that can be read.*colorbench run"):
        read_breakdown_boards([out], "size")
