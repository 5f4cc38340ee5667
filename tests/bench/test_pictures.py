"""Pictures that are kept for the report: what was compared, and whose it is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from bench.credits import Credit, read_credits
from bench.errors import UsageError
from bench.picture_set import PictureSet, note_pictures, read_pictures
from bench.pictures import gray_of, save_pictures
from bench.plan import Places
from bench.prepare import Options
from bench.runner import run
from bench.score import score
from bench.submission import Submission, find_pairs
from bench.suite import Suite
from datamodules.protocol import PROTOCOLS

PROTOCOL = "stretch256-v1"
HELD = PictureSet("d" * 64, PROTOCOLS[PROTOCOL].digest)
LICENSED = Credit("sub/b", "Attribution", "http://example.org/by", "http://example.org/b")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with `truth` and `ours` of two photos, and their `instances.json`, which has one licence."""
    noise = np.random.default_rng(0)
    for name, shape in (("a", (40, 48, 3)), ("sub/b", (33, 64, 3))):
        for folder in ("truth", "ours"):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise.integers(0, 256, shape, dtype=np.uint8)).save(path)
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.png", "width": 48, "height": 40},
        {"id": 2, "file_name": "sub/b.png", "width": 64, "height": 33, "license": 4, "flickr_url": LICENSED.source},
    ]
    licenses = [{"id": 4, "name": LICENSED.license, "url": LICENSED.license_url}]
    content = {"images": images, "licenses": licenses, "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def prepared(path: Path) -> np.ndarray[Any, Any]:
    """Return a photo as the protocol compares it."""
    return np.asarray(PROTOCOLS[PROTOCOL].apply(Image.open(path)))


def test_a_run_keeps_truth_and_licences(root: Path) -> None:
    settings = {"root": str(root / "truth"), "annotations": str(root / "instances.json")}
    suite = Suite.model_validate({"name": "test-v1", "methods": ["gray"], "datasets": [{"id": "coco"}]})
    save_pictures({"class_path": "datamodules.coco.CocoDataModule", "init_args": settings}, suite, root / "kept", HELD)
    for key in ("a", "sub/b"):
        assert np.array_equal(
            np.asarray(Image.open(root / f"kept/{key}.truth.png")), prepared(root / f"truth/{key}.png")
        )
        assert (root / f"kept/{key}.gray.png").is_file()
    assert read_credits(root / "kept") == {"sub/b": LICENSED}
    assert str(root) not in (root / "kept/credits.csv").read_text()


def test_score_keeps_what_it_compared(root: Path) -> None:
    places = root / "ours", root / "truth", root / "out"
    given = Submission(*places, "ours", "set", PROTOCOL, root / "instances.json", ("psnr",))
    assert score(given, find_pairs(given)) == 0
    assert not (root / "out/pictures").exists()
    later = replace(given, save_images=True)
    assert score(later, find_pairs(later)) == 0
    for key in ("a", "sub/b"):
        truth = Image.open(root / f"out/pictures/set/{key}.truth.png")
        made = Image.open(root / f"out/runs/set/ours--none--s0/images/{key}.png")
        assert np.array_equal(np.asarray(truth), prepared(root / f"truth/{key}.png"))
        assert np.array_equal(np.asarray(made), prepared(root / f"ours/{key}.png"))
    page = (root / "out/report.html").read_text()
    assert page.count("data:image/webp;base64,") == 6
    assert f'<a href="{LICENSED.license_url}" rel="license noreferrer">Attribution</a>' in page


def test_two_sets_of_one_name_keep_no_pictures_in_one_folder(root: Path) -> None:
    places = root / "ours", root / "truth", root / "out"
    given = Submission(*places, "ours", "set", PROTOCOL, None, ("psnr",))
    assert score(given, find_pairs(given)) == 0
    Image.new("RGB", (48, 40)).save(root / "truth/a.png")
    other = replace(given, name="other", save_images=True)
    with pytest.raises(UsageError, match="this set another name with"):
        score(other, find_pairs(other))
    assert score(replace(other, dataset="set-two"), find_pairs(other)) == 0


def test_a_suite_keeps_no_pictures_beside_those_of_another_protocol_or_folder(root: Path) -> None:
    def start(folder: str, method: str, protocol: str = PROTOCOL) -> int:
        chosen = {"datasets": [{"id": "folder", "root": folder}], "protocol": protocol, "metrics": ["psnr"]}
        suite = Suite.model_validate({"name": "test-v1", "methods": [{"id": "gray", "name": method}], **chosen})
        return run(suite, Options(root / "out", Places(root), save_images=True, loggers=("none",)))

    kept = root / "out/pictures/folder"
    assert start("truth", "one") == 0
    before = {path: path.read_bytes() for path in kept.rglob("*.*")}
    assert kept / "made-of.json" in before
    for folder, protocol in (("truth", "centercrop256-v1"), ("ours", PROTOCOL)):
        with pytest.raises(UsageError, match="this set another name with `name:` in the suite"):
            start(folder, "two", protocol)
    assert not (root / "out/runs/folder/two--none--s0").exists()
    assert start("truth", "two") == 0
    assert {path: path.read_bytes() for path in kept.rglob("*.*")} == before


def test_pictures_of_nobody_knows_what_are_written_anew(root: Path) -> None:
    suite = Suite.model_validate({"name": "test-v1", "methods": ["gray"], "datasets": [{"id": "folder"}]})
    tree = {"class_path": "datamodules.folder.FolderDataModule", "init_args": {"root": str(root / "truth")}}
    truth = root / "kept/a.truth.png"
    truth.parent.mkdir()
    Image.new("RGB", (256, 256)).save(truth)
    save_pictures(tree, suite, root / "kept", HELD)
    assert np.array_equal(np.asarray(Image.open(truth)), prepared(root / "truth/a.png"))
    assert read_pictures(root / "kept") == HELD
    Image.new("RGB", (256, 256)).save(truth)
    save_pictures(tree, suite, root / "kept", HELD)
    assert not np.asarray(Image.open(truth)).any()
    note_pictures(root / "kept", HELD._replace(dataset="e" * 64))
    save_pictures(tree, suite, root / "kept", HELD)
    assert np.asarray(Image.open(truth)).any()


def test_a_grey_picture_is_the_light_of_it() -> None:
    colors = np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    light = rgb2lab(colors) * [1, 0, 0]
    wanted = 255 * lab2rgb(light)
    assert np.abs(np.asarray(gray_of(Image.fromarray(colors)), np.float64) - wanted).max() <= 0.51
