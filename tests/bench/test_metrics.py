import subprocess
import sys

import pytest

from bench.errors import UsageError
from bench.scoring.metrics import METRICS, VARIANTS, Metric, find_metric, is_variant, row_columns


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.id)
def test_each_metric_is_described_in_full(metric: Metric) -> None:
    assert METRICS[metric.id] is metric
    assert metric.name
    assert metric.definition
    assert metric.source
    assert metric.levels
    assert metric.decimals > 0


def test_the_promised_metrics_are_there_in_the_order_of_tables() -> None:
    promised = """psnr ssim lpips_alex lpips_vgg lpips_squeeze ab_rmse ciede2000 auc auc_rebalanced colorfulness fid
        classification_top1"""
    assert list(METRICS)[: len(promised.split())] == promised.split()
    assert all(map(is_variant, list(METRICS)[len(promised.split()) :]))


@pytest.mark.parametrize("name", VARIANTS)
def test_what_papers_call_by_the_same_name_is_refused_with_the_reason_and_what_to_take(name: str) -> None:
    with pytest.raises(UsageError) as refusal:
        find_metric(name)
    assert name in str(refusal.value)
    assert any(metric in VARIANTS[name] for metric in METRICS)


def test_a_mistyped_metric_gets_the_nearest() -> None:
    assert find_metric("psnr") is METRICS["psnr"]
    with pytest.raises(UsageError, match="did you mean psnr"):
        find_metric("pnsr")
    with pytest.raises(UsageError, match="did you mean classification_top1_resnet50 or"):
        find_metric("classification_top1_resnet5")
    with pytest.raises(UsageError, match="known: ab_rmse") as refusal:
        find_metric("beauty")
    assert "resnet" not in str(refusal.value), "the list of all networks would hide the metrics"


def test_the_metric_of_a_network_says_which_and_what_stands_beside_it() -> None:
    metric = find_metric("classification_top1_resnet50")
    assert metric.title == "resnet50 top-1 [%] ↑"
    assert "resnet50" in metric.definition
    assert "IMAGENET1K_V2" in metric.definition
    assert row_columns("image", [metric.id]) == (metric.id, "classification_top1_resnet50_truth")
    assert row_columns("instance", [metric.id]) == ()


def test_headings_say_unit_and_direction() -> None:
    assert METRICS["psnr"].title == "PSNR [dB] ↑"
    assert METRICS["lpips_squeeze"].title == "LPIPS-squeeze ↓"


def test_results_are_read_without_torch() -> None:
    code = (
        "import sys, bench.scoring.metrics, bench.rows, bench.record, bench.statistics, bench.tables, bench.provenance;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
