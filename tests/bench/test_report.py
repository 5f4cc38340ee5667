import base64
import csv
import hashlib
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import html5lib
import pytest

from bench.board import Board
from bench.box_errors import DetectorError, Perturbation
from bench.breakdown import read_breakdown
from bench.errors import MissingError
from bench.leaderboard import read_boards, read_runs
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.report.columns import run_columns, run_value
from bench.report.page import leaderboard_page, write_report
from bench.report.plots import MOST_VALUES, plot_data
from bench.scoring.metrics import METRICS

Finish = Callable[..., RunRecord]

PHOTOS: dict[str, dict[str, float | None]] = {
    "a/one": {"psnr": 20.123456789, "ssim": 0.9},
    "a/two": {"psnr": 22.0, "ssim": 0.8123456789},
    "b three": {"psnr": 24.0, "ssim": None},
}
HOSTILE = "<img src=x onerror=alert(1)> <!-- </script><script>alert(1)</script> \u202e\x1b[31m & \"'"
NAMESPACE = "http://www.w3.org/2000/svg"


class Page(HTMLParser):
    """Collect tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def island(text: str) -> dict[str, Any]:
    """Return what the plots are drawn from."""
    (found,) = re.findall(r'<script type="application/json" id="scores-data">(.*?)</script>', text, re.DOTALL)
    data: dict[str, Any] = json.loads(found)
    return data


def cells(line: str) -> list[str]:
    """Return the cells of a line of a table as a reader sees them."""
    return [
        html.unescape(re.sub("<.*?>", "", cell)).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", line, re.DOTALL)
    ]


def table_of(text: str, section: str) -> list[list[str]]:
    """Return the first table of a section, its heading first."""
    table = text.partition(f'<section id="{section}"')[2].partition("<table")[2].partition("</table>")[0]
    return [cells(line) for line in table.split("<tr")[1:]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, finish_run: Finish) -> Path:
    """Return an output folder of three runs, one of which is partial and has a failed picture."""
    out = tmp_path_factory.mktemp("finished")
    better = {key: {"psnr": 30.0, "ssim": 0.9} for key in PHOTOS}
    finish_run(out, PHOTOS, method="gray", images=True)
    finish_run(out, better, method="instcolor-fusion", detector="yolo", images=True)
    finish_run(out, {"a/one": {"psnr": 9.0}, "a/two": "error-memory"}, method="shaky", partial=True)
    return out


@pytest.fixture(scope="module")
def report(finished: Path) -> str:
    return write_report(finished).read_text(encoding="utf-8")


def test_page_is_strict_html(report: str) -> None:
    assert html5lib.HTMLParser(strict=True).parse(report) is not None


def test_hostile_names_are_only_text(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {HOSTILE: {"psnr": 20.0, "ssim": 1.0}, "other": "error-decode"})
    text = write_report(tmp_path).read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    page = Page(text)
    assert not page.all("img")
    assert len(page.all("script")) == text.count("<script") == text.count("</script>")
    assert not re.search("[\x00-\x08\x1b\u202a-\u202e\u2066-\u2069]", text)
    (name,) = island(text)["sets"][0]["pictures"]
    assert name.startswith("<img src=x onerror=alert(1)> <!-- </script><script>alert(1)")
    assert "\x1b" not in name


@pytest.mark.parametrize("hostile", ["</script><script>alert(1)</script>", "<!--<script>", '"><b>', "\u202ex\x07"])
def test_hostile_methods_and_datasets_are_only_text(tmp_path: Path, finish_run: Finish, hostile: str) -> None:
    record = finish_run(tmp_path, PHOTOS)
    path = next(tmp_path.glob("runs/*/*/record.json"))
    path.write_text(record.model_copy(update={"method": hostile, "dataset": hostile, "detector": hostile}).to_json())
    pages = [write_report(tmp_path).read_text(encoding="utf-8"), leaderboard_page(read_boards([tmp_path]))]
    for text in pages:
        html5lib.HTMLParser(strict=True).parse(text)
        assert not Page(text).all("b")
        assert not re.search("[\x07\u202e]", text)
    assert [len(Page(text).all("script")) for text in pages] == [2, 1]


def test_leaderboard_page_is_strict_html_with_and_without_boards(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    for boards in ([], read_boards([tmp_path])):
        html5lib.HTMLParser(strict=True).parse(leaderboard_page(boards))


def test_page_needs_nothing_from_outside(report: str) -> None:
    page = Page(report)
    assert not re.search(r"https?://|url\(|@import", report.replace(NAMESPACE, ""))
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


def test_every_picture_and_control_has_a_name(report: str) -> None:
    page = Page(report)
    controls = [tag["id"] for tag in page.all("input") + page.all("select") if not tag.get("aria-label")]
    assert all(tag.get("alt") for tag in page.all("img"))
    assert len(controls) == len(set(controls))
    assert set(controls) <= {tag["for"] for tag in page.all("label")}
    assert all(
        tag.get("tabindex") == "0" and tag.get("aria-label") for tag in page.all("div") if tag.get("role") == "region"
    )
    targets = {tag["id"] for _, tag in page.tags if "id" in tag}
    assert {(tag["href"] or "")[1:] for tag in page.all("a")} <= targets


def test_failures_are_told(report: str) -> None:
    assert "1 picture ended with an error" in report
    assert table_of(report, "failures")[1] == ["samples", "shaky--none--s0", "a/two", "error-memory", "it broke"]
    assert re.search(r"shaky <small>partial</small>", report)


def test_without_failures_nothing_is_said_of_them(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    assert "#failures" not in write_report(tmp_path).read_text()


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


def test_plots_hold_what_the_tables_hold(report: str, finished: Path) -> None:
    data = island(report)
    (found,) = data["sets"]
    assert found["methods"] == ["instcolor-fusion · yolo", "gray", "shaky"]
    assert found["notes"] == ["", "", "partial, 1 failed"]
    for place, name in enumerate(["instcolor-fusion--yolo", "gray--none", "shaky--none"]):
        for level in ("image", "instance"):
            part = found["levels"][level]
            with (finished / f"runs/samples/{name}--s0/{level}s.csv").open() as file:
                lines = {line["image"]: line for line in csv.DictReader(file)}
            for metric, columns in part["scores"].items():
                digits = METRICS[metric].decimals + 2
                shown = dict(zip([found["pictures"][at] for at in part["pictures"]], columns[place], strict=True))
                cells = {key: lines[key][metric] if key in lines else "" for key in shown}
                assert shown == {key: round(float(cell), digits) if cell else None for key, cell in cells.items()}
    assert found["levels"]["image"]["scores"]["psnr"][1] == [20.1235, 22.0, 24.0]
    assert found["levels"]["instance"]["instances"] == [7, 7, 7]


def test_plots_hold_the_groups_of_the_breakdown(report: str, finished: Path) -> None:
    groups = island(report)["sets"][0]["groups"]
    assert list(groups) == ["category", "size", "instances"]
    (known,) = read_breakdown(finished / "runs/samples/gray--none--s0/breakdown.csv", "category")
    psnr = known.scores["psnr"]
    assert (groups["category"]["names"], groups["category"]["images"]) == (["dog"], [3])
    assert groups["category"]["scores"]["psnr"][1] == [[round(end or 0, 4) for end in (psnr.mean, psnr.low, psnr.high)]]


def test_plots_hold_the_mean_over_seeds_of_what_all_have(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, seed=0)
    finish_run(tmp_path, {"a/one": {"psnr": 30.0, "ssim": 0.5}, "a/two": {"psnr": 20.0, "ssim": 0.5}}, seed=1)
    (found,) = island(write_report(tmp_path).read_text())["sets"]
    assert (found["methods"], found["pictures"]) == (["gray"], ["a/one", "a/two"])
    assert found["levels"]["image"]["scores"]["psnr"] == [[round((20.123456789 + 30) / 2, 4), 21.0]]


def test_plots_hold_the_curves_of_detector_errors(tmp_path: Path, finish_run: Finish) -> None:
    for missed, psnr in ((0.0, 25.0), (0.5, 24.0), (1.0, 21.0)):
        scores = {key: {"psnr": psnr + place * (1 + missed)} for place, key in enumerate("abc")}
        boxes = f"annotations-drop{missed:g}" if missed else "annotations"
        record = finish_run(tmp_path, scores, method="fusion", detector=boxes, metrics=("psnr",))
        made = Perturbation(detector="annotations", boxes="e", drop=missed) if missed else None
        measured = DetectorError(missed=missed, false=0, doubled=0, boxes=1, mean_iou=None)
        digests = record.digests.model_copy(update={"boxes": "p" if missed else "e"})
        changes = {"perturbation": made, "detector_error": measured, "digests": digests}
        path = tmp_path / f"runs/samples/fusion--{boxes}--s0/record.json"
        path.write_text(record.model_copy(update=changes).to_json())
    (found,) = island(write_report(tmp_path).read_text())["sets"]
    curves = next(each for each in found["errors"] if (each["level"], each["metric"]) == ("image", "psnr"))
    (series,) = curves["series"]
    assert (curves["error"], series["label"], series["kind"]) == ("drop", "fusion · annotations", "curve")
    assert [point[:2] for point in series["points"]] == [[0.0, 26.0], [0.5, 25.5], [1.0, 23.0]]
    assert [point[4:] for point in series["points"]] == [[0.0, 0.0, 0.0], [-0.5, -1.0, 0.0], [-3.0, -4.0, -2.0]]


def test_plots_hold_the_curves_of_hints(tmp_path: Path, finish_run: Finish) -> None:
    for hints, psnr in ((0, 20.0), (10, 25.0), (2, 22.0)):
        name = f"aided-hints{hints}" if hints else "aided"
        scores = {key: {"psnr": psnr + place} for place, key in enumerate("abc")}
        record = finish_run(tmp_path, scores, method=name, metrics=("psnr",))
        path = tmp_path / f"runs/samples/{name}--none--s0/record.json"
        path.write_text(record.model_copy(update={"hints": hints or None}).to_json())
    (found,) = island(write_report(tmp_path).read_text())["sets"]
    curves = next(each for each in found["hints"] if each["level"] == "image")
    (series,) = curves["series"]
    assert (curves["metric"], series["label"]) == ("psnr", "aided")
    assert [point[:2] for point in series["points"]] == [[0, 21.0], [2, 23.0], [10, 26.0]]
    assert found["apart"] == [False, True, True]


def test_plots_know_where_the_truth_lies(tmp_path: Path, finish_run: Finish) -> None:
    scores = {key: {"colorfulness": 10.0 * place, "colorfulness_truth": 30.0} for place, key in enumerate("abc")}
    finish_run(tmp_path, scores, metrics=("colorfulness",))
    (found,) = island(write_report(tmp_path).read_text())["sets"]
    assert found["levels"]["image"]["truths"] == {"colorfulness": 30.0}
    assert found["levels"]["image"]["scores"] == {"colorfulness": [[0.0, 10.0, 20.0]]}


def test_tables_that_are_not_the_records_are_not_drawn(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    table = tmp_path / "runs/samples/gray--none--s0/images.csv"
    table.write_text(table.read_text().replace("22.0", "99.0"))
    (found,) = island(write_report(tmp_path).read_text())["sets"]
    assert set(found["levels"]["image"]["scores"]["psnr"][0]) == {None}
    assert found["levels"]["image"]["scores"]["ssim"] == [[0.9, 0.812346]]


def test_without_tables_there_are_no_plots(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    for table in tmp_path.glob("runs/*/*/*.csv"):
        table.unlink()
    text = write_report(tmp_path).read_text()
    assert 'scores-data">' not in text
    assert "#plots" not in text.partition("<script")[0]


def big_data(
    out: Path, write_big_run: Callable[..., None], pictures: int, instances: int, methods: int
) -> dict[str, Any]:
    for number in range(methods):
        write_big_run(out, f"method-{number}", pictures, instances, number / 2)
    runs = read_runs([out])
    return plot_data(runs, rank_records([record for _, record in runs]))


def test_plots_of_many_pictures_stay_small(tmp_path: Path, write_big_run: Callable[..., None]) -> None:
    """Three metrics of two methods at both levels: what 8 methods take is four times as much, and is cut there."""
    data = big_data(tmp_path, write_big_run, 5000, 5000, 2)
    levels = data["sets"][0]["levels"]
    assert [len(level["pictures"]) for level in levels.values()] == [5000, 5000]
    values = [json.dumps(level["scores"], separators=(",", ":")) for level in levels.values()]
    bytes_per_value = max(map(len, values)) / (5000 * 2 * 3)
    names = len(json.dumps(data, separators=(",", ":"))) - sum(map(len, values))
    assert MOST_VALUES >= 5000 * 8 * 3
    assert (5000 * 8 * 3 + MOST_VALUES) * bytes_per_value + 2 * names < 3.2e6


def test_more_scores_than_a_page_bears_are_left_out_evenly(
    tmp_path: Path, write_big_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.plots.MOST_VALUES", 60)
    (found,) = big_data(tmp_path, write_big_run, 100, 9, 2)["sets"]
    image = found["levels"]["image"]
    assert image["total"] == 100
    names = [found["pictures"][place] for place in image["pictures"]]
    assert names == [f"val2017/{place:012}" for place in (0, 11, 22, 33, 44, 55, 66, 77, 88, 99)]
    assert len(found["levels"]["instance"]["pictures"]) == 9


def test_bars_offer_what_tells_rows_apart(report: str) -> None:
    page = html5lib.parse(report, namespaceHTMLElements=False)
    bar = next(form for form in page.iter("form") if form.get("id") == "boards-filters")
    options = {each.get("name"): [option.get("value") for option in each.iter("option")] for each in bar.iter("select")}
    assert options == {"level": ["", "whole images", "instances"], "detector": ["", "yolo", "none"]}
    assert [box.get("name") for box in bar.iter("input")][:2] == ["text", "ranked"]
    levels = {table.get("data-level") for table in page.iter("table") if table.get("data-level")}
    assert levels == {"whole images", "instances"}


def test_costs_stand_behind_the_scores(report: str) -> None:
    heading, first, *_ = table_of(report, "leaderboards")
    line = dict(zip(heading, first, strict=True))
    assert (line["images/s"], line["parameters [M]"]) == ("1.50", "34.19")
    assert "GMACs" not in line


def test_second_best_is_underlined(report: str) -> None:
    assert '<td data-column="psnr" data-value="30.0" class="best"><strong>30.00</strong>' in report
    assert re.search(r'<td data-column="psnr" data-value="[\d.]+" class="second"><u>22.04</u>', report)


def test_what_holds_for_all_tables_is_said_once(report: str) -> None:
    assert report.count("Ranked by PSNR.") == 1
    assert report.count("n: images in the mean.") == 1


def test_dates_are_whole_and_parameters_short(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    text = write_report(tmp_path).read_text()
    assert '<dd><time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04:05 UTC</time></dd>' in text
    assert "time { white-space: nowrap; }" in text
    assert '<td data-column="parameters" data-value="34187027">34.19</td>' in text


def test_grey_predictions_are_counted_but_not_by_old_records(tmp_path: Path, finish_run: Finish) -> None:
    new = finish_run(tmp_path, PHOTOS)
    counts = new.counts.model_copy(update={"gray_prediction": 2})
    (tmp_path / "runs/samples/gray--none--s0/record.json").write_text(
        new.model_copy(update={"counts": counts}).to_json()
    )
    finish_run(tmp_path, PHOTOS, method="old")
    path = tmp_path / "runs/samples/old--none--s0/record.json"
    path.write_text(re.sub(r',\s*"gray_prediction": 0', "", path.read_text()))
    heading, *lines = table_of(write_report(tmp_path).read_text(), "runs")
    assert [line[heading.index("grey predictions")] for line in lines] == ["2", "—"]


def test_columns_of_nothing_are_left_out(report: str) -> None:
    heading, *_ = table_of(report, "runs")
    assert "failed" in heading
    assert not {"crowds", "too small", "grey truth", "GMACs"} & set(heading)


def test_a_small_screen_has_the_detector_below_the_method(report: str) -> None:
    assert '<small class="slim">yolo</small></th>' in report
    assert '<td class="left wide">yolo</td>' in report
    small = report.partition("@media (max-width: 40rem) {")[2].partition("@media")[0]
    assert ".board .wide { display: none; }" in small
    assert re.search(r"\.board \.slim, \.board \.spread \{ display: block;", small)


def test_scores_stand_beside_both_ends_of_their_interval(report: str) -> None:
    assert '<u>22.04</u> <small class="spread">[20.12, 24.00]</small>' in report
    assert "±" not in report


def test_a_page_of_boards_alone_has_no_island(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    boards: list[Board] = read_boards([tmp_path])
    assert 'scores-data">' not in leaderboard_page(boards)


def test_what_a_method_cannot_have_is_no_number_in_the_table_of_runs(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, PHOTOS)
    counts = record.counts.model_copy(update={"without_detections": 2})
    gray = record.model_copy(update={"parameters": {}, "counts": counts})
    boxed = gray.model_copy(update={"detector": "yolo"})
    scored = gray.model_copy(update={"digests": gray.digests.model_copy(update={"predictions": "p" * 64})})
    assert [run_value(record, "parameters")[1] for record in (gray, scored)] == ["0", "—"]
    assert [run_value(record, "without_detections")[1] for record in (gray, boxed)] == ["—", "2"]
    assert "without_detections" not in dict(run_columns([gray]))


def test_bars_are_drawn_of_the_rows_or_said_to_be_missing(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    folder = tmp_path / "runs/samples/gray--none--s0"
    whole = write_report(tmp_path).read_text()
    (folder / "breakdown.csv").unlink()
    assert write_report(tmp_path).read_text() == whole
    (folder / "breakdown.csv").write_text("by,group\nsize,small\n")
    text = write_report(tmp_path).read_text()
    assert island(text)["sets"][0]["unparted"]
    assert ("no <code>breakdown.csv</code> that can be read" in text) > ("no <code>breakdown.csv</code>" in whole)
