"""Find everything that a suite needs before its first picture is coloured: data, weights, metrics, boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import catalog
from bench.build import build_data, build_method, data_errors
from bench.catalog import Tree
from bench.errors import MissingError, UsageError
from bench.execute import Request
from bench.macs import count_gmacs
from bench.outputs import refuse_other_run
from bench.plan import Places, Run, dataset_tree, find_weights_folder, plugins_of, resolved
from bench.plugins import Plugin
from bench.progress import progress, say
from bench.provenance import canonical_digest, plugin_sources, run_id, sources_digest
from bench.scoring.classification import tell_classes
from bench.scoring.networks import find_networks
from bench.suite import Suite
from bench.suite_boxes import BoxPlace, SeenBoxes, find_boxes
from bench.weights import load_manifest, weights_digest
from datamodules.photos import PhotoSource
from datamodules.protocol import PROTOCOLS


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what the command line says about how a suite is run, but not about what it compares."""

    out: Path
    places: Places
    only: Sequence[str] = ()
    devices: int = 1
    isolate: bool = False
    timeout: float | None = None
    save_images: bool = False
    strict: bool = False
    download: bool = True
    loggers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Data:
    """Hold a dataset that was found, with its digest."""

    tree: Tree
    source: PhotoSource
    total: int
    digest: str


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what was found for one run, and the metrics that can be computed here."""

    data: Data
    weights: Path | None
    boxes: SeenBoxes | None
    metrics: tuple[str, ...]


@dataclass(slots=True)
class Job:
    """Hold one run with its request, the digests of what goes into it, and the suite that repeats it alone.

    `boxes` are those that the method sees; None for a method that looks at none.
    """

    run: Run
    request: Request
    digests: dict[str, str]
    parameters: dict[str, int]
    gmacs: float | None
    alone: Suite
    plugins: tuple[Plugin, ...] = ()
    boxes: SeenBoxes | None = None

    def config(self) -> str:
        """Return the content of `config.yaml`."""
        return yaml.safe_dump(self.alone.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def find_data(suite: Suite, runs: Sequence[Run], options: Options) -> dict[str, Data]:
    """Find each dataset that the runs need, count its pictures and compute its digest."""
    found: dict[str, Data] = {}
    for run in runs:
        name = run.dataset.name
        if name in found:
            continue
        tree = dataset_tree(run.dataset, options.places)
        source = open_source(tree, suite.protocol)
        if source is None or not source.photos:
            raise MissingError(f"dataset {name!r} has no pictures to score: check its root and split")
        total = min(len(source.photos), suite.limit or len(source.photos))
        with progress(f"digest of {name}", 1) as advance:
            found[name] = Data(tree, source, total, source.digest())
            advance()
    return found


def open_source(tree: Tree, protocol: str) -> PhotoSource | None:
    """Return the pictures that a dataset is scored on.

    Raises:
        MissingError: Its files are not there.
        UsageError: They are not what the dataset's configuration says.
    """
    with data_errors():
        return build_data(tree, protocol=protocol).source("test")


def prepare(suite: Suite, runs: Sequence[Run], options: Options) -> list[Job]:
    """Find data, weights and metrics for all runs, and detect boxes, before the first picture is coloured."""
    for run in runs:
        run.method.check_hints()
    data = find_data(suite, runs, options)
    weights = {(run.method.name, run.seed): find_weights_folder(run, options.places) for run in runs}
    metrics, notices = available_metrics(suite, download=options.download)
    notices += [line for name, found in data.items() for line in tell_classes(name, found.source, metrics)]
    for notice in notices:
        say(notice)
    boxes = {
        name: _boxes(suite, [run for run in runs if run.dataset.name == name], found, options)
        for name, found in data.items()
    }
    jobs = []
    for run in runs:
        seen = boxes[run.dataset.name].get((run.detector.name, run.seed))
        found = Found(data[run.dataset.name], weights[run.method.name, run.seed], seen, metrics)
        jobs.append(_job(suite, run, found, options))
    return jobs


def available_metrics(suite: Suite, *, download: bool) -> tuple[tuple[str, ...], list[str]]:
    """Return the suite's metrics that can be computed here, and a line for each that cannot."""
    _, kept, notices = find_networks(suite.metrics, download=download)
    return kept, notices


