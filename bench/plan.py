"""From a suite to the list of its runs, with every file that they need found before anything is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import catalog
from bench.catalog import Tree
from bench.detection import find_detector_weights
from bench.errors import CommandError, MissingError
from bench.plugins import Plugin
from bench.scoring.metrics import METRICS
from bench.suite import DatasetChoice, DetectorChoice, MethodChoice, Suite
from bench.weights import find_method_weights

NO_DETECTOR = DetectorChoice(id="none")


@dataclass(frozen=True, slots=True)
class Run:
    """Name one method with one detector on one dataset with one seed."""

    method: MethodChoice
    detector: DetectorChoice
    dataset: DatasetChoice
    seed: int

    @property
    def name(self) -> str:
        """Return `<method>--<detector>--s<seed>`."""
        return f"{self.method.name}--{self.detector.name}--s{self.seed}"

    @property
    def folder(self) -> str:
        """Return the run's folder below the output folder."""
        return f"runs/{self.dataset.name}/{self.name}"


def plan(suite: Suite, only: Sequence[str] = ()) -> list[Run]:
    """Return the runs of a suite, dataset by dataset.

    A method that looks at no boxes runs once a dataset and seed, without a detector.

    Args:
        suite: what is to be compared.
        only: names of methods to be run; all where empty.
    """
    for name in only:
        catalog.known("method of this suite", name, [method.name for method in suite.methods])
    runs: list[Run] = []
    for dataset in suite.datasets:
        for method in suite.methods:
            if only and method.name not in only:
                continue
            detectors = suite.detectors if catalog.methods()[method.id].uses_boxes else (NO_DETECTOR,)
            runs += [Run(method, detector, dataset, seed) for detector in detectors for seed in suite.seeds]
    return runs


def plugins_of(run: Run, metrics: Sequence[str]) -> tuple[Plugin, ...]:
    """Return the plug-ins that the numbers of a run come of."""
    named = (
        catalog.methods().plugin(run.method.id),
        catalog.detectors().plugin(run.detector.id),
        catalog.datasets().plugin(run.dataset.id),
        *map(METRICS.plugin, metrics),
    )
    return tuple(plugin for plugin in named if plugin is not None)


@dataclass(frozen=True, slots=True)
class Places:
    """Say where relative paths are looked for.

    Attributes:
        suite: folder of the suite's file.
        data: folder given as `--data-root`, or None.
    """

    suite: Path
    data: Path | None = None

    def find(self, path: str, what: str) -> Path:
        """Return the file or folder that a suite means by `path`: below `--data-root`, else beside the suite's file.

        Without `--data-root` the working directory is tried last, so that the `config.yaml` of a run can be run again
        from where its suite was.

        Raises:
            MissingError: It is at none of the places where it is looked for.
        """
        places = [self.data, self.suite] if self.data is not None else [self.suite, Path()]
        candidates = [place / path for place in dict.fromkeys(places)]
        for candidate in candidates:
            if candidate.exists():
                return candidate.resolve()
        looked = " nor at ".join(str(candidate.absolute()) for candidate in candidates)
        raise MissingError(f"{what} is not at {looked}: give the folder that holds it as --data-root")


def dataset_tree(choice: DatasetChoice, places: Places) -> Tree:
    """Return the `class_path` tree of a dataset with its paths found and its settings filled in."""
    tree = catalog.data_tree(choice.id)
    settings = tree.setdefault("init_args", {})
    if "root" in settings:
        settings["root"] = str(_root(choice, settings["root"], places))
    if choice.annotations is not None:
        what = f"the annotation file {choice.annotations!r} of dataset {choice.name!r}"
        settings["annotations"] = str(places.find(choice.annotations, what))
    given = {"split": choice.split, "test": choice.count, "size": choice.size, "data_seed": choice.seed}
    settings.update({key: value for key, value in given.items() if value is not None})
    return tree


def find_weights_folder(run: Run, places: Places) -> Path | None:
    """Return the weights folder of a run; None for a method without weights or one that is tried untrained.

    Raises:
        MissingError: A trainable method has no weights; the message holds the commands that get them.
    """
    choice = run.method
    if choice.untrained or not catalog.methods()[choice.id].trainable:
        return None
    given = choice.weights.replace("{seed}", str(run.seed)) if choice.weights else None
    return find_method_weights(given, choice.id, beside=places.suite)


def missing(runs: Sequence[Run], places: Places) -> list[str]:
    """Return a line for everything that the runs need and that is not there, without reading any of it."""
    lines: dict[str, None] = {}
    for run in runs:
        checks: list[Callable[[], object]] = [
            partial(dataset_tree, run.dataset, places),
            partial(find_weights_folder, run, places),
            partial(find_detector_weights, run.detector, beside=places.suite, download=False),
        ]
        for check in checks:
            try:
                check()
            except CommandError as error:
                lines[str(error)] = None
    return list(lines)


def _root(choice: DatasetChoice, usual: str, places: Places) -> Path:
    """Return the folder of a dataset; where the suite names none, its usual name below `--data-root`, else that."""
    what = f"the folder {choice.root or usual!r} of dataset {choice.name!r}"
    if choice.root is None and places.data is not None and not (places.data / usual).is_dir():
        return places.find(".", what)
    return places.find(choice.root or usual, what)


def portable(path: str | None, base: Path | None = None) -> str | None:
    """Return a path that may stand in a published file: relative as it was given, below `base`, or its last part."""
    if path is None or not Path(path).is_absolute():
        return path
    if base is not None and Path(path).is_relative_to(base.resolve()):
        return str(Path(path).relative_to(base.resolve()))
    return Path(path).name


def resolved(suite: Suite, run: Run, places: Places, expected: dict[str, str]) -> Suite:
    """Return the suite of one single run: `colorbench run` on it repeats that run."""
    dataset = run.dataset.model_copy(
        update={
            "root": portable(run.dataset.root, places.data),
            "annotations": portable(run.dataset.annotations, places.data),
        }
    )
    return suite.model_copy(
        update={
            "methods": (run.method.model_copy(update={"weights": portable(run.method.weights)}),),
            "detectors": (run.detector.model_copy(update={"weights": portable(run.detector.weights)}),),
            "datasets": (dataset,),
            "seeds": (run.seed,),
            "expected": expected,
        }
    )


def training_tree(data: str, places: Places) -> Tree:
    """Return the tree of the photos to train on.

    Args:
        data: a dataset's id, or a YAML file with `class_path` and `init_args`.
        places: where relative paths start.
    """
    if Path(data).suffix not in {".yaml", ".yml"}:
        return dataset_tree(DatasetChoice(id=catalog.known("dataset", data, catalog.datasets())), places)
    if not Path(data).is_file():
        raise MissingError(f"no data configuration at {data}: give a YAML file with class_path and init_args, or an id")
    tree: Tree = catalog.read_yaml(Path(data))
    _find_roots(tree, places)
    return tree


def _find_roots(tree: Tree, places: Places) -> None:
    """Replace every relative `root` and `annotations` in a tree by the path that it means."""
    for key, value in tree.items():
        if isinstance(value, dict):
            _find_roots(value, places)
        elif isinstance(value, list):
            for part in value:
                if isinstance(part, dict):
                    _find_roots(part, places)
        elif key in {"root", "annotations"} and isinstance(value, str):
            tree[key] = str(places.find(value, f"the {key} {value!r} of the training photos"))
