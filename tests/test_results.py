"""What is published in `results/` lies where it says, may be published, and gives the leaderboards beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.formats import to_csv, to_markdown
from bench.inpainting.board import leaderboard
from bench.inpainting.record import read_inpaint_records
from bench.leaderboard import read_record
from bench.publish import leaderboards, objections, read_published

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "results/studies/small-v1/records"
BOARD = "leaderboard/coco-val124--stretch256-v1.csv"


def faults(results: Path) -> Iterator[str]:
    """Yield everything that is wrong in a folder of results."""
    published = read_published(results)
    for place, record in published.items():
        if place != record.path:
            yield f"{place} holds what belongs to {record.path}"
        yield from (f"{place}: {objection}" for objection in objections(record))
    wanted = leaderboards(published.values())
    found = {path.relative_to(results).as_posix() for path in (results / "leaderboard").rglob("*") if path.is_file()}
    yield from (f"{place} is of no record" for place in sorted(found - wanted.keys()))
    for place, text in wanted.items():
        if place not in found:
            yield f"{place} is missing"
        elif (results / place).read_bytes() != text.encode():
            yield f"{place} is not what the records give: give `colorbench publish` again"


def test_the_published_results_hold() -> None:
    assert [*faults(ROOT / "results")] == []


INPAINTING = sorted(path for path in (ROOT / "results/inpainting").glob("*") if path.is_dir())


@pytest.mark.parametrize("folder", INPAINTING, ids=lambda folder: folder.name)
def test_leaderboards_of_inpainting_follow_from_clean_records(folder: Path) -> None:
    records = [record for _, record in read_inpaint_records(folder)]
    assert {record.suite for record in records} == {folder.name}
    assert not any(record.git_dirty or record.partial for record in records)
    tables = leaderboard(folder)
    assert (folder / "leaderboard.md").read_text(encoding="utf-8") == to_markdown(tables)
    assert (folder / "leaderboard.csv").read_text(encoding="utf-8") == to_csv(tables)


def test_an_empty_folder_holds(tmp_path: Path) -> None:
    assert [*faults(tmp_path)] == []


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with two records of a study and their leaderboards."""
    records = [read_record(STUDY / f"{method}--none--s0.json") for method in ("gray", "zhang-eccv16")]
    texts = {record.path: record.to_json() for record in records} | leaderboards(records)
    for place, text in texts.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return tmp_path


def first_record(results: Path) -> Path:
    return min(results.glob("records/*/*/gray--*.json"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_made_results_hold(results: Path) -> None:
    assert [*faults(results)] == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda results: change(first_record(results), '"seed": 0', '"seed": 1'), "belongs to"),
        (
            lambda results: change(first_record(results), '"git_dirty": false', '"git_dirty": true'),
            "differs from commit",
        ),
        (lambda results: change(first_record(results), '"partial": false', '"partial": true'), "--limit"),
        (lambda results: change(first_record(results), '"untrained": false', '"untrained": true'), "untrained"),
        (lambda results: change(first_record(results), '"mean": 22.', '"mean": 21.'), "not what the records give"),
        (lambda results: change(results / BOARD, "22.8", "22.9"), "not what the records give"),
        (lambda results: first_record(results).unlink(), "not what the records give"),
        (lambda results: (results / BOARD).unlink(), "is missing"),
        (lambda results: (results / "leaderboard/more.md").write_text("#"), "is of no record"),
    ],
)
def test_what_does_not_hold_is_found(results: Path, spoil: Callable[[Path], object], told: str) -> None:
    spoil(results)
    assert any(told in fault for fault in faults(results))
