import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from PIL import Image

from bench.credits import Credit, coco_credits, read_credits, write_credits
from bench.leaderboard import read_boards
from bench.picture_set import note_pictures, picture_set
from bench.record import RunRecord
from bench.report.gallery import PICTURES, galleries
from bench.report.page import write_report
from bench.report.selection import choose, goodness, orders, spread
from bench.report.thumbnails import GRADES, Place, colorfulness, encode, find_grade, load
from bench.rows import Row
from bench.scoring.metrics import METRICS

Finish = Callable[..., RunRecord]

PHOTOS: dict[str, dict[str, float | None]] = {
    "a/one": {"psnr": 20.0, "ssim": 0.9},
    "a/two": {"psnr": 22.0, "ssim": 0.8},
    "b three": {"psnr": 24.0, "ssim": 0.7},
}
PLACES = (("dddddddd", "centercrop256-v1"), ("dddddddd", "stretch256-v1"), ("eeeeeeee", "stretch256-v1"))


def runs(out: Path) -> list[tuple[Path, RunRecord]]:
    paths = sorted(out.glob("runs/*/*/record.json"))
    return [(path.parent, RunRecord.model_validate_json(path.read_text())) for path in paths]


def island(page: str) -> dict[str, Any]:
    """Return what the page's script is given."""
    text = page.partition('id="gallery-data">')[2].partition("</script>")[0]
    found: dict[str, Any] = json.loads(text)
    return found


