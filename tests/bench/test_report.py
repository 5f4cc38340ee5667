import base64
import hashlib
import io
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from bench.errors import MissingError
from bench.leaderboard import read_boards
from bench.record import RunRecord
from bench.report.gallery import THUMBNAIL, galleries, spread, thumbnail
from bench.report.page import write_report

Finish = Callable[..., RunRecord]

PHOTOS: dict[str, dict[str, float | None]] = {
    "a/one": {"psnr": 20.0, "ssim": 0.9},
    "a/two": {"psnr": 22.0, "ssim": 0.8},
    "b three": {"psnr": 24.0, "ssim": 0.7},
}


class Page(HTMLParser):
    """Collect tags, and complain about those that are not closed."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def runs(out: Path) -> list[tuple[Path, RunRecord]]:
    paths = sorted(out.glob("runs/*/*/record.json"))
    return [(path.parent, RunRecord.model_validate_json(path.read_text())) for path in paths]


@pytest.fixture
def report(tmp_path: Path, finish_run: Finish) -> str:
    better = {key: {"psnr": 30.0, "ssim": 0.9} for key in PHOTOS}
    finish_run(tmp_path, PHOTOS, method="gray", images=True)
    finish_run(tmp_path, better, method="instcolor-fusion", detector="yolo", images=True)
    finish_run(tmp_path, {"a/one": {"psnr": 9.0}, "a/two": "error-memory"}, method="shaky", partial=True)
    return write_report(tmp_path).read_text(encoding="utf-8")


def test_page_needs_nothing_from_outside(report: str) -> None:
    page = Page(report)
    assert not re.search(r"https?://|url\(|@import", report)
    assert all((tag.get("src") or "").startswith("data:image/webp;base64,") for tag in page.all("img"))
    assert all((tag.get("href") or "").startswith(("#", "data:,")) for tag in page.all("a") + page.all("link"))


def test_only_our_script_may_run(report: str) -> None:
    (policy,) = [tag["content"] for tag in Page(report).all("meta") if tag.get("http-equiv")]
    (script,) = re.findall(r"<script>(.*?)</script>", report, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [attributes for _, attributes in Page(report).tags if any(name.startswith("on") for name in attributes)]


def test_pictures_stand_after_input_and_truth_with_the_best_first(report: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", report, re.DOTALL)
    plain = [" ".join(re.sub("<.*?>", "", caption).split()) for caption in captions]
    assert plain[:4] == ["input", "truth", "instcolor-fusion · yolo 30.00", "gray 20.00"]
    assert len(plain) == 4 * len(PHOTOS)
    assert report.count('<figure class="best">') == len(PHOTOS)
    assert len(Page(report).all("rect")) == 4 * len(PHOTOS)


def test_thumbnails_are_small_pictures(report: str) -> None:
    for tag in Page(report).all("img"):
        content = base64.b64decode((tag["src"] or "").partition(",")[2])
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert max(picture.size) <= THUMBNAIL


def test_every_picture_and_control_has_a_name(report: str) -> None:
    page = Page(report)
    assert all(tag.get("alt") for tag in page.all("img"))
    assert {tag["for"] for tag in page.all("label")} == {tag["id"] for tag in page.all("input")}
    assert all(tag.get("tabindex") == "0" and tag.get("aria-label") for tag in page.all("div") if tag.get("role"))
    targets = {tag["id"] for _, tag in page.tags if "id" in tag}
    assert {(tag["href"] or "")[1:] for tag in page.all("a")} <= targets


def test_failures_are_told(report: str) -> None:
    assert "1 pictures ended with an error" in report
    assert re.search(
        r"<td class=\"left\">a/two</td><td class=\"left\">error-memory</td><td class=\"left\">it broke", report
    )
    assert re.search(r"shaky <small>partial</small>", report)


def test_equal_runs_give_equal_bytes(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path, tmp_path / "again" / "page.html").read_bytes() == first


def test_without_pictures_the_page_says_how_to_get_them(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    text = write_report(tmp_path).read_text()
    assert "--save-images" in text
    assert "<img" not in text


def test_without_a_run_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no finished run"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_hostile_picture_names_are_only_text(tmp_path: Path, finish_run: Finish) -> None:
    key = "<img src=x onerror=alert(1)> </script> \u202e\x1b[31m & \"'"
    finish_run(tmp_path, {key.replace("/", ""): {"psnr": 20.0, "ssim": 1.0}}, images=True)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert text.count("</script>") == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    Page(text)


def test_a_name_that_climbs_out_shows_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    assert thumbnail(tmp_path / "images", "../secret", ".png") is None
    assert thumbnail(tmp_path / "images", "link", ".png") is None


def test_a_broken_picture_leaves_a_gap(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    (tmp_path / "runs/samples/gray--none--s0/images/a/one.png").write_bytes(b"\x89PNG")
    assert write_report(tmp_path).read_text().count('class="missing"') == 1


def test_pictures_are_spread_and_the_lowest_seed_is_shown(tmp_path: Path, finish_run: Finish) -> None:
    many: dict[str, dict[str, float | None]] = {f"p{number:02}": {"psnr": 20.0} for number in range(25)}
    for seed in (1, 0):
        finish_run(tmp_path, many, seed=seed, images=True, metrics=("psnr",))
    (gallery,) = galleries(tmp_path, runs(tmp_path))
    assert gallery.total == 25
    assert [picture.key for picture in gallery.pictures] == spread(sorted(many), 12)
    assert gallery.pictures[0].key == "p00"
    assert gallery.pictures[-1].key == "p24"
    assert [figure.label for figure in gallery.pictures[0].figures] == ["input", "truth", "gray"]


def test_pictures_stand_in_the_order_of_the_table(tmp_path: Path, finish_run: Finish) -> None:
    means = {"low": 20.0, "twin-b": 25.0, "twin-a": 25.0, "high": 30.0}
    for method, value in means.items():
        finish_run(tmp_path, {"one": {"psnr": value, "ssim": 0.5}}, method=method, images=True)
    finish_run(tmp_path, {"one": {"psnr": 90.0, "ssim": 0.5}}, method="lucky", partial=True, images=True)
    finish_run(tmp_path, {"one": {"psnr": 1.0, "ssim": 0.5}}, method="alien", dataset="synthetic", images=True)
    table = [entry.method for entry in read_boards([tmp_path], levels=["image"])[0].entries]
    (picture,) = galleries(tmp_path, runs(tmp_path))[0].pictures
    assert [figure.label for figure in picture.figures] == ["input", "truth", *table]
    assert table == ["high", "twin-a", "twin-b", "low", "lucky"]


def test_two_names_of_one_run_are_both_shown(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    one = tmp_path / "runs/samples/gray--none--s0"
    two = shutil.copytree(one, one.with_name("gray-two--none--s0")) / "record.json"
    two.write_text(two.read_text().replace('"gray"', '"gray-two"'))
    (picture, *_) = galleries(tmp_path, runs(tmp_path))[0].pictures
    assert [figure.label for figure in picture.figures] == ["input", "truth", "gray", "gray-two"]


def test_dates_are_whole_and_parameters_short(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    text = write_report(tmp_path).read_text()
    assert "<dd><time>2026-01-02T03:04:05Z</time></dd>" in text
    assert "time { white-space: nowrap; }" in text
    assert '<td data-value="34187027">34.19</td>' in text


def test_grey_predictions_are_counted_but_not_by_old_records(tmp_path: Path, finish_run: Finish) -> None:
    new = finish_run(tmp_path, PHOTOS)
    counts = new.counts.model_copy(update={"gray_prediction": 2})
    (tmp_path / "runs/samples/gray--none--s0/record.json").write_text(
        new.model_copy(update={"counts": counts}).to_json()
    )
    finish_run(tmp_path, PHOTOS, method="old")
    path = tmp_path / "runs/samples/old--none--s0/record.json"
    path.write_text(re.sub(r',\s*"gray_prediction": 0', "", path.read_text()))
    table = write_report(tmp_path).read_text().partition('<section id="runs">')[2].partition("</table>")[0]
    place = re.findall(r"<button[^>]*>(.*?)</button>", table).index("grey predictions")
    lines = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line) for line in table.partition("<tbody>")[2].split("</tr>")[:2]
    ]
    assert [line[place] for line in lines] == ["2", "—"]


def test_a_small_screen_has_the_detector_below_the_method(report: str) -> None:
    assert '<small class="slim">yolo</small></th>' in report
    assert '<td class="left wide">yolo</td>' in report
    small = report.partition("@media (max-width: 40rem) {")[2].partition("@media")[0]
    assert ".board .wide { display: none; }" in small
    assert re.search(r"\.board \.slim, \.board \.spread \{ display: block;", small)


def test_scores_stand_beside_both_ends_of_their_interval(report: str) -> None:
    assert '22.00 <small class="spread">[20.00, 24.00]</small>' in report
    assert "±" not in report
