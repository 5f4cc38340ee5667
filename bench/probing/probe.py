"""Probe networks, each under one test: compute what is not there yet, and write the tables."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import torch

from bench.build import data_errors
from bench.device import device_name, device_of
from bench.probing.backbone import Backbone, learn_statistics
from bench.probing.cells import Cell, Identity, LayerScore, finished, write_cell
from bench.probing.data import Data, load_data
from bench.probing.linear import Outcome, assess, collect, mean_recall
from bench.probing.request import Network, Request, check_one_layer, plan
from bench.probing.settings import Task
from bench.probing.tables import write_tables
from bench.probing.tuning import fine_tune, put_head
from bench.progress import progress, say
from bench.provenance import git_state, package_versions
from bench.statistics import bootstrap_interval

STATISTICS_BATCHES = 8
"""Batches that the BatchNorm of a random network takes its statistics from."""

Scores = tuple[LayerScore, ...]


def probe(request: Request) -> list[Cell]:
    """Compute every cell that is not there yet, write the tables of all that are, and return those asked for.

    Raises:
        MissingError: Weights or photos are not there.
        UsageError: Method, layer or dataset do not fit the test.
    """
    networks = list(plan(request))
    for network in networks:
        if network.initialisation != "trained":  # the same network: what does not fit is said before all else
            _tapped(network, request)
    cells = []
    with data_errors():
        data = load_data(request.data, request.task, request.settings.size, request.limit)
    for place, network in enumerate(networks, 1):
        identity = _identity(network, request, data)
        title = f"{network.method}, {network.initialisation} ({place} of {len(networks)})"
        cell = finished(request.out, identity)
        if cell is None:
            cell = _compute(network, identity, request, data, title)
            write_cell(request.out, cell)
        else:
            say(f"{title}: there already")
        cells.append(cell)
    write_tables(request.out)
    return cells


def _tapped(network: Network, request: Request) -> Backbone:
    """Return a network with the layers that a test looks at: for fine-tuning one, the deepest where none is named."""
    backbone = network.backbone(request)
    if request.task is not Task.linear:
        if not request.layers:
            backbone.names = (backbone.layout.deepest(),)
        check_one_layer(backbone)
    return backbone


def _identity(network: Network, request: Request, data: Data) -> Identity:
    return Identity(
        method=network.method,
        initialisation=network.initialisation,
        model=network.tree,
        weights=network.digest(),
        task=request.task,
        variant=request.variant,
        layers=request.layers,
        recipe=request.recipe,
        settings=request.settings,
        seed=request.seed,
        dataset=request.dataset,
        data=dict(data.digests),
        partial=request.limit is not None,
    )


def _compute(network: Network, identity: Identity, request: Request, data: Data, title: str) -> Cell:
    """Test one network."""
    started, began = datetime.now(UTC), time.monotonic()
    backbone = _tapped(network, request).to(device_of(0))
    if network.initialisation == "random":
        _learn_statistics(backbone, request, data)
    scores = (_linear if request.task is Task.linear else _tuned)(backbone, request, data, title)
    tested = backbone.method.networks()[backbone.layout.network]
    commit, dirty = git_state()
    return Cell(
        id=identity.digest,
        identity=identity,
        network=backbone.layout.network,
        parameters=sum(each.numel() for each in tested.parameters()),
        counts=data.counts(),
        chance=_chance(data) if request.task is Task.linear else None,
        scores=scores,
        failed=data.failed(),
        git_commit=commit,
        git_dirty=dirty,
        versions=package_versions(),
        device=device_name(),
        started_utc=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=round(time.monotonic() - began, 3),
    )


def _learn_statistics(backbone: Backbone, request: Request, data: Data) -> None:
    """Give a random network's BatchNorm the statistics of some photos to learn from."""
    size, device = request.settings.batch_size, device_of(0)
    places = list(range(len(data.learnt)))[: STATISTICS_BATCHES * size]
    learn_statistics(backbone, (batch.lab.to(device) for batch in data.learnt.batches(size, places)))


def _linear(backbone: Backbone, request: Request, data: Data, title: str) -> Scores:
    """Fit a linear classifier to each layer of a frozen network."""
    size = request.settings.batch_size
    backbone.requires_grad_(False)
    with progress(f"{title}: photos", len(data.learnt) + len(data.tested)) as advance:
        learnt = collect(backbone, data.learnt.batches(size, workers=data.workers), advance)
        tested = collect(backbone, data.tested.batches(size, workers=data.workers), advance)
    found: dict[str, Outcome] = {}
    with progress(f"{title}: classifiers", len(learnt)) as advance:
        for name in learnt:
            found[name] = assess(learnt[name], tested[name], len(data.classes), request.settings.steps)
            advance()
    return tuple(_accuracy(name, outcome) for name, outcome in found.items())


def _accuracy(layer: str, outcome: Outcome) -> LayerScore:
    right = 100 * outcome.right.double()
    low, high = bootstrap_interval(right.tolist())
    details = {
        "mean_recall": 100 * mean_recall(outcome),
        "learnt": 100 * outcome.trained,
        "penalty": outcome.penalty,
        "features": outcome.features,
    }
    n = len(right)
    return LayerScore(
        layer=layer, metric="accuracy", score=float(right.mean()), low=low, high=high, n=n, details=details
    )


def _tuned(backbone: Backbone, request: Request, data: Data, title: str) -> Scores:
    """Put a head on a network, train both, and score them."""
    settings = request.settings
    model = put_head(request.task, backbone, settings).to(device_of(0))
    with progress(f"{title}: steps", settings.steps) as advance:
        loss = fine_tune(model, data.learnt, settings, request.seed, advance, data.workers)
    scores = model.score(data.tested.batches(settings.batch_size, workers=data.workers))
    details: Mapping[str, float] = {"loss": loss, **scores}
    mean = scores.pop("mean")
    n = len(data.tested) - len(data.tested.failed)
    details = {name: value for name, value in details.items() if name != "mean"}
    return (LayerScore(layer=backbone.names[0], metric=model.metric, score=mean, n=n, details=details),)


def _chance(data: Data) -> float:
    """Return how many test photos in a hundred are of the class that most photos to learn from have."""
    classes = len(data.classes)
    learnt, tested = (torch.tensor([photo.label for photo in part.photos]) for part in (data.learnt, data.tested))
    commonest = int(torch.bincount(learnt, minlength=classes).argmax())
    return 100 * float((tested == commonest).double().mean())
