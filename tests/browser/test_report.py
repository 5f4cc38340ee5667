"""The report of a real run, opened as its reader opens it: by file, without a network."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import gaussian_kde

from bench.box_errors import DetectorError, Perturbation
from bench.leaderboard import write_leaderboards
from bench.provenance import canonical_digest
from bench.record import RunRecord
from bench.report.page import write_report
from bench.rows import InstanceRow, Row
from bench.tables import read_table
from bench.tracks import TITLES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
METRICS = ("psnr", "ssim", "ab_rmse", "ciede2000")
HOSTILE = "<b onclick=alert(1)>x</b></script><script>alert(1)</script>"
LIKELY = {HOSTILE if number == 1 else f"kind {number:02}": 14 - number for number in range(14)}
PICTURES = {"samples": 5, "synthetic": 40}
Leave = Callable[..., Path]


def scores(draw: np.random.Generator, shift: float) -> dict[str, float | None]:
    psnr, error = 20 + shift + draw.normal(0, 3), 12 - shift + draw.normal(0, 1)
    return {"psnr": psnr, "ssim": 0.8 + draw.normal(0, 0.05), "ab_rmse": error, "ciede2000": error / 2}


def row(run_id: str, key: str, draw: np.random.Generator, shift: float) -> Row:
    """Return a picture with four instances, whose kinds follow from its name."""
    kinds = np.random.default_rng(sum(map(ord, key)))
    share = np.array([*LIKELY.values()]) / sum(LIKELY.values())
    instances = tuple(
        InstanceRow(
            instance=number,
            category_id=1,
            category=str(kinds.choice([*LIKELY], p=share)),
            area=2000.0,
            size=("small", "medium", "large", "large")[number],
            x=4 * number,
            y=4,
            width=30,
            height=20,
            scores=scores(draw, shift - 1),
        )
        for number in range(4)
    )
    return Row(
        run_id=run_id,
        image=key,
        status="ok",
        scores=scores(draw, shift),
        instances=instances,
        width=64,
        height=64,
        n_instances=4,
    )


def finish(leave_run: Leave, out: Path, dataset: str, method: str, shift: float, *, partial: bool = False) -> None:
    """Leave a run as `colorbench run` does, with the pictures of a small dataset."""
    run_id, draw = canonical_digest([dataset, method]), np.random.default_rng(round(100 * shift))
    keys = [f"{dataset} {number:02}" for number in range(PICTURES[dataset])]
    if dataset == "synthetic":
        keys[0] = HOSTILE
    rows = {key: row(run_id, key, draw, shift) for key in keys}
    folder = leave_run(out, dataset, method, rows, METRICS, partial=partial)
    if dataset == "samples":
        save_pictures([folder / "images" / f"{key}.png" for key in keys])
        save_pictures([out / "pictures" / dataset / f"{key}.{kind}.png" for key in keys for kind in ("truth", "gray")])


def save_pictures(paths: list[Path]) -> None:
    for shade, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (10 * shade, 90, 120)).save(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, leave_run: Leave) -> Path:
    """Return the report of three methods, one of which has no rank, on two datasets."""
    out = tmp_path_factory.mktemp("run")
    for dataset in PICTURES:
        for shift, method in enumerate(("random-two", "random", "gray")):
            finish(leave_run, out, dataset, method, shift + 0.5, partial=method == "random-two")
    write_leaderboards(out)
    return write_report(out)


@pytest.fixture
def opened(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """Return a function that opens a page; whatever it complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: Path, size: str = "desktop", **options: Any) -> "Page":
        width, height = SIZES[size]
        viewport: ViewportSize = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, offline=True, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def shown(page: "Page", selector: str) -> list[str]:
    """Return the texts of what a reader sees."""
    return [each.inner_text() for each in page.locator(selector).all() if each.is_visible()]


def column(page: "Page", table: str, place: int) -> list[str]:
    return [text.split("\n")[0] for text in shown(page, f"{table} tbody tr > :nth-child({place})")]


