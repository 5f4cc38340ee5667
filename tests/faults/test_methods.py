"""Methods that run out of memory, or answer with what is no colour: each costs its own pictures and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.plan import Places
from bench.prepare import Options
from bench.rows import Row, read_rows
from bench.runner import run
from bench.suite import Suite
from bench.tables import read_table
from datamodules.types import GrayBatch
from lightning_modules.baselines.gray import GrayColorizer

Answer = Callable[[torch.Tensor], Any]


def spoil(value: float) -> Answer:
    """Return a function that puts a value into one pixel."""

    def answer(chroma: torch.Tensor) -> torch.Tensor:
        spoilt = chroma.clone()
        spoilt[0, 0, 5, 7] = value
        return spoilt

    return answer


def fail(error: Exception) -> Answer:
    """Return a function that raises an error."""

    def answer(chroma: torch.Tensor) -> torch.Tensor:
        raise error

    return answer


ANSWERS: dict[str, tuple[Answer, str]] = {
    "grey": (lambda chroma: chroma, "ok"),
    "half precision": (lambda chroma: chroma.half(), "ok"),
    "out of the gamut": (spoil(9_999.0), "ok"),
    "no number": (spoil(float("nan")), "error-nonfinite"),
    "endless": (spoil(float("-inf")), "error-nonfinite"),
    "beyond any colour": (spoil(3e38), "error-nonfinite"),
    "nothing": (lambda chroma: None, "error-method"),
    "three channels": (lambda chroma: torch.cat([chroma, chroma[:, :1]], 1), "error-method"),
    "channels last": (lambda chroma: chroma.permute(0, 2, 3, 1), "error-method"),
    "too many pictures": (lambda chroma: torch.cat([chroma, chroma]), "error-method"),
    "an array": (lambda chroma: chroma.numpy(), "error-method"),
    "complex numbers": (lambda chroma: chroma.to(torch.complex64), "error-method"),
    "an error": (fail(KeyError("a\nb")), "error-method"),
    "an error without words": (fail(ValueError()), "error-method"),
    "an error of the system": (fail(FileNotFoundError(2, "No such file", "/home/jane/model.bin")), "error-method"),
    "an error that is no error": (fail(StopIteration()), "error-method"),
    "no memory on the GPU": (fail(torch.OutOfMemoryError("CUDA out of memory")), "error-memory"),
    "no memory": (fail(MemoryError()), "error-memory"),
}


def compare(out: Path, answer: Callable[[GrayBatch, torch.Tensor], Any], protocol: str, count: int) -> dict[str, Row]:
    """Run a method that answers so beside a sound one, and return its rows."""
    colorize = GrayColorizer.colorize
    data = [{"id": "synthetic", "count": count, "size": 32}]
    fields = {"name": "odd-v1", "methods": ["gray", "random"], "datasets": data, "metrics": ["psnr"]}
    suite = Suite.model_validate({**fields, "protocol": protocol, "batch_size": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GrayColorizer, "colorize", lambda self, gray: answer(gray, colorize(self, gray)))
        failed = run(suite, Options(out, Places(out), download=False))
    rows = read_rows(out / "runs/synthetic/gray--none--s0")
    assert failed == sum(row.failed for row in rows.values())
    assert {row.status for row in read_rows(out / "runs/synthetic/random--none--s0").values()} == {"ok"}
    return rows


def test_every_wrong_answer_costs_its_own_picture(tmp_path: Path) -> None:
    named = dict(zip(ANSWERS, ["?"] * len(ANSWERS), strict=True))
    order = iter(ANSWERS)
    given: dict[str, str] = {}

    def answer(gray: GrayBatch, chroma: torch.Tensor) -> Any:
        (key,) = gray.key
        name = given.setdefault(key, "") or given.update({key: next(order)}) or given[key]
        return ANSWERS[name][0](chroma)

    rows = compare(tmp_path, answer, "native-v1", len(ANSWERS))
    named.update({given[key]: row.status for key, row in rows.items()})
    assert named == {name: status for name, (_, status) in ANSWERS.items()}
    assert all(bool(row.message) == row.failed for row in rows.values())
    sound = sum(status == "ok" for _, status in ANSWERS.values())
    board = [line for line in read_table(tmp_path / "leaderboard.csv") if line["level"] == "image"]
    assert {line["method"]: line["n"] for line in board} == {"gray": str(sound), "random": str(len(ANSWERS))}


def test_a_batch_that_memory_does_not_hold_is_taken_picture_by_picture(tmp_path: Path) -> None:
    seen: list[int] = []

    def answer(gray: GrayBatch, chroma: torch.Tensor) -> torch.Tensor:
        seen.append(len(gray))
        if len(gray) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB")
        return chroma

    rows = compare(tmp_path, answer, "stretch256-v1", 2)
    assert {row.status for row in rows.values()} == {"ok"}
    assert seen == [2, 1, 1]
