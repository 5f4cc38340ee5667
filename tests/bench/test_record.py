import json
import math
import random
import re
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bench.record import RunRecord, build_record, rows_digest, score_images, score_instances
from bench.rows import InstanceRow, Row
from datamodules.protocol import PROTOCOLS

FIELDS = """schema, run_id, suite, method, detector, dataset, protocol, protocol_sha256, seed, partial, untrained,
    image, instance, counts, digests, parameters, git_commit, git_dirty, versions, device, precision, processes,
    started_utc, seconds, images_per_second, peak_memory_mb, gmacs, perturbation, detector_error, hints, detector_id,
    track"""
COUNTS = """images, failed, gray_truth, without_instances, without_detections, instances, left_out_small,
    left_out_crowd, identical, gray_prediction"""


def names(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def make_row(image: str, psnr: float | None, instances: Sequence[float | None] = (), **changes: Any) -> Row:
    box = {"category_id": 1, "category": "person", "area": 900.0, "size": "small", "x": 0, "y": 0}
    kept = [
        InstanceRow.model_validate({**box, "instance": n, "width": 30, "height": 30, "scores": {"psnr": value}})
        for n, value in enumerate(instances)
    ]
    fields = {"run_id": "r", "image": image, "status": "ok", "width": 256, "height": 256, "n_boxes": 1}
    scores = {"scores": {"psnr": psnr}, "instances": kept, "n_instances": len(kept)}
    return Row.model_validate({**fields, **scores, **changes})


def make_rows() -> list[Row]:
    dice = random.Random(8)
    rows = [
        make_row(f"p{n}", 20 + dice.random(), [dice.uniform(10, 30) for _ in range((0, 1, 57)[n % 3])])
        for n in range(11)
    ]
    gray = make_row("gray", 99.0, [98.0], status="gray-truth", left_out_small=3, n_boxes=0)
    broken = Row(run_id="r", image="broken", status="error-decode", message="truncated")
    same = make_row("same", 100.0, left_out_crowd=2, identical=True)
    return [*rows, gray, broken, same]


def build(rows: Sequence[Row], **changes: Any) -> RunRecord:
    facts: dict[str, Any] = {
        "rows": {row.image: row for row in rows},
        "run_id": "r",
        "suite": "trial",
        "method": "gray",
        "detector": "none",
        "dataset": "samples",
        "protocol": PROTOCOLS["stretch256-v1"],
        "seed": 0,
        "partial": False,
        "untrained": False,
        "metrics": ["psnr"],
        "digests": {"dataset": "d" * 64, "config": "c" * 64},
        "parameters": {"full": 7},
        "device": "cpu",
        "precision": "32",
        "processes": 1,
        "started": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        "seconds": 7.0,
        "computed": 14,
        "peak_memory_mb": 12.5,
    }
    return build_record(**{**facts, **changes})


def test_the_record_has_the_promised_fields_in_order() -> None:
    content = json.loads(build(make_rows()).to_json())
    assert list(content) == names(FIELDS)
    assert list(content["counts"]) == names(COUNTS)
    assert list(content["digests"]) == names("dataset boxes weights settings predictions plugins config rows")
    assert list(content["image"]["psnr"]) == ["mean", "std", "n", "low", "high"]
    assert content["digests"]["boxes"] is None
    assert content["started_utc"] == "2026-01-02T01:04:05Z"
    assert content["images_per_second"] == 2.0
    assert content["protocol_sha256"] == PROTOCOLS["stretch256-v1"].digest


def test_the_record_reads_back() -> None:
    record = build(make_rows())
    assert RunRecord.model_validate_json(record.to_json()) == record
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
    with pytest.raises(ValidationError, match="surplus"):
        RunRecord.model_validate({**json.loads(record.to_json()), "surplus": 1})


def test_a_mean_that_is_best_at_the_truth_has_its_difference_beside_it() -> None:
    rows = [
        make_row(name, None, scores={"colorfulness": value, "colorfulness_truth": truth}, gray_prediction=value == 0)
        for name, value, truth in (("a", 10.0, 30.0), ("b", 0.0, 20.0))
    ]
    record = build(rows, metrics=["colorfulness"])
    assert record.image["colorfulness"].mean == 5.0
    assert record.image["colorfulness"].difference == -20.0
    assert record.counts.gray_prediction == 1
    assert json.loads(record.to_json())["image"]["colorfulness"]["difference"] == -20.0
    assert RunRecord.model_validate_json(record.to_json()) == record


def test_pictures_are_counted() -> None:
    counts = build(make_rows()).counts
    assert (counts.images, counts.failed, counts.gray_truth, counts.identical) == (14, 1, 1, 1)
    assert (counts.without_instances, counts.without_detections) == (4 + 1, 1)
    folder = {"dataset": "d" * 64, "config": "c" * 64, "predictions": "p" * 64}
    record = build(make_rows(), digests=folder)
    assert record.counts == counts.model_copy(update={"without_detections": None}), "nobody knows what boxes it saw"
    assert RunRecord.model_validate_json(record.to_json()) == record
    assert counts.instances == 4 * 1 + 3 * 57 + 1
    assert (counts.left_out_small, counts.left_out_crowd) == (3, 2)


def test_means_leave_out_gray_truth_and_errors() -> None:
    """F28: there is no switch. Means over other pictures could not be compared."""
    record = build(make_rows())
    scored = [row for row in make_rows() if row.status == "ok"]
    pictures = [row.scores["psnr"] for row in scored]
    instances = [instance.scores["psnr"] for row in scored for instance in row.instances]
    for score, values in ((record.image["psnr"], pictures), (record.instance["psnr"], instances)):
        numbers = [value for value in values if value is not None]
        assert score.n == len(numbers) == len(values)
        assert score.mean == pytest.approx(statistics.fmean(numbers), abs=1e-12)
        assert score.std == pytest.approx(statistics.stdev(numbers), abs=1e-12)
        assert score.low is not None
        assert score.high is not None
        assert score.mean is not None
        assert score.low < score.mean < score.high


def test_the_order_of_rows_changes_no_bit() -> None:
    rows = make_rows()
    expected = build(rows)
    dice = random.Random(0)
    for _ in range(5):
        dice.shuffle(rows)
        assert build(rows) == expected
        assert rows_digest(rows) == expected.digests.rows
    assert build(rows[1:]).digests.rows != expected.digests.rows


def test_instance_intervals_draw_pictures() -> None:
    """Instances of one picture that are all alike tell no more than one of them."""
    many = [make_row(f"p{n}", 1.0, [float(n % 2)] * 50) for n in range(8)]
    single = [make_row(f"p{n}", 1.0, [float(n % 2)]) for n in range(8)]
    wide, one = score_instances(many, "psnr"), score_instances(single, "psnr")
    assert (wide.low, wide.high) == (one.low, one.high)
    assert (wide.n, one.n) == (400, 8)


def test_no_instances_give_null_and_not_zero() -> None:
    score = score_instances([make_row("a", 1.0), make_row("b", 2.0)], "psnr")
    assert score.model_dump() == {"mean": None, "std": None, "n": 0, "low": None, "high": None}
    assert build([]).image["psnr"].mean is None


def test_scores_that_are_not_defined_are_left_out() -> None:
    score = score_images([make_row("a", 1.0), make_row("b", None), make_row("c", 3.0)], "psnr")
    assert (score.mean, score.n) == (2.0, 2)
    assert score_images([make_row("a", 1.0)], "ssim").n == 0


def test_one_picture_has_a_mean_and_no_spread() -> None:
    score = score_images([make_row("a", 5.0)], "psnr")
    assert score.model_dump() == {"mean": 5.0, "std": None, "n": 1, "low": None, "high": None}
    score = score_instances([make_row("a", 5.0, [1.0, 3.0])], "psnr")
    assert (score.mean, score.std, score.low) == (2.0, math.sqrt(2), None)


def test_means_are_exactly_rounded() -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(24, 5, 1001)]
    rows = [make_row(f"{n:04}", value) for n, value in enumerate(values)]
    assert score_images(rows, "psnr").mean == math.fsum(values) / 1001


def test_the_place_among_the_results_says_what_the_record_is() -> None:
    record = build(make_rows(), device="NVIDIA H200", seed=3)
    assert record.path == "records/samples/stretch256-v1/gray--none--s3--nvidia-h200.json"
