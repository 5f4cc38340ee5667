"""Nothing in a file is executed: pickles, YAML tags, class paths."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.build import build_data, build_method, instantiate
from bench.catalog import model_tree, read_yaml, with_settings
from bench.errors import CommandError, UsageError
from bench.importing import import_weights
from bench.lightning_cli import run_lightning
from bench.manifest import save_weights
from bench.plan import Places, training_tree
from bench.scoring.perceptual import read_backbone
from bench.weights import load_manifest, load_networks
from lightning_modules.base import Colorizer
from lightning_modules.detectors.mask_rcnn import MaskRcnnDetector

pytestmark = [
    pytest.mark.filterwarnings("ignore:::pytorch_lightning"),
    pytest.mark.filterwarnings("ignore:::jsonargparse"),
]


class Payload:
    """Make a file, `executed`, wherever this is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (Path("executed"),)


@pytest.fixture(autouse=True)
def nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Work in an empty folder, and look at the end whether anything was executed there."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("executed").exists()


def evil_checkpoint(path: Path) -> Path:
    """Write a checkpoint of Lightning's form that runs code where it is unpickled."""
    state = {"pytorch-lightning_version": "2.6.6", "epoch": 0, "global_step": 0, "loops": {}, "callbacks": {}}
    torch.save({**state, "state_dict": {}, "optimizer_states": [], "hyper_parameters": {"a": Payload()}}, path)
    return path


READERS: dict[str, Callable[[Path], object]] = {
    "the backbone of LPIPS": read_backbone,
    "an import": lambda path: import_weights("zhang-eccv16", [path], Path("out")),
    "Mask R-CNN": MaskRcnnDetector,
    "load_from_checkpoint": lambda path: Colorizer.load_from_checkpoint(path, map_location="cpu"),
    "torch": lambda path: torch.load(path, weights_only=True),
}


def test_the_payload_works(tmp_path: Path) -> None:
    torch.load(evil_checkpoint(tmp_path / "evil.pth"), weights_only=False)
    assert Path("executed").exists()
    Path("executed").unlink()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_pickles_are_refused(reader: Callable[[Path], object], tmp_path: Path) -> None:
    path = evil_checkpoint(tmp_path / "evil.pth")
    with pytest.raises(Exception, match=r"(?i)weights|evil\.pth"):
        reader(path)


QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]
SCENES = ["--data=synthetic", "--data.size=32", "--data.train=1", "--data.val=1", "--data.test=1"]


def test_lightnings_command_line_executes_no_checkpoint(tmp_path: Path) -> None:
    path = evil_checkpoint(tmp_path / "evil.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        run_lightning(["test", "--model=gray", *SCENES, *QUIET, f"--ckpt_path={path}"])


HOSTILE = {
    "a tag": "model: !!python/object/apply:pathlib.Path.touch [executed]",
    "a module": "model: {class_path: os.system, init_args: {command: touch executed}}",
    "a module of ours": "model: {class_path: bench.tracking.os.system, init_args: {command: touch executed}}",
    "a callback": "trainer: {callbacks: [{class_path: subprocess.Popen, init_args: {args: [touch, executed]}}]}",
    "a loss": "model: {class_path: lightning_modules.stages.full.FullColorizer, init_args: {loss: os.system}}",
    "aliases": "a: &a [1,1,1]\n" + "\n".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)),
    "keys that stand twice": "trainer: {max_steps: 1, max_steps: 2}",
    "nesting": "[" * 500,
}
HOSTILE["aliases"] = HOSTILE["aliases"].replace("*a0", "*a")


@pytest.mark.parametrize("name", HOSTILE)
def test_lightnings_command_line_refuses(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(HOSTILE[name])
    with pytest.raises(SystemExit) as end:
        run_lightning(
            ["test", "--config=config.yaml", *([] if "model" in HOSTILE[name] else ["--model=gray"]), *SCENES]
        )
    assert end.value.code == 2
    assert "error: " in capsys.readouterr().err


PATHS = ("os.system", "bench.tracking.os.system", "datamodules.images.os.system", "bench.detection.subprocess.Popen",
         "lightning_modules.detectors.yolo.importlib.import_module", "builtins.exec", "torch.hub.load", "torch.load",
         "pytorch_lightning.Trainer", "lightning.pytorch.LightningModule", "../../evil", "", "executed")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_class_paths_are_those_of_the_list(path: str) -> None:
    tree = {"class_path": path, "init_args": {"command": "touch executed", "args": ["touch", "executed"]}}
    with pytest.raises(UsageError, match="cannot build"):
        build_method(tree)
    with pytest.raises(UsageError, match="cannot build"):
        build_data(tree)
    with pytest.raises(UsageError, match="cannot build"):
        instantiate(tree, nn.Module)


@pytest.mark.parametrize("name", [name for name in HOSTILE if "model" not in HOSTILE[name][:5]])
def test_other_yaml_is_as_plain(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(HOSTILE[name])
    with pytest.raises(CommandError):
        build_data(training_tree("data.yaml", Places(tmp_path)))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of tiny weights."""
    folder = tmp_path_factory.mktemp("weights")
    tree = with_settings(model_tree("instcolor-full"), {"width": 0.0625, "input_size": 32})
    save_weights("instcolor-full", tree, build_method(tree).networks(), folder)
    return folder


EDITS = {
    "another class": ("lightning_modules.networks.siggraph.SiggraphNet", "bench.tracking.os.system"),
    "a file above": ("full.safetensors", "../full.safetensors"),
    "an absolute file": ("full.safetensors", "/etc/passwd"),
    "a senseless width": ("0.0625", "1e300"),
    "no JSON": ("{", "["),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_manifest_builds_nothing(name: str, weights: Path, tmp_path: Path) -> None:
    shutil.copytree(weights, tmp_path / "weights")
    path = tmp_path / "weights" / "weights.json"
    text = path.read_text()
    assert EDITS[name][0] in text
    path.write_text(text.replace(*EDITS[name]))
    with pytest.raises(CommandError):
        load(path.parent)


def load(folder: Path) -> None:
    """Build a method as its weights folder says, and load it."""
    tree = load_manifest(folder).tree("instcolor-full", model_tree("instcolor-full"))
    load_networks(build_method(tree).networks(), folder)


def test_a_module_beside_the_data_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("evil.Method", "bench.evil.Method", "datamodules.evil"):
        with pytest.raises(UsageError, match="cannot build"):
            build_method({"class_path": name})
    assert "evil" not in sys.modules


def test_yaml_gives_plain_values_only(tmp_path: Path) -> None:
    for tag in ("!!python/object/apply:os.getcwd []", "!!python/name:os.system", "!!python/module:evil", "!evil x"):
        (tmp_path / "a.yaml").write_text(f"a: {tag}")
        with pytest.raises(UsageError, match="could not determine a constructor"):
            read_yaml(tmp_path / "a.yaml")
