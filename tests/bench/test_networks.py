from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import squeezenet1_1

from bench import execute, prepare
from bench.plan import Places
from bench.prepare import Options
from bench.runner import run
from bench.scoring import metric_files
from bench.scoring.classification import Classifier
from bench.scoring.networks import Networks, find_networks
from bench.suite import Suite
from bench.weights import WeightsMissingError


def test_metrics_without_a_network_are_named_once_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")

    def find(*names: str, download: bool) -> Path:
        if names[0].startswith("squeeze"):
            return tmp_path / "squeeze.pth"
        raise WeightsMissingError(f"no weights {names[0]}: bring them")

    monkeypatch.setattr(metric_files, "find_weights", find)
    found, kept, notices = find_networks(["psnr", "lpips_vgg", "lpips_squeeze"])
    assert list(found.lpips) == ["lpips_squeeze"]
    assert kept == ("psnr", "lpips_squeeze")
    assert notices == ["lpips_vgg is left out: no weights vgg16-397923af.pth: bring them"]


def test_a_run_finds_weights_before_its_processes_and_says_what_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching: list[bool] = []

    def find(metrics: tuple[str, ...], *, download: bool = True) -> tuple[Networks, tuple[str, ...], list[str]]:
        fetching.append(download)
        return Networks(classifiers={"classification_top1": Classifier(nn.Identity(), nn.Identity())}), metrics, []

    for module in (prepare, execute):
        monkeypatch.setattr(module, "find_networks", find)
    dataset = {"id": "synthetic", "count": 1, "size": 32}
    suite = {"name": "tiny", "methods": ["gray"], "datasets": [dataset], "metrics": ["psnr", "classification_top1"]}
    assert run(Suite.model_validate(suite), Options(tmp_path, Places(tmp_path))) == 0
    assert fetching == [True, False]
    assert "synthetic: classification_top1 stays empty" in capsys.readouterr().err