def _boxes(suite: Suite, runs: Sequence[Run], data: Data, options: Options) -> dict[tuple[str, int], SeenBoxes]:
    """Return the boxes of the runs of one dataset, by detector and seed."""
    dataset = runs[0].dataset.name
    wanted = [(run.detector, run.seed) for run in runs if run.detector.id != "none"]
    if any(choice.id == "annotations" for choice, _ in wanted) and not any(p.annotations for p in data.source.photos):
        say(f"{dataset} has no annotations: the detector `annotations` gives no boxes there")
    place = BoxPlace(
        folder=options.out / "boxes",
        dataset=dataset,
        data=data.tree,
        source=data.source,
        digest=data.digest,
        detectors=suite.detectors,
        limit=suite.limit,
        weights_base=options.places.suite,
    )
    return find_boxes(place, wanted)


def method_tree(run: Run, weights: Path | None) -> Tree:
    """Return the tree of a method before its seed: that of its weights, else that of its configuration."""
    tree = catalog.model_tree(run.method.id)
    return tree if weights is None else load_manifest(weights).tree(run.method.id, tree)


def _seeded(tree: Tree, run: Run) -> Tree:
    """Return the tree that the method is built from: `random` alone draws anew for each seed."""
    if run.method.id != "random":
        return tree
    return {**tree, "init_args": {**tree.get("init_args", {}), "seed": run.seed}}


def _settings(suite: Suite, run: Run, tree: Tree) -> dict[str, object]:
    """Return what a run's numbers depend on but for seed, weights, pictures and boxes: the same for all its seeds."""
    return {
        "method": {"id": run.method.id, "untrained": run.method.untrained, "hints": run.method.hints, "tree": tree},
        "batch_size": suite.batch_size,
        "precision": suite.precision,
        "limit": suite.limit,
        "protocol": PROTOCOLS[suite.protocol].digest,
        "boxes_seen": {"max_boxes": run.detector.seen_boxes, "choice": run.detector.choice},
    }


def _job(suite: Suite, run: Run, found: Found, options: Options) -> Job:
    tree = method_tree(run, found.weights)
    seeded = _seeded(tree, run)
    networks = build_method(seeded).networks()
    inputs = {
        "dataset": found.data.digest,
        "boxes": found.boxes.digest if found.boxes is not None else "",
        "weights": weights_digest(found.weights, networks) if found.weights is not None else "",
    }
    brought = plugins_of(run, found.metrics)
    settings = _settings(suite, run, tree) | ({"plugins": plugin_sources(brought)} if brought else {})
    identity = run_id({**settings, "metrics": list(found.metrics), "seed": run.seed, **inputs})
    digests = {name: digest for name, digest in inputs.items() if digest} | {"settings": canonical_digest(settings)}
    digests |= {"plugins": canonical_digest(plugin_sources(brought))} if brought else {}
    facts = {"metrics": " ".join(found.metrics), "sources": sources_digest(), "run": identity}
    return Job(
        run=run,
        request=_request(suite, run, found, options, seeded, identity),
        plugins=brought,
        digests=digests,
        parameters={name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()},
        gmacs=count_gmacs(seeded, 0 if found.boxes is None else _most_boxes(run)),
        alone=resolved(suite, run, options.places, {**digests, **facts}),
        boxes=found.boxes,
    )


def _most_boxes(run: Run) -> int:
    """Return how many boxes of a picture the method may see, errors among them."""
    one = run.detector.id == "whole-image"
    return (run.detector.model_copy(update={"max_boxes": 1}) if one else run.detector).seen_boxes


def _request(suite: Suite, run: Run, found: Found, options: Options, tree: Tree, identity: str) -> Request:
    return Request(
        run_id=identity,
        title=" ".join([run.dataset.name, run.method.name, *([run.detector.name] if found.boxes is not None else [])]),
        folder=options.out / run.folder,
        method=tree,
        weights=found.weights,
        data=found.data.tree,
        protocol=suite.protocol,
        boxes=None if found.boxes is None else found.boxes.path,
        max_boxes=run.detector.seen_boxes,
        box_choice=run.detector.choice,
        hints=run.method.hints,
        metrics=found.metrics,
        seed=run.seed,
        batch_size=suite.batch_size,
        precision=suite.precision,
        limit=suite.limit,
        total=found.data.total,
        save_images=options.save_images,
    )


def check_unchanged(job: Job, suite: Suite) -> None:
    """Refuse to go on where what is to be run is not what stands in the folder, or not what the suite expects.

    Raises:
        UsageError: Names the digests that differ.
    """
    wrong = [
        key for key in ("dataset", "boxes", "weights") if suite.expected.get(key, "") not in {"", job.digests.get(key)}
    ]
    if wrong:
        raise UsageError(
            f"{job.run.folder}: {' and '.join(wrong)} differ from what the configuration expects; give the same "
            "--data-root and COLORBENCH_WEIGHTS as then, or delete its `expected:` to compare anew"
        )
    refuse_other_run(job.request.folder, job.request.run_id, job.config())
