"""What is probed: the networks of methods, each from its weights and from random ones, and supervised ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from bench import catalog
from bench.build import build_method
from bench.catalog import Tree
from bench.downloads import file_sha256
from bench.errors import UsageError
from bench.probing.backbone import Backbone
from bench.probing.cells import Initialisation
from bench.probing.settings import Input, Settings, Task
from bench.probing.supervised import SUPERVISED, SupervisedBackbone, find_supervised
from bench.progress import say
from bench.weights import find_method_weights, load_manifest, load_networks, weights_digest

UNTRAINED = "untrained"


@dataclass(frozen=True, slots=True)
class Request:
    """Say what is to be probed.

    Attributes:
        methods: ids.
        weights: folder of weights, `{method}` and `{seed}` in it replaced; `untrained` for random ones alone; None to
            look for them where weights are.
        data: tree of the dataset.
        dataset: its name in tables.
        task: what the features are tested by.
        variant: what the networks see.
        layers: names; all, or the deepest for fine-tuning, where empty.
        recipe: id of the recipe that the settings come from.
        settings: of the test.
        seed: of random networks, heads and orders.
        limit: photos to learn from, and photos to test, at most; None for all.
        out: folder of the results.
    """

    methods: tuple[str, ...]
    weights: str | None
    data: Tree
    dataset: str
    task: Task
    variant: Input
    layers: tuple[str, ...]
    recipe: str
    settings: Settings
    seed: int
    limit: int | None
    out: Path


@dataclass(frozen=True, slots=True)
class Network:
    """Name a network to be probed and how it is built: from a tree, with weights from a folder, or from a file."""

    method: str
    initialisation: Initialisation
    tree: Tree
    weights: Path | None = None

    def digest(self) -> str | None:
        """Return the digest of the weights; None for random ones."""
        if self.weights is None:
            return None
        return file_sha256(self.weights) if self.weights.is_file() else weights_digest(self.weights)

    def backbone(self, request: Request) -> Backbone:
        """Build the network with its weights; random ones, and those of heads made next, follow from the seed."""
        size, variant = request.settings.size, request.variant
        pl.seed_everything(request.seed, workers=True, verbose=False)
        if self.initialisation == "supervised" and self.weights is not None:
            return SupervisedBackbone(self.method, self.weights, size, variant, request.layers)
        method = build_method(self.tree)
        if self.weights is not None:
            load_networks(method.networks(), self.weights)
        return Backbone(method, size, variant, request.layers)


def plan(request: Request) -> Iterator[Network]:
    """Give the networks: for each method a random one and, with its weights, a trained one; then supervised ones.

    Raises:
        UsageError: A method is unknown or learns nothing.
        MissingError: A method has no weights.
    """
    for method in dict.fromkeys(request.methods):
        catalog.training_stages(method)
        folder = None if request.weights == UNTRAINED else find_method_weights(_named(method, request), method)
        tree = catalog.model_tree(method) if folder is None else load_manifest(folder).tree(method)
        yield Network(method, "random", tree)
        if folder is not None:
            yield Network(method, "trained", tree, folder)
    found, told = find_supervised()
    for name, path in found.items():
        if set(request.layers) <= SUPERVISED[name].layers.keys():
            yield Network(name, "supervised", {}, path)
        else:
            told.append(f"supervised {name} is left out: its layers are {', '.join(SUPERVISED[name].layers)}")
    for line in told:
        say(line)


def _named(method: str, request: Request) -> str | None:
    """Return the folder that was given for a method's weights."""
    given = request.weights
    return None if given is None else given.replace("{method}", method).replace("{seed}", str(request.seed))


def check_one_layer(backbone: Backbone) -> None:
    """Refuse more than one layer where a head is put on it.

    Raises:
        UsageError: There are several.
    """
    if len(backbone.names) > 1:
        raise UsageError(f"a head is put on one layer, --layers names {', '.join(backbone.names)}: name one of them")
