from pathlib import Path

import pytest
import torch
from torchvision.models import squeezenet1_1

from bench.scoring import networks
from bench.scoring.networks import find_networks
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

    monkeypatch.setattr(networks, "find_weights", find)
    found, kept, notices = find_networks(["psnr", "lpips_vgg", "lpips_squeeze"])
    assert list(found.lpips) == ["lpips_squeeze"]
    assert kept == ("psnr", "lpips_squeeze")
    assert notices == ["lpips_vgg is left out: no weights vgg16-397923af.pth: bring them"]
