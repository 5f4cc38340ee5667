"""The networks that metrics look at pictures with, and which metrics can be computed with those that are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from bench.downloads import METRIC_FILES
from bench.scoring.classification import load_classifier
from bench.scoring.inception import load_inception
from bench.scoring.perceptual import PREFIX, load_lpips
from bench.weights import WeightsMissingError, find_weights


@dataclass(frozen=True, slots=True)
class Networks:
    """Hold the networks of metrics, None or nothing where no metric asks for one.

    Attributes:
        lpips: by metric.
        classifier: of `classification_top1`.
        inception: of `fid`.
    """

    lpips: Mapping[str, nn.Module] = field(default_factory=dict)
    classifier: nn.Module | None = None
    inception: nn.Module | None = None

    def to(self, device: torch.device) -> "Networks":
        """Return the same networks on a device."""
        return replace(
            self,
            lpips={metric: network.to(device) for metric, network in self.lpips.items()},
            classifier=None if self.classifier is None else self.classifier.to(device),
            inception=None if self.inception is None else self.inception.to(device),
        )


def find_networks(metrics: Sequence[str], *, download: bool = True) -> tuple[Networks, tuple[str, ...], list[str]]:
    """Find the networks that metrics need.

    Args:
        metrics: ids.
        download: whether weights that are not on this machine may be fetched.

    Returns:
        The networks, those of the metrics that can be computed, and a line for each other one: what is missing and
        what to do.

    Raises:
        UsageError: A file does not hold the network that its name says.
    """
    found: dict[str, nn.Module] = {}
    notices = []
    for metric in metrics:
        if metric not in METRIC_FILES:
            continue
        try:
            path = find_weights(*METRIC_FILES[metric], download=download)
        except WeightsMissingError as error:
            notices.append(f"{metric} is left out: {error}")
        else:
            found[metric] = _load(metric, path)
    lpips = {metric: network for metric, network in found.items() if metric.startswith(PREFIX)}
    networks = Networks(lpips, found.get("classification_top1"), found.get("fid"))
    kept = tuple(metric for metric in metrics if metric not in METRIC_FILES or metric in found)
    return networks, kept, notices


def _load(metric: str, path: Path) -> nn.Module:
    if metric.startswith(PREFIX):
        return load_lpips(metric.removeprefix(PREFIX), path)
    return load_inception(path) if metric == "fid" else load_classifier(path)
