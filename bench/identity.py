"""What a training is: what its command line says, and the facts that its weights depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import catalog
from bench.catalog import Tree
from bench.errors import UsageError
from bench.inheritance import TAKEN, find_start
from bench.manifest import MANIFEST, load_manifest, weights_digest
from bench.plan import portable
from bench.plugins import brought
from bench.provenance import canonical_digest
from bench.recipe import Recipe, setting_names


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Hold what the command line says about a training.

    Attributes:
        out: folder that gets `weights/`, `checkpoints/` and `logs/`.
        data: `class_path` tree of the training photos.
        devices: processes on this machine.
        max_steps: at most so many steps a stage; None for the recipe's.
        loggers: dashboards beside the curves in CSV; `none` alone leaves validation and panels out, not the curves.
        settings: of the model, by name, after those of the recipe; each must be one that a stage of the method has.
        init: folder to begin from. Stages before the method's own last one that it holds as trained, from the first
            on, are copied to `out` and not trained again. All others are trained, from its networks of the same names
            where `out` has none yet, which is fine-tuning; but a stage that follows others begins as it does after
            these where the folder holds an ablation of it, another method of its class or other settings. What a stage
            still lacks it takes from what it has by `Colorizer.inherit`. A network that is found must fit.
        nodes: machines, with `devices` processes each.
        sync_batchnorm: share the statistics of BatchNorm between processes with a GPU each.
    """

    out: Path
    data: Tree
    recipe: Recipe
    seed: int = 0
    devices: int = 1
    precision: str = "32"
    batch_size: int | None = None
    max_steps: int | None = None
    loggers: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    init: Path | None = None
    nodes: int = 1
    sync_batchnorm: bool = False

    @property
    def processes(self) -> int:
        """Return the number of processes on all machines."""
        return self.devices * self.nodes

    @property
    def weights(self) -> Path:
        """Return the folder of the weights."""
        return self.out / "weights"

    @property
    def start(self) -> Path | None:
        """Return the weights folder to begin from.

        Raises:
            MissingError: `init` is given and holds none.
        """
        return None if self.init is None else find_start(self.init)

    @property
    def quiet(self) -> bool:
        """Whether nothing but the curves is wanted."""
        return list(self.loggers) == ["none"]


def portable_tree(tree: Tree) -> Tree:
    """Return a tree without the folders of this machine, so that moved photos are the same photos."""
    moved: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            moved[key] = portable_tree(value)
        else:
            moved[key] = portable(value) if key in {"root", "annotations", "boxes"} else value
    return moved


def identity(stage: str, options: TrainingOptions) -> dict[str, Any]:
    """Return what a stage's training depends on, as plain values that are kept with its weights.

    Raises:
        UsageError: The batch cannot be shared by the processes.
    """
    settings, tree = options.recipe.stage(stage), options.recipe.tree(stage)
    batch_size = options.batch_size or settings.batch_size or options.recipe.batch_size
    if batch_size % options.processes:
        raise UsageError(
            f"a batch of {batch_size} cannot be shared by {options.processes} devices: give another --batch-size"
        )
    names, plugin = set(setting_names(tree)), catalog.methods().plugin(stage)
    data_plugin = brought(options.data["class_path"])
    return {
        "recipe": options.recipe.id,
        "model": canonical_digest(tree),
        "data": canonical_digest([portable_tree(options.data), options.recipe.train_size, settings.data]),
        "devices": options.processes,
        "steps": min((steps for steps in (settings.steps, options.max_steps) if steps is not None), default=None),
        "epochs": settings.epochs,
        "batch_size": batch_size,
        "learning_rate": settings.learning_rate,
        "schedule": settings.schedule,
        "decay_from": settings.decay_from,
        "tenth_after": settings.tenth_after,
        "drops": {str(start): rate for start, rate in settings.drops.items()} or None,
        "pretrained": None if settings.pretrained else False,
        "seed": options.seed,
        "precision": options.precision,
        "sync_batchnorm": options.sync_batchnorm or None,
        "settings": {key: value for key, value in options.settings.items() if key in names} or None,
        "init": None if options.start is None else weights_digest(options.start),
        "plugin": None if plugin is None else plugin.sources(),
        "data_plugin": None if data_plugin is None else data_plugin.sources(),
    }


def is_done(stage: str, options: TrainingOptions) -> bool:
    """Tell whether `out` holds a stage as trained.

    Raises:
        UsageError: It does, but trained otherwise.
    """
    if not (options.weights / MANIFEST).is_file():
        return False
    trained = load_manifest(options.weights).training.get(stage)
    if trained is None:
        return False
    if TAKEN not in trained:
        check_same(f"{options.weights} holds {stage} trained", trained, wanted(stage, options))
    return True


def wanted(stage: str, options: TrainingOptions) -> dict[str, Any]:
    """Return what a stage that has begun must agree in: where no `init` is given now, any that was given before."""
    return {key: value for key, value in identity(stage, options).items() if key != "init" or value is not None}


def check_same(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a training of something else.

    Raises:
        UsageError: Names what changed.
    """
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        given = ", ".join(f"{key} was {str(before.get(key))[:12]}, now {str(now[key])[:12]}" for key in changed)
        raise UsageError(f"{what} otherwise ({given}); give another --out")
