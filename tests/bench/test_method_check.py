"""The check of a method before a long run: what holds, what does not, and what is only told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import catalog, method_check
from bench.build import build_method
from bench.catalog import with_settings
from bench.manifest import save_weights
from bench.method_check import Check, check_method, check_named, joined, lines, load, made_batch
from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.baselines.gray import GrayColorizer

Answer = Callable[[Tensor], Any]


class Answering(Colorizer):
    """Answer with what a test says, given the light."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, gray: GrayBatch) -> Any:
        return self.answer(gray.light)


class Learner(Colorizer):
    """Learn the factors of a* and b*."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(1, 2, 1)

    def networks(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def colorize(self, gray: GrayBatch) -> Tensor:
        chroma: Tensor = self.network(gray.light)
        return chroma

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        return {"loss": (self(batch.gray) - batch.chroma).abs().mean()}


class Forgetful(Learner):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(1, 1)


class Deaf(Learner):
    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        return {"loss": torch.zeros((), requires_grad=True) * 1.0}


class Nameless(Learner):
    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        return {"error": super().loss(batch)["loss"]}


def doubled(light: Tensor) -> Tensor:
    """Return two channels in the place of one."""
    return torch.cat([light, light], 1) / 10


def failed(model: Colorizer) -> dict[str, str]:
    return {check.name: check.found for check in check_method(model.eval()) if check.passed is False}


ANSWERS: dict[str, tuple[Answer, str, str]] = {
    "one channel": (lambda light: light, "answers", "wanted floats of (B, 2, H, W)"),
    "channels last": (lambda light: doubled(light).permute(0, 2, 3, 1), "answers", "wanted floats"),
    "half the size": (lambda light: doubled(light)[..., ::2, ::2], "answers", "wanted floats"),
    "whole numbers": (lambda light: doubled(light).int(), "answers", "torch.int32"),
    "nothing": (lambda light: None, "answers", "NoneType"),
    "an error": (lambda light: light.view(-5), "answers", "raised RuntimeError"),
    "no number": (lambda light: doubled(light) * float("nan"), "finite", "no finite numbers"),
    "beyond any colour": (lambda light: doubled(light) * 100, "chroma", "CIE units are wanted"),
    "another one each time": (lambda light: doubled(torch.rand_like(light) * 100), "same twice", "differ by up to"),
    "its own input": (lambda light: doubled(light.mul_(0.5)), "leaves its input alone", "work on a copy"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_does_not_hold_is_named_with_what_was_wanted(name: str) -> None:
    answer, check, said = ANSWERS[name]
    found = failed(Answering(answer))
    assert check in found
    assert said in found[check]


def test_a_method_that_holds_passes_everything() -> None:
    checks = joined(check_method(Learner().eval()))
    assert all(check.passed is not False for check in checks)
    names = [check.name for check in checks]
    assert names == [*dict.fromkeys(names)], "each is told once"
    told = {check.name: check.found for check in checks}
    assert told["parameters"] == "network 4"
    assert "3 of 64 x 64" in told["answers"]
    assert "1 of 83 x 61" in told["answers"]
    assert failed(GrayColorizer()) == {}


@pytest.mark.parametrize(
    ("model", "check", "said"),
    [
        (Forgetful, "saves what it learns", "other.weight is in no part of networks()"),
        (Deaf, "learns", "reaches no network"),
        (Nameless, "learns", "finite scalar `loss`"),
    ],
)
def test_a_learner_that_would_learn_nothing_is_named(model: type[Colorizer], check: str, said: str) -> None:
    assert said in failed(model())[check]


def test_pictures_of_a_batch_that_have_to_do_with_each_other_are_told_of() -> None:
    checks = list(check_method(Answering(lambda light: doubled(light - light.mean())).eval()))
    (alone,) = [check for check in checks if check.name == "alone as in a batch"]
    assert alone.passed is None
    assert "have to do with each other" in alone.found


def test_boxes_go_to_methods_that_look_at_them() -> None:
    tree = with_settings(catalog.model_tree("instcolor-instance"), {"width": 1 / 16, "input_size": 32, "crop_size": 32})
    batch = made_batch(build_method(tree), (64, 48), (0, 1, 8))
    assert [len(boxes) for boxes in batch.boxes] == [0, 1, 8]
    assert batch.crops.shape == (9, 1, 32, 32)
    for boxes in batch.boxes:
        assert bool((boxes.xyxy[:, :2] < boxes.xyxy[:, 2:]).all())
        assert bool((boxes.xyxy <= torch.tensor([48, 64, 48, 64])).all())
    assert [len(boxes) for boxes in made_batch(GrayColorizer(), (64, 48), (0, 8)).boxes] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name, card in catalog.shipped_methods().items() if card.trainable])
def test_our_own_methods_hold(method: str) -> None:
    torch.manual_seed(0)
    small = {"width": 1 / 16, "input_size": 32, "crop_size": 32, "global_size": 32}
    model = build_method(with_settings(catalog.model_tree(method), small))
    assert failed(model) == {}


def test_the_weights_that_are_named_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = with_settings(catalog.model_tree("zhang-siggraph17"), {"width": 1 / 16, "input_size": 32})
    network = build_method(tree).networks()["network"]
    save_weights("zhang-siggraph17", tree, {"network": network}, tmp_path)
    loaded = load("zhang-siggraph17", str(tmp_path)).networks()["network"].state_dict()
    assert all(torch.equal(value, loaded[name].cpu()) for name, value in network.state_dict().items())
    assert capsys.readouterr().err == ""


def test_the_command_ends_with_what_does_not_hold(colorbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_check, "load", lambda method, weights: Answering(lambda light: light).eval())
    status, output, errors = colorbench("check", "gray")
    assert status == 1
    assert [line.split()[1] for line in output.splitlines() if line.startswith("FAILED")] == ["answers"]
    assert "correct what is marked FAILED" in errors.replace("\n", " ")
    status, _, errors = colorbench("check", "grey")
    assert status == 2
    assert "did you mean gray" in errors


def test_lines_are_marked() -> None:
    made = [Check("a", True, "x"), Check("b", False, "y"), Check("c", None, "z")]
    assert [line.split() for line in lines(made)] == [["ok", "a", "x"], ["FAILED", "b", "y"], ["-", "c", "z"]]
    assert check_named("gray", None)[0].name == "parameters"
