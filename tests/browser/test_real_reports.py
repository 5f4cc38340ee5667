"""Reports of real outputs from end to end: those that COLORBENCH_REPORTS names, else that of a demo of a few steps."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GIVEN: list[Path | None] = [Path(path) for path in os.environ.get("COLORBENCH_REPORTS", "").split(os.pathsep) if path]
LOADED = """async () => {
  const pictures = [...document.querySelectorAll("#pictures article img")];
  for (const picture of pictures) picture.loading = "eager";
  await Promise.all(pictures.map((picture) => picture.decode()));
  return [pictures.length, pictures.filter((picture) => picture.naturalWidth > 0).length];
}"""


@pytest.fixture(scope="module", params=GIVEN or [None], ids=str)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a report with pictures."""
    if request.param is not None:
        return Path(request.param).resolve()
    from bench.demo import run_demo

    out = tmp_path_factory.mktemp("demo")
    run_demo(out, 2)
    return out / "report.html"


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(browser: "Browser", report: Path, request: pytest.FixtureRequest) -> "Iterator[Page]":
    """Return the opened report; whatever the browser complains about fails the test."""
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert complaints == []


def column(table: "Locator", heading: str) -> list[float]:
    place = [text.strip() for text in table.locator("thead th").all_inner_texts()].index(heading)
    ranked = table.locator("tbody tr:not(.unranked)")
    rows = ranked if ranked.count() else table.locator("tbody tr")  # none has a rank in a demo of a few pictures
    cells = rows.locator(f":scope > :nth-child({place + 1})")
    return [float(cell.get_attribute("data-value") or "nan") for cell in cells.all()]


def test_tables_sort_and_filter(page: "Page") -> None:
    table = page.locator("#leaderboards table.board").first
    heading = next(text for text in table.locator("thead th").all_inner_texts() if text.startswith("PSNR")).strip()
    orders = []
    for _ in range(2):
        table.get_by_role("button", name=heading).focus()
        page.keyboard.press("Enter")
        orders.append(column(table, heading.split(" ▴")[0].split(" ▾")[0]))
    assert len(orders[0]) > 1
    assert sorted(orders[0]) == sorted(orders[1])
    assert {tuple(orders[0]), tuple(orders[1])} == {tuple(sorted(orders[0])), tuple(sorted(orders[0], reverse=True))}
    rows = page.locator("#leaderboards tbody tr:visible")
    before = rows.count()
    page.locator("#leaderboards input[type=search]").fill("gray")
    assert 0 < rows.count() < before


def test_all_pictures_load(page: "Page") -> None:
    there, loaded = page.evaluate(LOADED)
    assert there == loaded > 0


def test_a_picture_is_compared_by_keys(page: "Page") -> None:
    picture = page.locator("#pictures article:visible button:visible").first
    picture.focus()
    page.keyboard.press("Enter")
    slider = page.locator("dialog input[type=range]")
    slider.wait_for()
    slider.focus()
    before = float(slider.input_value())
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > before
    page.keyboard.press("Escape")
    slider.wait_for(state="hidden")
    assert picture.evaluate("element => element === document.activeElement")


def test_plots_are_drawn_and_nothing_overflows(page: "Page") -> None:
    page.locator("#plot-curves svg path.curve:visible").first.wait_for()
    assert page.locator("#plot-density svg path:visible").count() > 1
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
