"""What a training begins from: the stages and networks of another one, or of an import, that `--init` names."""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from bench.build import build_method
from bench.catalog import Tree, with_settings
from bench.errors import CommandError, MissingError, UsageError
from bench.manifest import MANIFEST, load_manifest, load_networks, save_weights
from bench.processes import is_first_process
from bench.progress import say

if TYPE_CHECKING:
    from torch import nn

TAKEN = "taken_over"
"""Key, in what a manifest says of a stage, under which the digests of its networks stand if `--init` brought them."""

SIZES = frozenset(("input_size", "crop_size", "global_size", "chunk"))
HOW = SIZES | {"learning_rate", "optimizer", "weight_decay", "betas", "decay_steps", "loss"}
"""Settings that say how, and at which size, a network is trained, and not which network it is."""


def find_start(folder: Path) -> Path:
    """Return the folder with `weights.json` that is meant by the folder of a training, of its weights or of an import.

    Raises:
        MissingError: There is none.
    """
    for place in (folder, folder / "weights"):
        if (place / MANIFEST).is_file():
            return place
    raise MissingError(f"{folder} holds no {MANIFEST}: give --init the --out of a training, or the folder of an import")


def trained_stages(start: Path, stages: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return those stages, from the first on, that the folder `start` holds as trained.

    They end before the first stage that is not there, or that was trained with other values of `settings`, where these
    say which network it is.
    """
    manifest = load_manifest(start)
    given = {name: value for name, value in settings.items() if name not in HOW}

    def is_trained(stage: str) -> bool:
        return stage in manifest.training and with_settings(manifest.tree(stage), given) == manifest.tree(stage)

    return list(takewhile(is_trained, stages))


def network_settings(folder: Path) -> dict[str, Any]:
    """Return what the networks in a weights folder are built with, and what travels with them, by name.

    Those of `HOW` are left out: another size or optimiser makes no other network.
    """
    manifest = load_manifest(folder)
    found: dict[str, Any] = dict(manifest.settings)
    for tree in manifest.models.values():
        parts = (tree.get("init_args", {}).get(name) for name in manifest.networks)
        for part in parts:
            found |= part.get("init_args", {}) if isinstance(part, dict) else {}
    return {name: value for name, value in found.items() if name not in HOW}


def check_alike(stage: str, tree: Tree, start: Path, settings: Mapping[str, Any]) -> None:
    """Check that a stage is built as the networks in `start` were, but for what is asked for by name.

    Args:
        stage: its id.
        tree: builds the stage as it is to be trained.
        start: a weights folder.
        settings: of the model, as given on the command line.

    Raises:
        UsageError: The recipe says otherwise; the message names the settings.
    """
    theirs = network_settings(start)
    other = [name for name in theirs if name not in settings and with_settings(tree, {name: theirs[name]}) != tree]
    if other:
        keep = " ".join(f"--set {name}={json.dumps(theirs[name])}" for name in other)
        raise UsageError(
            f"{stage} cannot begin from {start}: its networks were built with another {' and '.join(other)} than the "
            f"recipe says; give {keep} to keep what they were built with, or another recipe"
        )


def is_fine_tuned(stage: str, tree: Tree, start: Path) -> bool:
    """Tell whether the last of several stages goes on from the networks of its own that `start` holds.

    It does where they were trained in the same way but for `HOW`, and not where `start` holds an ablation of it, whose
    networks learnt something else.

    Args:
        stage: its id.
        tree: builds the stage as it is to be trained.
        start: a weights folder.
    """
    models = load_manifest(start).models
    there = [models[stage]] if stage in models else list(models.values())
    return all(_what(each) == _what(tree) for each in there if each["class_path"] == tree["class_path"])


def _what(tree: Tree) -> Tree:
    """Return a tree without the settings of `HOW`."""
    return {key: _what(value) if isinstance(value, dict) else value for key, value in tree.items() if key not in HOW}


def take_over(stage: str, tree: Tree, start: Path, out: Path) -> None:
    """Copy the networks of a trained stage from `start` to `out`, with what they were trained with and their digests.

    Args:
        stage: its id.
        tree: builds the stage as it would be trained here; the networks must fit it.
        start: a weights folder that holds the stage as trained.
        out: a weights folder, made if it is not there.

    Raises:
        UsageError: A network in `start` does not fit; the message names file, network and tensors.
    """
    manifest = load_manifest(start)
    networks = build_method(tree).networks()
    _load(networks, start, stage)
    digests: dict[str, JsonValue] = {name: manifest.networks[name].sha256 for name in networks}
    save_weights(
        stage, manifest.tree(stage), networks, out, training={**manifest.training[stage], TAKEN: dict(digests)}
    )


def check_taken(stage: str, out: Path, start: Path | None) -> None:
    """Check that a stage that was taken over came from the folder that is named now.

    Raises:
        UsageError: It came from other weights.
    """
    taken = load_manifest(out).training[stage][TAKEN]
    if start is None or not isinstance(taken, dict):
        return
    there = load_manifest(start).networks
    if any(name not in there or there[name].sha256 != digest for name, digest in taken.items()):
        raise UsageError(f"{out} holds {stage} from other weights than those in {start}; give another --out")


def await_taken(stages: Sequence[str], out: Path, seconds: float = 600.0) -> None:
    """Wait, in a process that is not the first, until the first one has taken these stages over.

    Raises:
        CommandError: It has not within `seconds`.
    """
    until = time.monotonic() + seconds
    while not ((out / MANIFEST).is_file() and set(stages) <= set(load_manifest(out).training)):
        if time.monotonic() > until:
            raise CommandError(f"the first process has not brought {', '.join(stages)} to {out} in {seconds:.0f} s")
        time.sleep(0.2)


def check_alone(stages: Sequence[str], out: Path) -> None:
    """Check that the stages that are left to be trained would not replace what another method's training left in `out`.

    Args:
        stages: of the method that is trained.
        out: the weights folder of its training; it may not be there yet.

    Raises:
        UsageError: `out` holds stages of another method as trained, and not all of `stages`.
    """
    trained = load_manifest(out).training if (out / MANIFEST).is_file() else {}
    left = [stage for stage in stages if stage not in trained]
    others = [stage for stage in trained if stage not in stages]
    if left and others:
        raise UsageError(
            f"{out} holds {' and '.join(others)} trained, whose networks {' and '.join(left)} would begin from and "
            f"then replace; give another --out, and --init {out} to begin from what stands there"
        )


def load_trained(
    networks: Mapping[str, "nn.Module"],
    stage: str,
    out: Path,
    start: Path | None,
    ancestors: Mapping[str, str] = MappingProxyType({}),
) -> frozenset[str]:
    """Load the networks of a stage that earlier stages left in `out`, the others from `start` as far as it has them.

    What neither has begins as its ancestor in `out`.

    Args:
        networks: of the stage, by name.
        stage: its id.
        out: the weights folder of this training; it may not be there yet.
        start: a weights folder to begin from; None where there is none, or where it is not to be looked at.
        ancestors: names of networks of earlier stages, by those of the networks that begin as these do.

    Returns:
        The names of the networks that were loaded.

    Raises:
        UsageError: A network does not fit, or `start` has none of the networks that are left.
    """
    left = dict(networks)
    for folder in (out, start):
        if folder is None or not (folder / MANIFEST).is_file():
            continue
        there = load_manifest(folder).networks
        found = {name: left.pop(name) for name in networks if name in left and name in there}
        _load(found, folder, stage)
        if found and folder == start and is_first_process():
            say(f"{stage}: begins from {' and '.join(found)} of {start}")
    if left and (out / MANIFEST).is_file():
        there = load_manifest(out).networks
        begun = [name for name in left if ancestors.get(name) in there]
        _load({ancestors[name]: left.pop(name) for name in begun}, out, stage)
    if start is not None and not {*networks, *ancestors.values()} & set(load_manifest(start).networks):
        raise UsageError(
            f"{start} holds no network of {stage}: it has {', '.join(load_manifest(start).networks)}, "
            f"{stage} has {', '.join(networks)}"
        )
    return frozenset(networks) - frozenset(left)


def _load(networks: Mapping[str, "nn.Module"], folder: Path, stage: str) -> None:
    try:
        load_networks(networks, folder)
    except UsageError as error:
        raise UsageError(f"{stage} cannot begin from {folder}: {error}") from error