class Tags(HTMLParser):
    """Collect the attributes of tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def report(tmp_path: Path, finish_run: Finish) -> str:
    better = {key: {"psnr": 30.0, "ssim": 0.9} for key in PHOTOS}
    finish_run(tmp_path, PHOTOS, method="gray", images=True)
    finish_run(tmp_path, better, method="instcolor-fusion", detector="yolo", images=True)
    return write_report(tmp_path).read_text(encoding="utf-8")


def test_methods_stand_between_input_and_truth_with_the_best_first(report: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", report, re.DOTALL)
    plain = [" ".join(re.sub("<.*?>", "", caption).split()) for caption in captions]
    assert plain[:4] == ["gray input", "instcolor-fusion · yolo 30.00", "gray 20.00", "truth"]
    assert len(plain) == 4 * len(PHOTOS)
    assert report.count('<figure class="best">') == len(PHOTOS)


def test_boxes_are_drawn_once_and_used_by_every_version(report: str) -> None:
    tags = Tags(report)
    drawn = [tag["id"] for tag in tags.all("g") if (tag.get("id") or "").startswith("boxes-")]
    used = [tag["href"] for tag in tags.all("use")]
    assert len(drawn) == len(set(drawn)) == len(PHOTOS)
    assert used == [f"#{name}" for name in drawn for _ in range(4)]
    assert {(tag["x"], tag["width"]) for tag in tags.all("rect")} == {("40", "100")}


def test_thumbnails_are_small_pictures_of_the_size_that_is_said(report: str) -> None:
    tags = [tag for tag in Tags(report).all("img") if (tag["src"] or "").startswith("data:image/webp;base64,")]
    assert len(tags) == 4 * len(PHOTOS)
    for tag in tags:
        with Image.open(io.BytesIO(base64.b64decode((tag["src"] or "").partition(",")[2]))) as picture:
            picture.load()
            assert (str(picture.width), str(picture.height)) == (tag["width"], tag["height"])


def test_the_script_is_given_scores_of_pictures_and_instances(report: str) -> None:
    data = island(report)
    (gallery,) = data["galleries"]
    assert gallery["versions"] == ["gray input", "instcolor-fusion · yolo", "gray", "truth"]
    assert gallery["methods"] == [1, 2]
    assert list(data["metrics"]) == ["psnr", "ssim"]
    first = gallery["pictures"][0]
    assert first["scores"] == {"psnr": [None, 30.0, 20.0, None], "ssim": [None, 0.9, 0.9, None]}
    assert first["instances"][0]["name"] == "dog"
    assert first["instances"][0]["scores"]["psnr"] == [None, 29.0, 19.0, None]
    keys = [tag["data-key"] for tag in Tags(report).all("article") if "data-key" in tag]
    assert keys == sorted(PHOTOS)


def test_instances_of_one_category_are_numbered_in_list_and_boxes(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"one": {"psnr": 20.0, "ssim": 0.5}}, images=True)
    (folder,) = (tmp_path / "runs/samples").iterdir()
    (path,) = folder.glob("rows*")
    row = Row.model_validate_json(path.read_text())
    kinds = ("dog", "<person>", "dog", "<person>", "cat")
    dog = row.instances[0]
    each = [dog.model_copy(update={"instance": place, "category": kind}) for place, kind in enumerate(kinds)]
    path.write_text(row.model_copy(update={"instances": tuple(each), "n_instances": len(each)}).to_json() + "\n")
    page = write_report(tmp_path).read_text()
    listed = island(page)["galleries"][0]["pictures"][0]["instances"]
    assert [instance["name"] for instance in listed] == ["dog 1", "<person> 1", "dog 2", "<person> 2", "cat"]
    assert [instance["category"] for instance in listed] == [*kinds]
    drawn = re.findall("<rect .*?<title>(.*?)</title>", page)
    assert drawn == ["dog 1", "&lt;person&gt; 1", "dog 2", "&lt;person&gt; 2", "cat"]


def test_the_page_is_valid_and_has_only_our_scripts(report: str) -> None:
    html5lib.HTMLParser(strict=True).parse(report)
    tags = Tags(report)
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    kinds = [tag.get("type") for tag in tags.all("script")]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json"}


def test_without_pictures_the_page_says_how_to_get_them(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS)
    text = write_report(tmp_path).read_text()
    assert "--save-images" in text
    assert "<img" not in text


def test_hostile_picture_names_are_only_text(tmp_path: Path, finish_run: Finish) -> None:
    key = "<img src=x onerror=alert(1)> <!--<script> \u202e\x1b[31m & \"'"
    finish_run(tmp_path, {key: {"psnr": 20.0, "ssim": 1.0}}, images=True)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "<!--" not in text
    assert text.count("<script") == text.count("</script>")
    assert "\x1b" not in text
    assert "\u202e" not in text
    html5lib.HTMLParser(strict=True).parse(text)


def test_a_name_that_climbs_out_shows_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    assert load(Place(tmp_path / "images", "../secret", ".png")) is None
    assert load(Place(tmp_path / "images", "link", ".png")) is None


def test_a_missing_picture_leaves_a_gap_and_a_failed_one_says_why(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    finish_run(tmp_path, PHOTOS | {"a/two": "error-memory"}, method="shaky", images=True)
    for path in ("runs/samples/gray--none--s0/images/a/one.png", "runs/samples/shaky--none--s0/images/a/two.png"):
        (tmp_path / path).write_bytes(b"\x89PNG")
    text = write_report(tmp_path).read_text()
    assert re.findall(r'<p class="missing">(.*?)</p>', text) == ["no picture", "it broke"]
    assert "<i>error-memory</i>" in text


def test_the_lowest_seed_is_shown(tmp_path: Path, finish_run: Finish) -> None:
    for seed in (1, 0):
        scores = {key: {"psnr": 20.0 + seed} for key in PHOTOS}
        finish_run(tmp_path, scores, seed=seed, images=True, metrics=("psnr",))
    (gallery,) = galleries(tmp_path, runs(tmp_path))
    assert [version.label for version in gallery.choice.versions] == ["gray input", "gray", "truth"]
    assert gallery.pictures[0].figures[1].row is not None
    assert gallery.pictures[0].figures[1].row.scores == {"psnr": 20.0}


def said(report: str) -> str:
    """Return what stands below the name of the only gallery, and above all."""
    return " ".join(report.partition("<h2>Pictures</h2>")[2].partition('<div class="pictures"')[0].split())


def test_the_page_says_what_methods_saw_and_which_seed_is_shown(tmp_path: Path, finish_run: Finish) -> None:
    def finish(**given: Any) -> None:
        finish_run(tmp_path, PHOTOS, images=True, **given)

    finish(method="plain")
    text = said(write_report(tmp_path).read_text())
    assert "Each method saw the light of the picture, and boxes if it has a detector, but never its colours." in text
    assert "seeds" not in text
    finish(method="hinted", seed=1)
    finish(method="hinted", seed=2)
    finish(method="ours")
    for name in ("hinted--none--s1", "hinted--none--s2", "ours--none--s0"):
        path = tmp_path / f"runs/samples/{name}/record.json"
        record = RunRecord.model_validate_json(path.read_text())
        digests = record.digests.model_copy(update={"predictions": "f" * 64})
        path.write_text(record.model_copy(update={"digests": digests} if "ours" in name else {"hints": 10}).to_json())
    report = write_report(tmp_path).read_text()
    text = said(report)
    assert "Each method that ran here saw the light" in text
    assert "never its colours, but for hints, which gave hinted the true colour of 10 squares. What ours saw" in text
    assert "Of several seeds one is shown, with its own scores and not their mean: seed 1 of hinted." in text
    (gallery,) = island(report)["galleries"]
    assert [gallery["versions"][place] for place in gallery["hinted"]] == ["hinted"]
    best = re.findall(r'<figure class="best">.*?<figcaption>(\w+)', report, re.DOTALL)
    assert set(best) == {"plain", "ours"}
    for folder in (tmp_path / "runs/samples").glob("[ph]*"):
        shutil.rmtree(folder)
    text = said(write_report(tmp_path).read_text())
    assert "never its colours" not in text
    assert "What ours saw is not known" in text


def test_pictures_stand_in_the_order_of_the_table(tmp_path: Path, finish_run: Finish) -> None:
    means = {"low": 20.0, "twin-b": 25.0, "twin-a": 25.0, "high": 30.0}
    for method, value in means.items():
        finish_run(tmp_path, {"one": {"psnr": value, "ssim": 0.5}}, method=method, images=True)
    finish_run(tmp_path, {"one": {"psnr": 90.0, "ssim": 0.5}}, method="lucky", partial=True, images=True)
    finish_run(tmp_path, {"one": {"psnr": 1.0, "ssim": 0.5}}, method="alien", dataset="synthetic", images=True)
    table = [entry.method for entry in read_boards([tmp_path], levels=["image"])[0].entries]
    versions = galleries(tmp_path, runs(tmp_path))[0].choice.versions
    assert [version.label for version in versions] == ["gray input", *table, "truth"]
    assert table == ["high", "twin-a", "twin-b", "low", "lucky"]


def test_runs_on_other_pictures_or_under_another_protocol_share_no_gallery(tmp_path: Path, finish_run: Finish) -> None:
    kept = finish_run(tmp_path, PHOTOS, method="kept", images=True)
    finish_run(tmp_path, PHOTOS, method="cropped", protocol="centercrop256-v1", images=True)
    finish_run(tmp_path, PHOTOS, method="other", dataset_digest="e" * 64, images=True)
    alone = [["cropped"], ["kept"], ["other"]]

    def shown() -> list[list[str]]:
        found = galleries(tmp_path, runs(tmp_path))
        return sorted([version.label for version in gallery.choice.versions] for gallery in found)

    assert shown() == alone  # nobody knows whose truth is there
    note_pictures(tmp_path / "pictures/samples", picture_set(kept))
    assert shown() == sorted([["gray input", "kept", "truth"], ["cropped"], ["other"]])
    page = write_report(tmp_path).read_text()
    titles = [f"samples#{digest}, {protocol}" for digest, protocol in PLACES]
    assert [gallery["title"] for gallery in island(page)["galleries"]] == titles
    assert re.findall("<h3>(samples.*?)</h3>", page)[-3:] == titles
    assert [tag["data-set"] for tag in Tags(page).all("div") if tag.get("data-set")] == titles
    assert page.count('<figure class="best">') == 3 * len(PHOTOS)


def test_methods_are_shown_without_a_truth(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    shutil.rmtree(tmp_path / "pictures")
    text = write_report(tmp_path).read_text()
    assert island(text)["galleries"][0]["versions"] == ["gray"]
    assert [picture["color"] for picture in island(text)["galleries"][0]["pictures"]] == [None, None, None]


def test_two_names_of_one_run_are_both_shown(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    one = tmp_path / "runs/samples/gray--none--s0"
    two = shutil.copytree(one, one.with_name("gray-two--none--s0")) / "record.json"
    two.write_text(two.read_text().replace('"gray"', '"gray-two"'))
    versions = galleries(tmp_path, runs(tmp_path))[0].choice.versions
    assert [version.label for version in versions] == ["gray input", "gray", "gray-two", "truth"]


def test_the_extremes_of_the_whole_set_are_shown(tmp_path: Path, finish_run: Finish) -> None:
    one: dict[str, dict[str, float]] = {f"p{number:02}": {"psnr": 20.0} for number in range(30)}
    two = one | {"p11": {"psnr": 60.0}, "p23": {"psnr": 2.0}, "p17": {"psnr": 21.0}, "p18": {"psnr": 19.0}}
    finish_run(tmp_path, one, metrics=("psnr",), images=True)
    finish_run(tmp_path, two, method="two", metrics=("psnr",), images=True)
    (gallery,) = galleries(tmp_path, runs(tmp_path), 12)
    shown = [picture.key for picture in gallery.pictures]
    assert shown == sorted(shown)
    assert len(shown) == 12
    assert {"p11", "p17", "p18", "p23"} <= set(shown)
    assert "12 of 30 pictures" in write_report(tmp_path, most=12).read_text()


def test_orders_are_of_means_and_ranges() -> None:
    worst, best, spreads = orders({"a": [1.0, 5.0], "b": [2.0, 3.0], "c": [9.0], "d": []})
    assert worst == {"a": -3.0, "b": -2.5, "c": -9.0}
    assert best == {"a": 3.0, "b": 2.5, "c": 9.0}
    assert spreads == {"a": 4.0, "b": 1.0}


def test_choosing_takes_the_first_of_each_order_and_spreads_the_rest() -> None:
    keys = [f"{number:03}" for number in range(100)]
    ranks = {key: float(number) for number, key in enumerate(keys)}
    chosen = choose(keys, [ranks, {key: -rank for key, rank in ranks.items()}], 20)
    assert len(chosen) == len(set(chosen)) == 20
    assert {*keys[:5], *keys[-5:]} <= set(chosen)
    others = [key for key in keys if "005" <= key <= "094"]
    assert set(chosen) - {*keys[:5], *keys[-5:]} == set(spread(others, 10))
    assert choose(keys, [], 3) == spread(keys, 3)
    assert choose(keys, [ranks], 0) == []


def test_a_score_is_good_in_its_own_direction() -> None:
    assert goodness(METRICS["psnr"], {"psnr": 20.0}) == 20.0
    assert goodness(METRICS["lpips_alex"], {"lpips_alex": 0.2}) == -0.2
    assert goodness(METRICS["colorfulness"], {"colorfulness": 30.0, "colorfulness_truth": 40.0}) == -10.0
    assert goodness(METRICS["colorfulness"], {"colorfulness": 30.0}) is None
    assert goodness(METRICS["psnr"], {}) is None


def test_colorfulness_is_that_of_the_metric() -> None:
    torch = pytest.importorskip("torch")
    from bench.scoring.colour import opponents, sums_to_colorfulness

    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    sums = opponents(torch.from_numpy(picture).permute(2, 0, 1)[None]).sum((0, 2, 3)).tolist()
    assert colorfulness(picture) == pytest.approx(sums_to_colorfulness(sums, 600), rel=1e-12)


def test_thumbnails_shrink_until_all_fit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    places = 3 * [Place(tmp_path, "noise", ".png")]
    length = {grade: len(encode(noise, grade).uri) for grade in GRADES}
    fine, small = GRADES[3], GRADES[-1]
    assert find_grade(places) == GRADES[0]
    assert find_grade(places, 3 * length[fine]) == next(grade for grade in GRADES if length[grade] <= length[fine])
    assert find_grade(places, 3 * length[small]) == small
    assert find_grade(places, 1) == GRADES[-1]
    assert find_grade([], 1) == GRADES[0]
    thumbnail = encode(noise, small)
    assert (thumbnail.width, thumbnail.height) == (round(small.side * 80 / 120), small.side)


def coco_file(folder: Path) -> Path:
    images = [
        {"id": 1, "file_name": "a/one.jpg", "license": 4, "flickr_url": "http://example.org/one"},
        {"id": 2, "file_name": "a/two.jpg", "license": 5, "flickr_url": "javascript:alert(1)"},
        {"id": 3, "file_name": "b three.jpg"},
    ]
    licenses = [{"id": 4, "name": "Attribution", "url": "http://example.org/by"}, {"id": 5, "name": "<b>", "url": "x"}]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "licenses": licenses, "annotations": [], "categories": []}))
    return path


def test_credits_come_from_the_coco_file(tmp_path: Path) -> None:
    credit = Credit("a/one", "Attribution", "http://example.org/by", "http://example.org/one")
    assert coco_credits(coco_file(tmp_path), PHOTOS) == [credit, Credit("a/two", "<b>", "", "")]
    write_credits(tmp_path, coco_file(tmp_path), ["a/one"])
    write_credits(tmp_path, coco_file(tmp_path), ["a/two", "b three"])
    assert list(read_credits(tmp_path)) == ["a/one", "a/two"]
    assert read_credits(tmp_path)["a/one"] == credit
    assert str(tmp_path) not in (tmp_path / "credits.csv").read_text()


def test_a_licence_stands_beside_its_picture(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    write_credits(tmp_path / "pictures/samples", coco_file(tmp_path), PHOTOS)
    text = write_report(tmp_path).read_text()
    assert '<a href="http://example.org/by" rel="license noreferrer">Attribution</a>' in text
    assert "2 of these photos have a licence of their own" in text
    assert "javascript:" not in text
    assert "<b>" not in re.findall(r'<small class="credit">(.*?)</small>', text)[1]


def test_so_many_pictures_are_shown_as_is_said(
    colorbench: Callable[..., tuple[int, str, str]], tmp_path: Path, finish_run: Finish
) -> None:
    finish_run(tmp_path, PHOTOS, images=True)
    assert colorbench("report", tmp_path, "--pictures", 2)[0] == 0
    assert "2 of 3 pictures" in (tmp_path / "report.html").read_text()
    assert PICTURES == 200
