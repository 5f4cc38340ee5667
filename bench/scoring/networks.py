"""The networks that metrics look at pictures with, and which metrics can be computed with those that are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from bench.downloads import METRIC_FILES
from bench.scoring.classification import Classifier, load_classifier
from bench.scoring.classifiers import CLASSIFIERS
from bench.scoring.inception import load_inception
from bench.scoring.metric_files import find_metric_files
from bench.scoring.perceptual import PREFIX, load_lpips


@dataclass(frozen=True, slots=True)
class Networks:
    """Hold the networks of metrics, None or nothing where no metric asks for one.

    Attributes:
        lpips: by metric.
        classifiers: by metric, of `classification_top1` and its variants.
        inception: of `fid`.
    """

    lpips: Mapping[str, nn.Module] = field(default_factory=dict)
    classifiers: Mapping[str, Classifier] = field(default_factory=dict)
    inception: nn.Module | None = None

    def to(self, device: torch.device) -> "Networks":
        """Return the same networks on a device."""
        return replace(
            self,
            lpips={metric: network.to(device) for metric, network in self.lpips.items()},
            classifiers={metric: classifier.to(device) for metric, classifier in self.classifiers.items()},
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
    paths, notices = find_metric_files(metrics, download=download)
    networks = Networks(
        lpips={name: load_lpips(name.removeprefix(PREFIX), paths[name]) for name in paths if name.startswith(PREFIX)},
        classifiers={name: load_classifier(name, paths[name]) for name in paths if name in CLASSIFIERS},
        inception=load_inception(paths["fid"]) if "fid" in paths else None,
    )
    kept = tuple(metric for metric in metrics if metric not in METRIC_FILES or metric in paths)
    return networks, kept, notices
