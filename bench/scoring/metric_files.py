"""Where the weights are of the networks that metrics look with. Knows no torch."""

from collections.abc import Sequence
from pathlib import Path

from bench.downloads import METRIC_FILES
from bench.weights import WeightsMissingError, find_weights


def find_metric_files(metrics: Sequence[str], *, download: bool = True) -> tuple[dict[str, Path], list[str]]:
    """Find the weights that metrics need.

    Args:
        metrics: ids.
        download: whether weights that are not on this machine may be fetched.

    Returns:
        The files of those metrics that need one and have it, and a line for each that has none: what is missing and
        what to do.
    """
    paths: dict[str, Path] = {}
    notices = []
    for metric in metrics:
        if metric not in METRIC_FILES:
            continue
        try:
            paths[metric] = find_weights(*METRIC_FILES[metric], download=download)
        except WeightsMissingError as error:
            notices.append(f"{metric} is left out: {error}")
    return paths, notices