def marks(page: "Page", sheet: str) -> int:
    return page.locator(f"#{sheet} .canvas svg .mark, #{sheet} .canvas svg circle").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_page_fits_its_window_and_draws_its_plots(
    finished: Path, opened: "Callable[..., Page]", size: str, scheme: str
) -> None:
    page = opened(finished, size, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    for sheet in ("plot-density", "plot-curves", "plot-scatter", "plot-bars"):
        assert marks(page, sheet) > 0
    assert page.locator("#plot-errors").is_hidden()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", paper)[:3])) < 3 * 128
    assert dark == (scheme == "dark")
    ink = page.evaluate("getComputedStyle(document.querySelector('.sheet svg text')).fill")
    assert (sum(map(int, re.findall(r"\d+", ink)[:3])) < 3 * 128) == (scheme == "light")


def test_tables_sort_by_keyboard(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    table = "#leaderboards table >> nth=0"
    head = page.locator(table).locator("th", has_text="PSNR")
    head.locator("button").focus()
    for key, sort in (("Enter", "descending"), ("Space", "ascending")):
        page.keyboard.press(key)
        assert head.get_attribute("aria-sort") == sort
        cells = page.locator(table).locator("tbody tr:not(.unranked) td[data-column=psnr]").all()
        values = [float(cell.get_attribute("data-value") or "nan") for cell in cells]
        assert values == sorted(values, reverse=sort == "descending")
    assert page.locator(table).locator("th[aria-sort]").count() == 1
    page.locator(table).locator("th", has_text="RMSE").locator("button").click()
    assert page.locator(table).locator("th[aria-sort=ascending]").count() == 1, "the lowest error first"


def test_rows_without_rank_stay_below_however_a_table_is_sorted(
    opened: "Callable[..., Page]", tmp_path: Path, leave_run: Leave
) -> None:
    for number, shift in ((2, 1.0), (10, 2.0), (1, 3.0)):
        finish(leave_run, tmp_path, "samples", f"{number} steps", shift)
    finish(leave_run, tmp_path, "samples", "limited", 9.0, partial=True)
    page = opened(write_report(tmp_path))
    table = page.locator("#leaderboards table").first
    table.locator("th", has_text="PSNR").locator("button").click()
    rows = table.locator("tbody tr th")
    names = [name.split("\n")[0] for name in rows.all_inner_texts()]
    assert (sorted(names[:3]), names[3]) == (["1 steps", "10 steps", "2 steps"], "limited")
    assert "partial" in rows.last.inner_text()
    table.locator("thead th", has_text="method").locator("button").click()
    assert [name.split("\n")[0] for name in rows.all_inner_texts()] == ["1 steps", "2 steps", "10 steps", "limited"]


def test_tables_filter_by_keyboard(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    told = page.locator("#boards-filters output")
    assert told.inner_text() == "12 rows"
    page.locator("#boards-text").focus()
    page.keyboard.type("RAND")
    assert told.inner_text() == "8 of 12 rows; ranks are among all rows of a table"
    assert {name.split("\n")[0] for name in shown(page, "#leaderboards tbody th")} == {"random", "random-two"}
    page.keyboard.press("Tab")
    page.keyboard.type("samples")
    assert told.inner_text() == "4 of 12 rows; ranks are among all rows of a table"
    assert shown(page, "#leaderboards h3") == [
        f"samples, stretch256-v1, {level}" for level in ("whole images", "instances")
    ]
    page.locator("#boards-ranked").focus()
    page.keyboard.press("Space")
    assert set(shown(page, "#leaderboards tbody th")) == {"random"}
    page.locator("#boards-filters button[type=reset]").focus()
    page.keyboard.press("Enter")
    page.locator("#boards-filters output", has_text=re.compile("^12 rows$")).wait_for()
    assert len(shown(page, "#leaderboards tbody tr")) == 12
    page.locator("#runs-text").fill("nothing is called so")
    assert page.locator("#runs-filters output").inner_text() == "0 of 6 rows"
    assert shown(page, "#runs .table table") == []


def test_columns_can_be_hidden(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    before = len(shown(page, "#leaderboards table >> nth=0 >> th[scope=col]"))
    page.locator("#boards-filters summary").click()
    page.locator("#boards-column-ssim").uncheck()
    page.keyboard.press("Escape")
    assert page.locator("#boards-column-ssim").is_hidden()
    assert not [text for text in shown(page, "#leaderboards th[scope=col]") if "SSIM" in text]
    assert len(shown(page, "#leaderboards table >> nth=0 >> th[scope=col]")) == before - 1
    page.locator("#boards-text").fill("gray")
    assert not [text for text in shown(page, "#leaderboards th[scope=col]") if "SSIM" in text]


def test_plots_follow_their_choices(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    assert page.locator("#plot-density .area").count() == 3
    page.locator("#plot-set").select_option(label="samples, stretch256-v1")
    assert page.locator("#plot-density .area").count() == 0
    axis = page.locator("#plot-density svg text.title")
    assert axis.text_content() == "PSNR [dB] ↑"
    page.locator("#plot-metric").select_option("ciede2000")
    assert axis.text_content() == "CIEDE2000 [ΔE] ↓"
    assert "at most" in (page.locator("#plot-curves svg .title >> nth=1").text_content() or "")
    page.locator("#plot-level").select_option("instance")
    assert page.locator("#plot-metric").input_value() == "ciede2000"
    assert "instances" in page.locator("#plot-scatter .caption").inner_text()


def test_hostile_names_are_only_text(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.locator("#plot-set").select_option(label="synthetic, stretch256-v1")
    assert HOSTILE in page.locator("#plot-bars svg .name").all_text_contents()
    page.locator("#plot-scatter summary").click()
    page.locator("#plot-scatter details tbody th", has_text=HOSTILE).wait_for()
    assert page.locator(".sheet b").count() == 0


def test_legend_shows_and_hides_methods(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    before = marks(page, "plot-curves")
    chip = page.locator("#plot-legend button", has_text="gray")
    chip.focus()
    page.keyboard.press("Enter")
    assert chip.get_attribute("aria-pressed") == "false"
    assert marks(page, "plot-curves") == before - 1
    for other in ("random", "random-two"):
        page.locator("#plot-legend button", has_text=re.compile(f"^{other}( partial)?$")).click()
    assert page.locator("#plot-curves").is_hidden()
    chip.click()
    assert marks(page, "plot-curves") == 1


def test_every_plot_has_its_numbers_as_a_table(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-set").select_option(label="samples, stretch256-v1")
    for sheet in page.locator(".sheet").all():
        if sheet.is_visible():
            sheet.locator("summary").click()
            sheet.locator("details tbody tr").first.wait_for()
    cells = page.locator("#plot-density details tbody tr", has_text="gray").locator("td").all_inner_texts()
    gray = [*psnrs(finished.parent / "runs/samples/gray--none--s0/images.csv").values()]
    quantiles = np.quantile(gray, [0.05, 0.25, 0.5, 0.75, 0.95])
    assert cells == ["5", f"{np.mean(gray):.2f}", *(f"{value:.2f}" for value in quantiles)]


def test_hills_are_what_scipy_estimates(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-set").select_option(label="synthetic, stretch256-v1")
    methods = page.locator("#plot-density .name").all_text_contents()
    folder = finished.parent / "runs/synthetic"
    values = [np.array([*psnrs(folder / f"{name}--none--s0" / "images.csv").values()]) for name in methods]
    low, high = min(map(np.min, values)), max(map(np.max, values))
    room = 0.06 * (high - low)
    places = np.linspace(low - room, high + room, 257)
    wanted = np.array([silverman(each)(places) for each in values])
    drawn = []
    for path in page.locator("#plot-density .area").all():
        points = re.findall(r"[ML]([\d.-]+),([\d.-]+)", path.get_attribute("d") or "")
        heights = np.array([float(y) for _, y in points])
        drawn.append(heights[0] - heights[1:-1])
    assert len(drawn) == len(values)
    tallest = np.max(drawn)
    assert np.abs(np.array(drawn) / tallest - wanted / wanted.max()).max() < 0.02


def silverman(values: "np.ndarray[Any, np.dtype[np.float64]]") -> gaussian_kde:
    deviation, (low, high) = values.std(ddof=1), np.quantile(values, [0.25, 0.75])
    kernel = 0.9 * min(deviation, (high - low) / 1.349) * len(values) ** -0.2
    return gaussian_kde(values, kernel / deviation)


def test_curves_are_read_by_keyboard(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-curves .canvas").focus()
    tip = page.locator("#plot-curves .tip")
    page.keyboard.press("Home")
    assert re.match(r"at least [\d.]+ dB: \S+ 100", page.locator("#plot-curves output").text_content() or "")
    assert tip.inner_text().count("100\u00a0%") == 3
    page.keyboard.press("End")
    assert len(re.findall(r"\b0\u00a0%", tip.inner_text())) == 3
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_scatter_leads_to_pictures_by_keyboard_and_pointer(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-set").select_option(label="samples, stretch256-v1")
    canvas = page.locator("#plot-scatter .canvas")
    assert canvas.locator(".dots circle").count() == 5
    canvas.focus()
    page.keyboard.press("Home")
    told = page.locator("#plot-scatter output").text_content() or ""
    key = told.partition(":")[0]
    page.keyboard.press("Enter")
    assert focused_picture(page) == key
    jump = page.locator("#plot-scatter .jump").first
    jump.click()
    assert focused_picture(page) == jump.text_content()
    dot = canvas.locator(".dots circle").first
    dot.hover(force=True)
    assert page.locator("#plot-scatter .tip").is_visible()
    page.locator("#plot-scatter .tip >> div >> nth=0").wait_for()
    name = page.locator("#plot-scatter .tip > div").first.inner_text()
    box = dot.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert focused_picture(page) == name


def focused_picture(page: "Page") -> str | None:
    key: str | None = page.evaluate("document.activeElement.closest('article')?.dataset.key")
    return key


def test_scatter_counts_what_the_tables_say(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-set").select_option(label="samples, stretch256-v1")
    page.locator("#plot-one").select_option(label="gray")
    page.locator("#plot-two").select_option(label="random")
    folder = finished.parent / "runs/samples"
    gray, random = (psnrs(folder / f"{name}--none--s0" / "images.csv") for name in ("gray", "random"))
    wins = sum(gray[key] > random[key] for key in gray)
    assert f"gray is better on {wins} (" in page.locator("#plot-scatter .caption").inner_text()


def psnrs(table: Path) -> dict[str, float]:
    return {line["image"]: float(line["psnr"]) for line in read_table(table)}


def test_bars_show_the_most_frequent_categories_first(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.locator("#plot-set").select_option(label="synthetic, stretch256-v1")
    counts = [
        int(text.split()[0]) for text in page.locator("#plot-bars svg .tick").all_text_contents() if "instance" in text
    ]
    assert counts == sorted(counts, reverse=True)
    more = page.locator("#plot-bars button.whole")
    more.click()
    assert page.locator("#plot-bars svg .name").count() > len(counts)
    page.locator("#plot-part").select_option("size")
    assert set(page.locator("#plot-bars svg .name").all_text_contents()) <= {"small", "medium", "large"}


def test_curves_of_detector_errors_can_be_hidden(
    opened: "Callable[..., Page]", tmp_path: Path, leave_run: Leave
) -> None:
    for place, share in enumerate((0.0, 0.5, 1.0)):
        name = f"fusion-{place}"
        finish(leave_run, tmp_path, "samples", name, 5.0 - place)
        path = tmp_path / f"runs/samples/{name}--none--s0/record.json"
        record = RunRecord.model_validate_json(path.read_text())
        made = Perturbation(detector="annotations", boxes="e", drop=share) if share else None
        measured = DetectorError(missed=share, false=0, doubled=0, boxes=1, mean_iou=None)
        digests = record.digests.model_copy(update={"boxes": "p" if share else "e"})
        facts = {"method": "fusion", "detector": f"annotations-drop{share:g}" if share else "annotations"}
        changes = {**facts, "perturbation": made, "detector_error": measured, "digests": digests}
        path.write_text(record.model_copy(update=changes).to_json())
    finish(leave_run, tmp_path, "samples", "gray", 1.0)
    page = opened(write_report(tmp_path), "phone")
    off = page.locator('#plot-legend .chip[aria-pressed="false"]').all_inner_texts()
    assert len(off) == 2, "perturbed boxes are no rivals"
    assert all("drop" in text for text in off)
    sheet = page.locator("#plot-errors")
    assert sheet.locator("h4").all_inner_texts() == ["Boxes left out"]
    assert (sheet.locator(".facet .curve").count(), sheet.locator(".facet .mark").count()) == (1, 3)
    assert sheet.locator(".facet .zero").count() == 1
    assert "change in PSNR [dB]" in sheet.locator(".facet .title").all_text_contents()[1]
    sheet.locator("summary").click()
    heads = sheet.locator("thead th").all_text_contents()
    assert [head[:14] for head in heads[3:]] == ["PSNR [dB] ↑", "change in PSNR"]
    assert sheet.locator("tbody tr").count() == 5, "the method that looks at no boxes stands in the table"
    sheet.locator("button", has_text="fusion").click()
    assert sheet.locator(".facet .mark").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]


def test_curves_over_hints_have_a_plot_and_guided_runs_a_table(
    opened: "Callable[..., Page]", tmp_path: Path, leave_run: Leave
) -> None:
    for method, count, psnr in (("a", 0, 1.0), ("a", 10, 3.0), ("a", 2, 2.0), ("b", 2, 1.5), ("b", 10, 4.0)):
        name = f"{method}-hints{count}" if count else method
        finish(leave_run, tmp_path, "samples", name, psnr)
        path = tmp_path / f"runs/samples/{name}--none--s0/record.json"
        record = RunRecord.model_validate_json(path.read_text())
        path.write_text(record.model_copy(update={"hints": count or None}).to_json())
    page = opened(write_report(tmp_path))
    titles = page.locator("#leaderboards h3").all_inner_texts()
    assert [TITLES["hints"] in title for title in titles] == [False, True] * (len(titles) // 2)
    sheet = page.locator("#plot-hints")
    assert (sheet.locator(".canvas .curve").count(), sheet.locator(".canvas .mark").count()) == (2, 5)
    sheet.locator("summary").click()
    assert [line.split("\t")[0] for line in sheet.locator("tbody tr").all_inner_texts()] == ["0", "2", "10"]
    sheet.locator("button", has_text="b").first.click()
    assert sheet.locator(".canvas .mark").count() == 3


def test_without_a_script_the_tables_can_be_read(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished, java_script_enabled=False)
    assert len(shown(page, "#leaderboards tbody tr")) == 12
    assert "drawn by a script" in page.locator("noscript").inner_text()
    assert page.locator("#boards-filters").is_hidden()
    assert page.locator("#plot-room").is_hidden()


def test_a_window_that_changes_has_its_plots_drawn_anew(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished)
    page.set_viewport_size({"width": 600, "height": 800})
    page.locator("#plot-curves .canvas > svg[width^='5']").wait_for()  # 5.. px in a window of 600
    assert page.evaluate("document.documentElement.scrollWidth") <= 600


def test_the_leaderboard_page_filters(finished: Path, opened: "Callable[..., Page]") -> None:
    page = opened(finished.with_name("leaderboard.html"), "phone")
    page.locator("#boards-text").fill("gray")
    assert page.locator("#boards-filters output").inner_text() == "4 of 12 rows; ranks are among all rows of a table"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, write_big_run: Callable[..., None]) -> Path:
    """Return the report of 8 methods on 5000 pictures with 20 000 instances."""
    out = tmp_path_factory.mktemp("big")
    first = out / "runs/coco/method-0--none--s0"
    for number in range(8):
        write_big_run(out, f"method-{number}", 5000, 20_000, number / 2)
    assert first.is_dir()
    return write_report(out)


def test_a_large_run_opens_and_answers_quickly(big: Path, opened: "Callable[..., Page]") -> None:
    assert big.stat().st_size < 4e6
    start = time.perf_counter()
    page = opened(big)
    page.locator("#plot-scatter circle").first.wait_for(state="attached")
    assert time.perf_counter() - start < 3
    assert page.locator("#plot-scatter .dots circle").count() == 5000
    start = time.perf_counter()
    page.locator("#plot-level").select_option("instance")
    assert "evenly spread" in page.locator("#plot-scatter .caption").inner_text()
    assert time.perf_counter() - start < 3
