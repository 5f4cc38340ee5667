import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.scoring.states import check_state, read_state

FAULT = "a.pth does not hold the network"


def make_network() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def make_state(**changes: Tensor) -> dict[str, Tensor]:
    state = {name: torch.ones(value.shape) for name, value in make_network().state_dict().items()}
    return {**state, **{name.replace("_", "."): value for name, value in changes.items()}}


def test_counters_of_batches_may_be_lacking() -> None:
    state = make_state()
    check_state(state, make_network(), FAULT)
    del state["1.num_batches_tracked"]
    check_state(state, make_network(), FAULT)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"0_bias": torch.tensor([0, 1, torch.nan, 2])}, "1 not finite: 0.bias"),
        ({"0_bias": torch.ones(5)}, r"1 of another shape: 0.bias \(5,\), not \(4,\)"),
        ({"2_bias": torch.ones(4)}, "1 surplus: 2.bias"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Tensor], reason: str) -> None:
    with pytest.raises(UsageError, match=f"^{FAULT}: {reason}; give the published file of that name$"):
        check_state(make_state(**changes), make_network(), FAULT)


def test_missing_names_are_named() -> None:
    with pytest.raises(UsageError, match=r"6 missing: 0\.weight"):
        check_state({}, make_network(), FAULT)


class Payload:
    """Make a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.folder,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    for save in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))):
        save({"weight": torch.ones(1), "more": Payload(folder)}, tmp_path / "a.pth")
        with pytest.raises(UsageError, match=r"a\.pth cannot be read safely as a state dict: .*the published file"):
            read_state(tmp_path / "a.pth")
        assert not folder.exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.pth cannot be read: No such file"):
        read_state(tmp_path / "b.pth")
