"""The scores of single pictures: which of them enter a mean, and when a table is not believed."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.observations import Observations, Unit, mean_over_seeds, pair, read_observations
from bench.ranking import LEVELS
from bench.record import RunRecord
from bench.rows import read_rows
from bench.scoring.metrics import Level

Finish = Callable[..., RunRecord]
SCORES: dict[str, dict[str, float | None] | str] = {
    "=a": {"psnr": 20.1, "ssim": None},
    "b": "error-decode",
    "c/d": {"psnr": 22.3, "ssim": 0.5},
}


@pytest.fixture
def run(tmp_path: Path, finish_run: Finish) -> tuple[Path, RunRecord]:
    """Return the folder and the record of a run with an error, a missing score and a name that tables escape."""
    record = finish_run(tmp_path, SCORES)
    return tmp_path / "runs/samples/gray--none--s0", record


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("metric", ["psnr", "ssim"])
def test_tables_give_what_the_rows_hold(run: tuple[Path, RunRecord], level: Level, metric: str) -> None:
    folder, record = run
    expected: dict[Unit, float | None] = {}
    for row in read_rows(folder).values():
        units = [(0, row.scores)] if level == "image" else [(each.instance, each.scores) for each in row.instances]
        expected |= {(row.image, number): scores[metric] for number, scores in units if scores.get(metric) is not None}
    found = read_observations(folder, record, level, metric)
    assert found == expected
    assert len(expected) == (2 if metric == "psnr" else 1)


def test_pictures_whose_truth_is_gray_are_left_out(run: tuple[Path, RunRecord]) -> None:
    folder, record = run
    for name in ("images.csv", "instances.csv"):
        path = folder / name
        path.write_text(path.read_text().replace("c/d", "e").replace(",1,ok,22.3", ",1,gray-truth,22.3"))
    first = {"psnr": record.image["psnr"].model_copy(update={"mean": 20.1, "n": 1})}
    second = {"psnr": record.instance["psnr"].model_copy(update={"mean": 19.1, "n": 1})}
    record = record.model_copy(update={"image": first, "instance": second})
    assert read_observations(folder, record, "image", "psnr") == {("=a", 0): 20.1}
    assert read_observations(folder, record, "instance", "psnr") == {("=a", 7): 20.1 - 1}


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-20])


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("22.3", "22.4"))


def scramble(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + path.read_bytes())


def rename(path: Path) -> None:
    path.write_text(path.read_text().replace("psnr", "psnr2"))


@pytest.mark.parametrize("spoil", [cut, edit, scramble, rename, Path.unlink, lambda path: path.write_text("")])
def test_tables_that_are_not_the_records_are_not_believed(
    run: tuple[Path, RunRecord], spoil: Callable[[Path], object]
) -> None:
    folder, record = run
    spoil(folder / "images.csv")
    assert read_observations(folder, record, "image", "psnr") is None


def test_what_was_not_measured_has_no_scores(run: tuple[Path, RunRecord]) -> None:
    folder, record = run
    assert read_observations(folder, record, "image", "lpips_vgg") is None


def test_methods_stand_side_by_side_with_gaps() -> None:
    one: Observations = {("b", 2): 1.0, ("b", 10): 2.0, ("a", 1): 3.0}
    two: Observations = {("b", 10): 5.0, ("c", 1): 6.0}
    paired = pair([one, two])
    assert paired.units == (("a", 1), ("b", 2), ("b", 10), ("c", 1))
    assert paired.names == ("a", "b", "c")
    assert paired.pictures.tolist() == [0, 1, 1, 2]
    np.testing.assert_array_equal(paired.scores, [[3, math.nan], [1, math.nan], [2, 5], [math.nan, 6]])
    assert pair([]).scores.shape == (0, 0)


def test_seeds_are_averaged_where_all_have_a_score() -> None:
    runs: list[Observations] = [{("a", 0): 1.0, ("b", 0): 2.0}, {("a", 0): 4.0}]
    assert mean_over_seeds(runs) == {("a", 0): 2.5}
    assert mean_over_seeds(runs[:1]) == runs[0]
