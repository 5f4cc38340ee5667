"""The pictures of a report in a real browser: order, filters, enlarging and comparing, by mouse, touch and keys."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from bench.credits import write_credits
from bench.provenance import canonical_digest
from bench.report.page import write_report
from bench.rows import InstanceRow, Row
from datamodules.protocol import PROTOCOLS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

METHODS = ("gray", "better", "wild")
HOSTILE = "<img src=x onerror=alert(1)> & \u202e\x1b[31m"
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
Opener = Callable[..., "Page"]


def _row(run_id: str, key: str, psnr: float, category: str) -> Row:
    place = {"x": 40, "y": 60, "width": 100, "height": 80}
    instance = InstanceRow(
        instance=7, category_id=1, category=category, area=8e3, size="medium", scores={"psnr": psnr - 1}, **place
    )
    scores: dict[str, float | None] = {"psnr": psnr, "ssim": 1 / (1 + psnr)}
    return Row(
        run_id=run_id,
        image=key,
        status="ok",
        width=256,
        height=256,
        n_instances=1,
        scores=scores,
        instances=(instance,),
    )


def _paint(path: Path, color: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 1, 64)[None, :, None] * np.ones((64, 1, 1))
    Image.fromarray((ramp * np.array(color)).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, leave_run: Callable[..., Path]) -> Path:
    """Return the page of two datasets, thirty and three pictures; picture 7 is the worst, 3 the best, 5 divides."""
    out = tmp_path_factory.mktemp("gallery")
    for dataset, count in (("many", 30), ("few", 3)):
        keys = [f"p{number:02}" for number in range(count)]
        keys[1] = HOSTILE if dataset == "few" else keys[1]
        psnr = {key: 20 + number / 100 for number, key in enumerate(keys)} | {"p07": 10.0, "p03": 40.0}
        for place, method in enumerate(METHODS):
            values = {key: psnr[key] + (place * 9 if key == "p05" else place) for key in keys}
            run_id = canonical_digest([dataset, method])
            kinds = {key: "cat" if number % 5 == 0 else "dog" for number, key in enumerate(keys)}
            rows = {key: _row(run_id, key, values[key], kinds[key]) for key in keys}
            if dataset == "many" and method == "wild":
                failed = {"status": "error-memory", "message": "there is not enough memory"}
                rows["p02"] = Row.model_validate({"run_id": run_id, "image": "p02", **failed})
            folder = leave_run(out, dataset, method, rows, ("psnr", "ssim"))
            for key, row in rows.items():
                if not row.failed:
                    _paint(folder / "images" / f"{key}.png", (255, 80 * place, 0))
        for number, key in enumerate(keys):
            _paint(out / "pictures" / dataset / f"{key}.truth.png", (100 + 5 * number, 100, 100))
            _paint(out / "pictures" / dataset / f"{key}.gray.png", (128, 128, 128))
    return write_report(out)


@pytest.fixture
def opened(browser: "Browser") -> Iterator[Opener]:
    """Return a function that opens a page; whatever it writes to the console fails the test."""
    messages: list[str] = []
    contexts = []

    def start(path: Path, viewport: dict[str, int] = WIDE, **options: Any) -> "Page":
        context = browser.new_context(viewport=viewport, offline=True, **options)  # type: ignore[arg-type]  # a size as a plain mapping
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.set_default_timeout(10_000)
        page.goto(path.as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert messages == []


def shown(page: "Page", dataset: str = "many") -> list[str]:
    """Return the names of the pictures that are not hidden, as they stand."""
    return page.locator(f'.gallery[data-set^="{dataset},"] article:not([hidden]) h4').all_text_contents()


def cut(page: "Page") -> float:
    """Return where the divider stands, in per cent, and make sure that the picture follows it."""
    style = page.eval_on_selector("#lightbox-stage", "stage => stage.style.getPropertyValue('--cut')")
    assert style == f"{page.input_value('#lightbox-cut')}%"
    return float(page.input_value("#lightbox-cut"))


def compare(page: "Page", key: str, version: int) -> None:
    page.locator(f'.gallery[data-set^="many"] article[data-key="{key}"] .frame').nth(version).click()


def focused(page: "Page") -> str:
    found: str = page.evaluate("(document.activeElement.querySelector('img')?.alt) ?? document.activeElement.id")
    return found


def test_all_pictures_load(report: Path, opened: Opener) -> None:
    page = opened(report)
    for button in page.locator(".more .all:visible").all():
        button.press("Enter")
    load = "image => { image.loading = 'eager'; return image.decode().then(() => image.naturalWidth); }"
    sizes = page.evaluate(f"Promise.all([...document.images].map({load}))")
    assert len(sizes) == 5 * 33 - 1
    assert min(sizes) > 0


def test_the_first_pictures_are_shown_and_more_on_demand(report: Path, opened: Opener) -> None:
    page = opened(report)
    assert shown(page) == [f"p{number:02}" for number in range(24)]
    more = page.locator('.gallery[data-set^="many"] .more')
    assert more.locator(".next").text_content() == "Show 6 more of 6"
    more.locator(".next").click()
    assert len(shown(page)) == 30
    assert not more.is_visible()
    assert focused(page) == "p24, gray input"


def test_without_scripts_all_pictures_are_there(report: Path, opened: Opener) -> None:
    page = opened(report, java_script_enabled=False)
    assert page.locator("#pictures article:visible").count() == 33
    assert not page.locator(".choices, .more, #lightbox").and_(page.locator(":visible")).count()
    page.check("#boxes")
    assert page.locator(".frame svg").first.is_visible()


@pytest.mark.parametrize(
    ("order", "first"),
    [("worst", "p07"), ("best", "p03"), ("spread", "p05"), ("color", "p29"), ("name", "p00")],
)
def test_pictures_are_sorted(report: Path, opened: Opener, order: str, first: str) -> None:
    page = opened(report)
    page.select_option("#order", order)
    assert shown(page)[0] == first


def test_an_order_follows_its_metric_and_method(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.select_option("#order", "best")
    page.select_option("#metric", "ssim")
    assert shown(page)[0] == "p07"
    caption = page.locator('article[data-key="p07"] figcaption').nth(1).text_content()
    assert caption is not None
    assert re.search(r"0\.\d{4}$", caption.strip())
    page.select_option("#metric", "psnr")
    page.select_option("#order", "worst")
    page.select_option("#judge", "wild")
    assert shown(page)[0] == "p07"
    page.locator('.gallery[data-set^="many"] .more .all').press("Enter")
    assert shown(page)[-1] == "p02"  # it failed


def test_pictures_are_filtered(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.select_option("#category", "cat")
    assert shown(page) == ["p00", "p05", "p10", "p15", "p20", "p25"]
    assert "7 of 33 pictures." in (page.text_content("#gallery-note") or "")
    page.select_option("#only-dataset", label="few")
    assert page.locator('.gallery[data-set^="many"]').is_hidden()
    assert shown(page, "few") == ["p00"]


def test_a_failed_picture_says_why(report: Path, opened: Opener) -> None:
    page = opened(report)
    failed = page.locator('.gallery[data-set^="many"] article[data-key="p02"] figure').nth(3)
    assert "there is not enough memory" in (failed.text_content() or "")
    assert "error-memory" in (failed.text_content() or "")
    compare(page, "p02", 0)
    page.select_option("#lightbox-right", label="wild")
    assert page.locator(".stage .missing").text_content() == "there is not enough memory"


def test_versions_are_compared_by_keys(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.locator('article[data-key="p01"] .frame').first.focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "p01, better"
    page.keyboard.press("Enter")
    assert page.locator("#lightbox").is_visible()
    assert focused(page) == "lightbox-cut"
    assert (cut(page), page.input_value("#lightbox-right")) == (50, "4")
    page.keyboard.press("ArrowRight")
    assert cut(page) == 52
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert cut(page) == 46
    page.keyboard.press("Home")
    assert cut(page) == 0
    page.keyboard.press("n")
    assert page.text_content("#lightbox-title") == "p02"
    page.keyboard.press("PageUp")
    assert page.text_content("#lightbox-title") == "p01"
    page.keyboard.press("x")
    assert (page.input_value("#lightbox-left"), page.input_value("#lightbox-right")) == ("4", "1")
    page.keyboard.press("Escape")
    assert page.locator("#lightbox").is_hidden()
    assert focused(page) == "p01, better"


def test_the_focus_stays_in_the_comparison(report: Path, opened: Opener) -> None:
    page = opened(report)
    compare(page, "p04", 2)
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate("!!document.activeElement.closest('#lightbox') || document.activeElement === document.body")
        )
    assert seen == {True}


def test_the_divider_follows_the_pointer(report: Path, opened: Opener) -> None:
    page = opened(report)
    compare(page, "p04", 2)
    stage = page.locator("#lightbox-stage").bounding_box()
    assert stage is not None
    page.mouse.move(stage["x"] + 0.25 * stage["width"], stage["y"] + 50)
    page.mouse.down()
    assert cut(page) == 25
    page.mouse.move(stage["x"] + 0.8 * stage["width"], stage["y"] + 90)
    assert cut(page) == 80
    page.mouse.move(stage["x"] + 3 * stage["width"], stage["y"] + 90)
    assert cut(page) == 100
    page.mouse.up()
    page.mouse.move(stage["x"] + 0.5 * stage["width"], stage["y"] + 90)
    assert cut(page) == 100


def test_each_side_of_the_divider_shows_its_version(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.select_option("#order", "color")
    compare(page, "p29", 0)
    page.select_option("#lightbox-left", label="better")
    page.select_option("#lightbox-right", label="truth")
    halves = page.evaluate(
        """() => {
          const { left, top, width, height } = document.getElementById("lightbox-stage").getBoundingClientRect();
          return [0.25, 0.75].map((share) => [left + share * width, top + height / 4]);
        }"""
    )
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.float64)
    (red, green, blue), (truth_red, _, truth_blue) = (picture[round(y), round(x)] for x, y in halves)
    assert green / red == pytest.approx(80 / 255, abs=0.15)
    assert blue < 20
    assert truth_blue / truth_red == pytest.approx(100 / 245, abs=0.15)
    rows = page.locator("#lightbox-scores tbody tr").all_text_contents()
    assert rows[0].replace("\N{NO-BREAK SPACE}", " ") == "PSNR [dB] ↑21.29—"
    assert rows[-1] == "dog20.29—"


def test_names_of_versions_are_broken_between_words_alone(report: Path, opened: Opener) -> None:
    page = opened(report)
    compare(page, "p04", 2)
    heads = page.locator("#lightbox-scores thead th")
    heads.first.evaluate("head => { head.textContent = 'instcolor-fusion-masked-' + 'very-'.repeat(9) + 'long'; }")
    lines = """head => {
      const range = document.createRange();
      range.selectNodeContents(head);
      return range.getClientRects().length;
    }"""
    for width in (WIDE["width"], PHONE["width"]):
        page.set_viewport_size({"width": width, "height": 800})
        assert heads.last.text_content() == "truth"
        assert heads.last.evaluate(lines) == 1
        assert heads.first.evaluate(lines) > 1


def test_boxes_are_shown_in_grid_and_comparison(report: Path, opened: Opener) -> None:
    page = opened(report)
    assert not page.locator(".frame svg").first.is_visible()
    page.check("#boxes")
    assert page.locator(".frame svg").first.is_visible()
    compare(page, "p04", 2)
    stage, box = page.locator("#lightbox-stage").bounding_box(), page.locator(".stage svg use").bounding_box()
    assert stage is not None
    assert box is not None
    assert (box["x"] - stage["x"]) / stage["width"] == pytest.approx(40 / 256, abs=0.02)
    assert box["height"] / stage["height"] == pytest.approx(80 / 256, abs=0.02)
    name = page.locator(".stage .name")
    assert name.text_content() == "dog"
    corner = name.bounding_box()
    assert corner is not None
    assert corner["x"] == pytest.approx(box["x"], abs=3)
    assert corner["y"] == pytest.approx(box["y"], abs=3)
    page.keyboard.press("b")
    assert not page.locator(".stage svg").is_visible()
    assert not name.is_visible()


def test_other_parts_of_the_page_can_ask_for_a_picture(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.select_option("#category", "cat")
    ask = "detail => !document.dispatchEvent(new CustomEvent('show-picture', { detail, cancelable: true }))"
    assert page.evaluate(ask, {"set": "many, stretch256-v1", "key": "p29"})
    assert page.locator(".found").get_attribute("data-key") == "p29"
    assert focused(page) == "p29, gray input"
    assert page.evaluate(ask, {"set": "few, stretch256-v1", "key": HOSTILE})
    assert not page.evaluate(ask, {"set": "few, stretch256-v1", "key": "p29"})


def test_a_hostile_name_is_text_everywhere(report: Path, opened: Opener) -> None:
    page = opened(report)
    page.locator('.gallery[data-set^="few"] article').first.locator(".frame").first.click()
    assert page.text_content("#lightbox-title") == HOSTILE.replace("\u202e", "\ufffd").replace("\x1b", "\ufffd")
    assert page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(report: Path, opened: Opener, scheme: str) -> None:
    page = opened(report, PHONE, has_touch=True, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    frame = page.locator('.gallery[data-set^="many"] article[data-key="p00"] .frame').nth(2)
    frame.scroll_into_view_if_needed()
    frame.tap()
    stage = page.locator("#lightbox-stage").bounding_box()
    assert stage is not None
    assert stage["width"] > 0.8 * PHONE["width"]
    page.touchscreen.tap(stage["x"] + 0.3 * stage["width"], stage["y"] + 40)
    assert cut(page) == pytest.approx(30, abs=1)
    assert page.evaluate("document.getElementById('lightbox').scrollWidth") <= PHONE["width"]
    page.tap("#lightbox-close")
    assert page.locator("#lightbox").is_hidden()


def _tinted(photo: Image.Image, turn: int, saturation: float) -> Image.Image:
    hue, chroma, value = photo.convert("HSV").split()
    turned = hue.point(lambda level: (level + turn) % 256)
    return Image.merge("HSV", (turned, chroma.point(lambda level: min(255, int(level * saturation))), value)).convert(
        "RGB"
    )


def _large(out: Path, shared: Path, leave_run: Callable[..., Path]) -> None:
    photos = sorted((shared / "data/coco/val2017").glob("*.jpg"))
    photos += sorted((shared / "data/imagenet1000-256").rglob("*.*"))[::12]
    tints = {f"method-{turn}-{share}": (turn, share / 10) for turn in (0, 30, 90, 200) for share in (5, 12)}
    truths = out / "pictures/coco"
    truths.mkdir(parents=True)
    rows: dict[str, dict[str, Row]] = {method: {} for method in tints}
    for photo in photos[:200]:
        truth = PROTOCOLS["stretch256-v1"].apply(Image.open(photo).convert("RGB"))
        truth.save(truths / f"{photo.stem}.truth.png", compress_level=1)
        truth.convert("L").convert("RGB").save(truths / f"{photo.stem}.gray.png", compress_level=1)
        for method, tint in tints.items():
            made = _tinted(truth, *tint)
            images = out / f"runs/coco/{method}--none--s0/images"
            images.mkdir(parents=True, exist_ok=True)
            made.save(images / f"{photo.stem}.png", compress_level=1)
            error = float(np.square(np.asarray(made, np.float64) - np.asarray(truth)).mean())
            psnr = 10 * np.log10(65025 / max(error, 1e-5))
            rows[method][photo.stem] = _row(canonical_digest(["coco", method]), photo.stem, float(psnr), "dog")
    for method, each in rows.items():
        leave_run(out, "coco", method, each, ("psnr", "ssim"))
    write_credits(truths, shared / "data/coco/annotations/instances_val2017.json", [photo.stem for photo in photos])


@pytest.mark.slow
def test_two_hundred_pictures_of_eight_methods_open_at_once(
    tmp_path: Path,
    shared: Path,
    opened: Opener,
    capsys: pytest.CaptureFixture[str],
    leave_run: Callable[..., Path],
) -> None:
    _large(tmp_path, shared, leave_run)
    began = time.monotonic()
    report = write_report(tmp_path)
    written = time.monotonic() - began
    page = opened(report)
    timing = json.loads(page.evaluate("JSON.stringify(performance.getEntriesByType('navigation')[0])"))
    began = time.monotonic()
    page.select_option("#order", "spread")
    page.eval_on_selector("#pictures img", "image => { image.loading = 'eager'; return image.decode(); }")
    sorted_in = time.monotonic() - began
    with capsys.disabled():
        size, loaded = report.stat().st_size / 1e6, timing["loadEventEnd"] / 1000
        print(
            f"\n200 x 8: {size:.1f} MB, written in {written:.1f} s, opened in {loaded:.2f}, sorted in {sorted_in:.2f}"
        )
    assert page.locator("#pictures img").count() == 2000
    assert report.stat().st_size < 30_000_000
    assert loaded < 15  # 3 s on a machine that does nothing else
    assert "124 of these photos have a licence" in (page.text_content("#pictures") or "")
