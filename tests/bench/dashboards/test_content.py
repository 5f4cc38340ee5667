"""What dashboards show of a finished run follows from its record, tables and pictures."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.dashboards.content import FinishedRun
from bench.dashboards.pictures import picture_table, spread
from bench.record import RunRecord

Finish = Callable[..., RunRecord]


def test_two_names_of_one_thing_are_two_runs(finished: FinishedRun) -> None:
    other = FinishedRun(finished.folder, finished.record.model_copy(update={"method": "gray-again"}))
    again = FinishedRun(finished.folder, finished.record.model_copy(update={"device": "cuda"}))
    assert other.record.run_id == finished.record.run_id
    assert other.identity != finished.identity == again.identity
    assert len(finished.identity) == 32


def test_scores_are_those_of_the_record_with_their_intervals(finished: FinishedRun) -> None:
    scores, record = finished.scores, finished.record
    for level, metrics in (("image", record.image), ("instance", record.instance)):
        for metric, score in metrics.items():
            shown = (scores[f"{level}/{metric}"], scores[f"{level}/{metric}_low"], scores[f"{level}/{metric}_high"])
            assert shown == (score.mean, score.low, score.high)
            assert f"{level}/{metric}_difference" not in scores
    assert scores["totals/images"] == 20
    assert scores["speed/images_per_second"] == 10


def test_curves_are_the_quantiles_of_the_single_scores(
    finished: FinishedRun, scores: Mapping[str, dict[str, float]]
) -> None:
    curve = finished.curves["image-quantiles/psnr"]
    single = [each["psnr"] for each in scores.values()]
    assert (curve[0], curve[50], curve[100]) == (min(single), statistics.median(single), max(single))
    assert curve[1:100] == pytest.approx(statistics.quantiles(single, n=100, method="inclusive"))
    assert set(finished.curves) == {
        f"{level}-quantiles/{name}" for level in ("image", "instance") for name in scores["photo00"]
    }


def test_a_metric_of_a_set_has_a_score_and_no_curve(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0}, "b": {"psnr": None}}, metrics=("psnr", "ssim"))
    run = FinishedRun(tmp_path / "runs/samples/gray--none--s0", record)
    assert set(run.curves) == {"image-quantiles/psnr", "instance-quantiles/psnr"}
    assert "image/ssim" not in run.scores
    assert "image/psnr_low" not in run.scores


def test_pictures_are_few_and_spread_over_those_that_were_kept(finished: FinishedRun) -> None:
    table = finished.pictures
    assert [line.image for line in table.lines] == [
        f"photo{number:02d}" for number in (0, 2, 3, 5, 7, 9, 10, 12, 14, 16, 17, 19)
    ]
    assert table.versions == ("gray", "prediction", "truth")
    panel = table.lines[0].panel()
    assert panel is not None
    assert panel.size == (3 * 64 + 4, 64)
    for number in range(20):
        if number not in {3, 8}:
            (finished.folder / "images" / f"photo{number:02d}.png").unlink()
    assert [line.image for line in picture_table(finished.folder, finished.out / "pictures/samples").lines] == [
        "photo03",
        "photo08",
    ]


def test_spread_takes_first_and_last() -> None:
    assert spread([{"image": str(number)} for number in range(5)], 3) == [
        {"image": "0"},
        {"image": "2"},
        {"image": "4"},
    ]
