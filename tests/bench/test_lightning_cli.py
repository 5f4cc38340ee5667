"""Lightning's own command line over the catalog: training, reloading, methods that have nothing to train."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.callbacks import Draws
from bench.errors import UsageError
from bench.lightning_cli import run_lightning
from lightning_modules.baselines.colorgan import ColorGanColorizer
from lightning_modules.stages.full import FullColorizer

pytestmark = [
    pytest.mark.filterwarnings("ignore:::pytorch_lightning"),
    pytest.mark.filterwarnings("ignore:::jsonargparse"),
]
SCENES = ["--data.size=32", "--data.train=2", "--data.val=1", "--data.test=2", "--data.batch_size=1"]
SMALL = ["--model.full.width=0.0625", "--model.input_size=32"]
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.fixture
def lightning(tmp_path: Path) -> Any:
    """Return a function that runs a subcommand on small scenes and returns the CLI."""

    def call(*arguments: str) -> Any:
        return run_lightning([*arguments, *SCENES, *QUIET, f"--trainer.default_root_dir={tmp_path}"])

    return call


def test_a_checkpoint_of_fit_reloads_what_was_swapped_in(lightning: Any, tmp_path: Path) -> None:
    loss = ["--model.loss=torch.nn.L1Loss", "--trainer.max_steps=1", "--trainer.logger=false"]
    cli = lightning("fit", "--model=instcolor-full", "--data=synthetic", *SMALL, *loss)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    again = FullColorizer.load_from_checkpoint(checkpoint, weights_only=True, map_location="cpu")
    assert isinstance(again.objective, torch.nn.L1Loss)
    assert again.input_size == 32
    for name, value in cli.model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_fit_trains_both_sides_of_a_gan_and_counts_batches(lightning: Any, tmp_path: Path) -> None:
    model = ["--model=colorgan", "--model.generator.width=0.0625", "--model.discriminator.width=0.0625"]
    small = ["--model.generator.shape=cifar10", "--model.input_size=32", "--trainer.logger=false"]
    cli = lightning("fit", *model, "--data=synthetic", *small, "--trainer.max_steps=2")
    assert cli.trainer.global_step == 2
    assert {"train/absolute", "train/discriminator_real", "val/absolute"} <= set(cli.trainer.callback_metrics)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    again = ColorGanColorizer.load_from_checkpoint(checkpoint, weights_only=True, map_location="cpu")
    for name, value in cli.model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_fit_begins_from_imagenet_weights_and_seeds_its_steps(
    lightning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, part = nn.Sequential(nn.Conv2d(3, 64, 3)), nn.Sequential(nn.Conv2d(3, 64, 3))
    state = {f"features.{key}": tensor for key, tensor in published.state_dict().items()}
    torch.save(state, tmp_path / "vgg16-397923af.pth")
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(FullColorizer, "pretrained", lambda self: {"vgg16": part})
    short = ["--trainer.max_steps=1", "--trainer.logger=false", "--seed_everything=5"]
    cli = lightning("fit", "--model=instcolor-full", "--data=synthetic", *SMALL, *short)
    assert all(torch.equal(tensor, state[f"features.{key}"]) for key, tensor in part.state_dict().items())
    assert [each.seed for each in cli.trainer.callbacks if isinstance(each, Draws)] == [5]


def test_fit_refuses_what_imagenet_weights_do_not_fit_unless_it_is_to_do_without(lightning: Any) -> None:
    small = ["--model=dahl-2016", "--model.network.width=0.0625", "--model.input_size=32", "--data=synthetic"]
    short = ["--trainer.max_steps=1", "--trainer.logger=false"]
    with pytest.raises(UsageError, match=r"DahlColorizer cannot begin from torchvision's vgg16.*--pretrained false"):
        lightning("fit", *small, *short)
    assert lightning("fit", *small, *short, "--pretrained=false").trainer.global_step == 1


@pytest.mark.parametrize("weighting", ["mask", "learned"])
def test_the_data_gives_masks_to_a_method_that_weighs_by_them(lightning: Any, weighting: str) -> None:
    networks = [f"--model.{name}.width=0.0625" for name in ("full", "instance", "fusion")]
    sizes = ["--model.input_size=32", "--model.crop_size=32", "--trainer.max_steps=1", "--trainer.logger=false"]
    model = ["--model=instcolor-fusion", f"--model.weighting={weighting}"]
    cli = lightning("fit", *model, "--data=synthetic", *networks, *sizes)
    assert cli.trainer.global_step == 1
    assert cli.datamodule.masks is (weighting == "mask")


@pytest.mark.parametrize("method", ["gray", "random"])
@pytest.mark.parametrize("stage", ["test", "predict"])
def test_a_method_without_networks_needs_no_fit(lightning: Any, method: str, stage: str) -> None:
    cli = lightning(stage, "--model", method, "--data", "synthetic", "--trainer.logger=false")
    assert bool(getattr(cli.model, "bank_keys", ())) == (method == "random")
