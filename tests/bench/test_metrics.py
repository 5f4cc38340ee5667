import subprocess
import sys

import pytest

from bench.scoring.metrics import METRICS, Metric


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.id)
def test_each_metric_is_described_in_full(metric: Metric) -> None:
    assert METRICS[metric.id] is metric
    assert metric.name
    assert metric.definition
    assert metric.source
    assert metric.levels
    assert metric.decimals > 0


def test_the_promised_metrics_are_there_in_the_order_of_tables() -> None:
    promised = ["psnr", "ssim", "lpips_alex", "lpips_vgg", "lpips_squeeze"]
    assert [metric for metric in METRICS if metric in promised] == promised


def test_headings_say_unit_and_direction() -> None:
    assert METRICS["psnr"].title == "PSNR [dB] ↑"
    assert METRICS["lpips_squeeze"].title == "LPIPS-squeeze ↓"


def test_results_are_read_without_torch() -> None:
    code = (
        "import sys, bench.scoring.metrics, bench.rows, bench.record, bench.statistics, bench.tables, bench.provenance;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
