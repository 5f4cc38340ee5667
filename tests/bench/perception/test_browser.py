"""A whole session in a real browser: what a simulated participant chose is what the analysis counts."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.perception.analysis import analyse, chosen_of, is_right
from bench.perception.answers import Answer, read_answers
from bench.perception.key import Key, Trial, read_key
from bench.perception.page import write_study
from bench.perception.plan import Settings
from bench.perception.protocols import Layout, ProtocolId
from bench.perception.stimuli import Gathered

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
HOSTILE = '=1+1 "<img src=x onerror=alert(1)>, \N{RIGHT-TO-LEFT OVERRIDE}'
KEYS = {"left": "ArrowLeft", "right": "j", "real": "f", "fake": "ArrowRight"}
Make = Callable[..., Path]
Open = Callable[..., "Page"]
Act = Callable[["Page", str, Key], None]


@pytest.fixture
def make(tmp_path: Path, gathered: Gathered) -> Make:
    """Return a function that writes a study, and gives its folder."""

    def write(protocol: ProtocolId, **options: object) -> Path:
        settings = {"trials": 4, "participants": 3, "practice": 2, "checks": 1, **options}
        write_study(tmp_path / "study", Settings(protocol=protocol, **settings), gathered)  # type: ignore[arg-type]  # settings as a mapping
        return tmp_path / "study"

    return write


@pytest.fixture
def opened(browser: "Browser") -> Iterator[Open]:
    """Return a function that opens a page in a window of its own; a complaint of the browser fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, size: dict[str, int] = WIDE, script: str = "") -> "Page":
        context = browser.new_context(viewport=size, has_touch=size is PHONE)  # type: ignore[arg-type]  # a size as a plain mapping
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(script)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(foreign(request.url, address)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def foreign(url: str, address: str) -> list[str]:
    """Return an address that is neither the page itself nor one of its pictures nor the file that is saved."""
    return [] if url.startswith((address.partition("?")[0].rpartition("/")[0], "blob:", "data:,")) else [url]


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """Return a function that serves a folder on this machine, and gives the address of its page."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *rest: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if self.path == "/favicon.ico":
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

    def serve(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/index.html"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def address(folder: Path, session: int = 1) -> str:
    return (page_of(folder, session) / "index.html").as_uri()


def page_of(folder: Path, session: int) -> Path:
    return folder / "page" / read_key(folder).folders[session - 1]


def start(page: "Page", participant: str) -> None:
    page.fill("#participant", participant)
    page.check("#agreed")
    page.click("#start")


def await_answer(page: "Page") -> None:
    page.locator("#answers button:enabled").first.wait_for(timeout=20_000)


def by_key(page: "Page", answer: str, key: Key) -> None:
    page.keyboard.press(KEYS[answer])


def by_button(page: "Page", answer: str, key: Key) -> None:
    page.locator("#answers button").nth(key.asked.answers.index(answer)).click()


def practise(page: "Page", key: Key, act: Act = by_key) -> None:
    """Answer the practice trials, all but the first one right, and read what the page says to it."""
    for place, trial in enumerate(each for each in key.trials if each.kind == "practice"):
        await_answer(page)
        wrong = next(answer for answer in key.asked.answers if answer != trial.right_answer)
        act(page, wrong if place == 0 else trial.right_answer or "", key)
        page.locator("#next:focus").wait_for()
        assert page.inner_text("#verdict").startswith("That is not right" if place == 0 else "That is right")
        page.keyboard.press("Enter")
    page.locator("#go-on:focus").wait_for()
    page.keyboard.press("Enter")


def answer_all(page: "Page", key: Key, session: int, choose: Callable[[Trial], str], act: Act = by_key) -> None:
    """Answer the trials that are left of a session."""
    begun = int(page.inner_text("#progress").split(" of ")[0]) - 1
    for place, trial in enumerate(key.sessions[session][begun:], begun + 1):
        await_answer(page)
        assert page.inner_text("#progress") == f"{place} of {len(key.sessions[session])}"
        sources = [str(image.get_attribute("src")) for image in page.locator(".frame img").all()]
        assert [source.rpartition("/")[2] for source in sources] == list(trial.files)
        act(page, choose(trial), key)
        page.wait_for_timeout(30)
    page.locator("#done").wait_for()


def save(page: "Page", folder: Path) -> Path:
    with page.expect_download() as download:
        page.click("#save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.read_text(encoding="utf-8") == page.input_value("#csv")
    return path


def prefer_last(trial: Trial) -> str:
    """Choose the truth, else the method that stands last in the alphabet."""
    return trial.right_answer or ("left" if trial.shown[0] > trial.shown[1] else "right")


@pytest.mark.parametrize("way", ["file", "server"])
def test_preferences_by_keys(make: Make, opened: Open, served: Callable[[Path], str], tmp_path: Path, way: str) -> None:
    folder = make(ProtocolId.preference)
    key = read_key(folder)
    page = opened(address(folder, 2) if way == "file" else served(page_of(folder, 2)))
    start(page, "2")
    practise(page, key)
    answer_all(page, key, 2, prefer_last)
    found = analyse(key, read_answers(key, [save(page, tmp_path)]))
    assert [one.session for one in found.participants] == [2]
    assert len(found.counted) == 4
    assert all(chosen_of(each) == max(each.trial.shown) for each in found.counted)
    assert sum(pair.share.count for pair in found.pairs) == 0, "the first of each pair was never chosen"
    assert all(0 < one.response < 5 for one in found.counted)


def test_naturalness_by_buttons_on_a_phone(make: Make, opened: Open, tmp_path: Path) -> None:
    folder = make(ProtocolId.real_fake, exposure=0.3)
    key = read_key(folder)
    page = opened(f"{address(folder)}?participant=1", PHONE)
    assert page.input_value("#participant") == "1"
    start(page, "1")
    practise(page, key, by_button)
    assert page.locator("body").evaluate("body => body.scrollWidth") <= PHONE["width"]
    answer_all(page, key, 1, lambda trial: trial.right_answer or "", by_button)
    found = analyse(key, read_answers(key, [save(page, tmp_path)]))
    rates = {name: share.share for name, share in found.rates if share.total}
    assert all(share == float(name == "truth") for name, share in rates.items())
    assert 0.2 < found.exposure.median < 0.45


def test_pictures_in_turn_are_seen_for_their_time(make: Make, opened: Open, tmp_path: Path) -> None:
    folder = make(ProtocolId.which_real, exposure=0.5, layout=Layout.turns, practice=0)
    key = read_key(folder)
    page = opened(address(folder))
    start(page, HOSTILE)
    seen = page.locator(".frame img.seen")
    page.locator("#first.seen").wait_for()
    assert seen.count() == 1
    assert page.locator("#answers button:enabled").count() == 0
    page.keyboard.press("ArrowLeft")
    page.locator("#second.seen").wait_for()
    await_answer(page)
    assert seen.count() == 0, "blank while it is answered"
    answer_all(page, key, 1, lambda trial: trial.right_answer or "")
    answers = read_answers(key, [save(page, tmp_path)])
    assert {each.participant for each in answers} == {HOSTILE.replace("\N{RIGHT-TO-LEFT OVERRIDE}", " ").strip()}
    assert all(is_right(each) for each in answers)
    assert all(len(each.exposures) == 2 and 0.4 < min(each.exposures) <= max(each.exposures) < 0.7 for each in answers)


def test_session_goes_on_after_a_reload(make: Make, opened: Open, tmp_path: Path) -> None:
    folder = make(ProtocolId.preference)
    key = read_key(folder)
    page = opened(address(folder, 3))
    start(page, "3")
    practise(page, key)
    for _ in range(2):
        await_answer(page)
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(30)
    await_answer(page)
    page.reload()
    start(page, "3")
    answer_all(page, key, 3, prefer_last)
    answers = read_answers(key, [save(page, tmp_path)])
    assert [each.showings for each in answers] == [1, 1, 2, 1, 1]
    assert [each.answer for each in answers[:2]] == ["left", "left"]
    page.click("#forget")
    assert page.locator("body").evaluate("() => localStorage.length") == 0


def test_browser_that_keeps_nothing_still_saves(make: Make, opened: Open, tmp_path: Path) -> None:
    folder = make(ProtocolId.preference, practice=0)
    key = read_key(folder)
    closed = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('closed'); } })"
    page = opened(address(folder), WIDE, closed)
    start(page, "1")
    answer_all(page, key, 1, prefer_last)
    answers: list[Answer] = read_answers(key, [save(page, tmp_path)])
    assert len(answers) == 5


def test_pictures_that_are_gone_are_told(make: Make, browser: "Browser") -> None:
    folder = make(ProtocolId.preference, practice=0)
    for path in (page_of(folder, 1) / "pictures").iterdir():
        path.unlink()
    page = browser.new_page()
    page.goto(address(folder))
    start(page, "1")
    page.locator("#problem").wait_for()
    assert "could not be shown" in page.inner_text("#problem")
    page.close()
