"""`colorbench check`: try a method on a few made pictures before a long run, and say what does not hold."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import catalog
from bench.build import build_data, build_method, lend_photos
from bench.progress import say
from bench.speed import with_hints
from bench.weights import find_method_weights, load_manifest, load_networks
from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.adversarial import AdversarialTraining
from lightning_modules.base import Colorizer

SIZE = (64, 64)
COUNTS = (0, 1, 2)
"""Boxes of the pictures of a batch."""

ODD_SIZE = (83, 61)
USUAL_SIZE = (256, 256)
FEW_SCENES = {"train": 8, "val": 2, "test": 2, "size": 64, "train_size": 32}
LARGEST_CHROMA = 150.0
"""No colour of sRGB has an a* or b* beyond 108; a network may overshoot."""

SAME = 1e-3
"""CIE units below which two answers are taken for the same."""


@dataclass(frozen=True, slots=True)
class Check:
    """Hold what was looked at and found; `passed` is None for what is only told."""

    name: str
    passed: bool | None
    found: str


def load(method: str, weights: str | None) -> Colorizer:
    """Build a method for a trial: with weights where they are named, else as it is built, which says so.

    Raises:
        UsageError: It cannot be built, or the weights are not its own.
        MissingError: The weights are not there.
    """
    card = catalog.methods()[catalog.known("method", method, catalog.methods())]
    if weights is None:
        if card.trainable:
            say(f"{method} has no weights here: tried with random ones; name a folder with --weights")
        model = lend_photos(build_method(catalog.model_tree(method)))
    else:
        folder = find_method_weights(weights, method)
        model = build_method(load_manifest(folder).tree(method))
        load_networks(model.networks(), folder)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def made_batch(model: Colorizer, size: tuple[int, int], counts: tuple[int, ...]) -> GrayBatch:
    """Return seeded pictures of (height, width), one for each number of boxes in `counts`."""
    draw = torch.Generator().manual_seed(0)
    height, width = size
    ramp = torch.linspace(20, 80, width).expand(len(counts), 1, height, width)
    light = (ramp + 20 * torch.rand(len(counts), 1, height, width, generator=draw)).contiguous()
    counts = counts if model.uses_boxes else (0,) * len(counts)
    boxes = tuple(_made_boxes(size, count, draw, masks=model.uses_masks) for count in counts)
    side = model.crop_size if model.uses_boxes else None
    crops = 100 * torch.rand(sum(counts) if side else 0, 1, side or 1, side or 1, generator=draw)
    keys = tuple(f"made-{index}" for index in range(len(counts)))
    return with_hints(GrayBatch(keys, light, boxes, crops), model).to(model.device)


def _made_boxes(size: tuple[int, int], count: int, draw: torch.Generator, *, masks: bool) -> Boxes:
    height, width = size
    scale = torch.tensor([width, height, width, height])
    corner = torch.rand(count, 2, generator=draw) / 2
    xyxy = torch.cat([corner, corner + 0.25 + torch.rand(count, 2, generator=draw) / 4], 1) * scale
    mask = torch.ones(count, height, width, dtype=torch.bool) if masks else None
    return Boxes(xyxy, torch.linspace(1, 0.8, count), torch.ones(count, dtype=torch.int64), size, mask)


def check_method(model: Colorizer) -> Iterator[Check]:
    """Yield all checks of a method, one after another."""
    yield from _check_parameters(model)
    yield from _check_answer(model, made_batch(model, SIZE, COUNTS))
    yield from _check_answer(model, made_batch(model, ODD_SIZE, (1,)))
    yield from _tried("same twice", lambda: _check_again(model))
    if type(model).loss is not Colorizer.loss:
        yield from _tried("learns", lambda: [_check_loss(model)])
    yield from _tried("time", lambda: [_measure(model)])


def _tried(name: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Yield the outcome of checks; an error of the method is one that did not hold."""
    try:
        yield from check()
    except Exception as error:
        yield Check(name, False, f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _check_parameters(model: Colorizer) -> Iterator[Check]:
    parts = {name: sum(one.numel() for one in part.parameters()) for name, part in model.networks().items()}
    kept = [*model.networks().values()]
    if isinstance(model, AdversarialTraining):
        kept += model.discriminators().values()  # which only checkpoints hold
    saved = {id(one) for part in kept for one in part.parameters()}
    lost = [name for name, one in model.named_parameters() if id(one) not in saved and one.requires_grad]
    told = ", ".join(f"{name} {count:,}" for name, count in parts.items()) or "none"
    yield Check("parameters", None, told)
    if lost:
        yield Check("saves what it learns", False, f"{lost[0]} is in no part of networks(), so it is never saved")


def _check_answer(model: Colorizer, batch: GrayBatch) -> Iterator[Check]:
    """Check the answer to one batch, as a run would take it."""
    height, width = batch.light.shape[-2:]
    boxes = f", {' and '.join(str(len(each)) for each in batch.boxes)} boxes" if model.uses_boxes else ""
    where = f"{len(batch)} of {height} x {width}{boxes}"
    given = deepcopy(batch)
    try:
        answer = _answer(model, batch)
    except Exception as error:
        reason = f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        yield Check("answers", False, f"{where}: {reason}")
        return
    wanted = (len(batch), 2, height, width)
    if not isinstance(answer, Tensor) or answer.shape != wanted or not answer.is_floating_point():
        shape = f"{tuple(answer.shape)} {answer.dtype}" if isinstance(answer, Tensor) else type(answer).__name__
        yield Check("answers", False, f"{where}: {shape}, wanted floats of (B, 2, H, W) = {wanted}")
        return
    yield Check("answers", True, f"{where}: (B, 2, H, W)")
    yield from _check_values(answer)
    kept = _is_same(batch, given)
    yield Check("leaves its input alone", kept, "" if kept else "light, crops or boxes were changed: work on a copy")


def _check_values(answer: Tensor) -> Iterator[Check]:
    if not bool(answer.isfinite().all()):
        yield Check("finite", False, f"{int((~answer.isfinite()).sum())} values are no finite numbers")
        return
    largest = float(answer.abs().max())
    told = f"a* and b* within {largest:.1f}"
    if largest > LARGEST_CHROMA:
        yield Check("chroma", False, f"{told}: CIE units are wanted, where no colour of a screen is beyond 108")
        return
    hint = "; if that is a share of something: CIE units are wanted, about -110 to 110" if 0 < largest <= 1.5 else ""
    yield Check("chroma", True, f"{told}{hint}")


def _answer(model: Colorizer, batch: GrayBatch) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = model(batch)
    return answer


def _is_same(one: GrayBatch, other: GrayBatch) -> bool:
    tensors = torch.equal(one.light, other.light) and torch.equal(one.crops, other.crops)
    return tensors and all(torch.equal(a.xyxy, b.xyxy) for a, b in zip(one.boxes, other.boxes, strict=True))


def _check_again(model: Colorizer) -> Iterator[Check]:
    """Check that a picture gets the same answer twice, and tell how far that is from its answer in a batch."""
    batch = made_batch(model, SIZE, (1, 0))
    guide = None if batch.guide is None else batch.guide[:1]
    first = GrayBatch(batch.key[:1], batch.light[:1], batch.boxes[:1], batch.crops, guide)
    alone, again = _answer(model, deepcopy(first)), _answer(model, deepcopy(first))
    difference = float((alone - again).abs().max())
    found = f"answers differ by up to {difference:.1g}: let draws follow from the key alone"
    yield Check("same twice", difference <= SAME, "" if difference <= SAME else found)
    difference = float((alone - _answer(model, batch)[:1]).abs().max())
    same = "the same" if difference <= SAME else "the pictures of a batch have to do with each other"
    yield Check("alone as in a batch", None, f"differs by up to {difference:.1g}: {same}")


def _made_chroma(light: Tensor) -> Tensor:
    """Return chroma beside light (B, 1, H, W): from green and blue on the left to red and yellow on the right."""
    ramp = torch.linspace(-40, 40, light.shape[-1], device=light.device)
    return ramp.expand(len(light), 2, *light.shape[-2:]).contiguous()


def _check_loss(model: Colorizer) -> Check:
    """Check that the loss is a finite scalar by the name `loss` whose gradient reaches the networks."""
    gray = made_batch(model, SIZE, (1, 1))
    rgb = torch.zeros(len(gray), 3, *SIZE, dtype=torch.uint8, device=model.device)
    truth, crops = _made_chroma(gray.light), _made_chroma(gray.crops)
    label = torch.full((len(gray),), -1, device=model.device)
    learner = deepcopy(model).train()
    learner.inherit(frozenset())
    if type(model).prepare_training is not Colorizer.prepare_training:
        learner.prepare_training(build_data(catalog.data_tree("synthetic"), **FEW_SCENES))
    parts: Mapping[str, Tensor] = learner.loss(ColorBatch(gray, truth, crops, rgb, label, (SIZE,) * len(gray)))
    if "loss" not in parts or parts["loss"].ndim or not bool(parts["loss"].isfinite()):
        return Check("learns", False, "loss() has to return a mapping with a finite scalar `loss`")
    parts["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    weights = [one for part in learner.networks().values() for one in part.parameters() if one.requires_grad]
    reached = any(one.grad is not None and bool(one.grad.any()) for one in weights)
    found = f"loss {parts['loss'].item():.4g}" if reached else "the gradient of the loss reaches no network"
    return Check("learns", reached, found)


def _measure(model: Colorizer) -> Check:
    """Tell the time of a picture of the usual size, which is not the first that the method sees."""
    batch = made_batch(model, USUAL_SIZE, (COUNTS[-1],))
    began = time.perf_counter()
    _answer(model, batch).cpu()
    seconds = time.perf_counter() - began
    boxes = f", {COUNTS[-1]} boxes," if model.uses_boxes else ""
    return Check("time", None, f"{1000 * seconds:.1f} ms for a picture of 256 x 256{boxes} on {model.device.type}")


def joined(checks: Iterable[Check]) -> list[Check]:
    """Return the checks with those of one name that passed as one."""
    found: dict[tuple[str, bool | None], list[str]] = {}
    for check in checks:
        said = found.setdefault((check.name, check.passed), [])
        if check.found and check.found not in said:
            said.append(check.found)
    return [Check(name, passed, "; ".join(said)) for (name, passed), said in found.items()]


def check_named(method: str, weights: str | None) -> list[Check]:
    """Check a method by its id; for errors see `load`."""
    return joined(check_method(load(method, weights)))


def lines(checks: Iterable[Check]) -> Iterator[str]:
    """Yield a line for each check, those that do not hold marked."""
    marks = {True: "ok", False: "FAILED", None: "-"}
    for check in checks:
        yield f"{marks[check.passed]:<7} {check.name:<24} {check.found}".rstrip()
