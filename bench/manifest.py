"""The folder that holds a method's weights: a manifest and one safetensors file a network. Torch comes in when used."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from bench import catalog
from bench.catalog import Tree
from bench.downloads import file_sha256
from bench.errors import MissingError, UsageError
from bench.files import atomic_write, writing
from bench.provenance import canonical_digest

if TYPE_CHECKING:
    from torch import nn

MANIFEST = "weights.json"
SAVING = ".saving-"
FAMILY = "instcolor-"
"""Methods whose id begins so share networks: the folder of one serves the others as far as it has what they need."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.safetensors$")]


class NetworkFile(BaseModel):
    """Name the file of one network in the folder, its digest and its number of parameters (buffers not counted)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName
    sha256: Sha256
    parameters: int = Field(ge=0)


class WeightsManifest(BaseModel):
    """Say what a weights folder holds and how the networks are built.

    Attributes:
        schema_version: `schema` in the file; of this form.
        method: the method that the weights were last saved for.
        models: a `class_path` tree a method: that of `method`, and those of the stages that were trained before it.
        networks: the files, by network.
        settings: what must travel with the weights, such as the decoding temperature.
        sources: digests of the files that the weights were imported from, by file name.
        training: what each stage was trained with, by method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    method: str
    models: dict[str, Tree]
    networks: dict[str, NetworkFile]
    settings: dict[str, JsonValue] = {}
    sources: dict[str, Sha256] = {}
    training: dict[str, dict[str, JsonValue]] = {}

    def serves(self, method: str) -> bool:
        """Whether a method can use these weights: its own, or those of another one of the instcolor family."""
        return method == self.method or method in self.models or _are_family(method, self.method)

    def tree(self, method: str, default: Tree | None = None) -> Tree:
        """Return the tree that a method with these weights is built from.

        Args:
            method: id of a method that the weights serve.
            default: the method's own tree, from which comes what the weights don't say; that of its configuration if
                left out.
        """
        if method in self.models:
            return _copy(self.models[method])
        return _graft(_copy(default or catalog.model_tree(method)), self.models[self.method])


def _are_family(one: str, other: str) -> bool:
    return one.startswith(FAMILY) and other.startswith(FAMILY)


def _copy(tree: Tree) -> Tree:
    copied: Tree = json.loads(json.dumps(tree))
    return copied


def _graft(tree: Tree, source: Tree) -> Tree:
    """Put the networks and sizes of `source` into `tree`, the method's own settings staying as they are."""
    own = tree.setdefault("init_args", {})
    same_class = tree.get("class_path") == source.get("class_path")
    for key, value in _copy(source).get("init_args", {}).items():
        is_network = isinstance(value, dict) and "class_path" in value
        is_shared = key in own and (is_network or key in ("input_size", "crop_size"))
        if is_shared or (same_class and key not in own):
            own[key] = value
    return tree


def load_manifest(folder: Path) -> WeightsManifest:
    """Read the manifest of a weights folder.

    Raises:
        MissingError: There is none.
        UsageError: It is broken; the message names the field.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingError(f"{folder} holds no {MANIFEST}: give the folder of a training or of an import")
    try:
        return WeightsManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise UsageError(f"{path} is no manifest of weights: {field}: {first['msg']}") from error


def save_weights(
    method: str,
    model_tree: Tree,
    networks: Mapping[str, "nn.Module"],
    out: Path,
    *,
    settings: Mapping[str, JsonValue] | None = None,
    sources: Mapping[str, str] | None = None,
    training: Mapping[str, JsonValue] | None = None,
    others: Mapping[str, Tree] | None = None,
) -> WeightsManifest:
    """Save the networks of a method into a weights folder.

    All files are written whole before the first takes its name, the manifest last. What an earlier stage of the same
    training left in the folder is kept.

    Args:
        method: its id.
        model_tree: the `class_path` tree that builds it.
        networks: its parts by name, which become the names of the files; one that has two names gets one file.
        out: the folder.
        settings: what must travel with the weights.
        sources: sha256 of the files that the weights were imported from, by file name.
        training: what this stage was trained with.
        others: trees of further methods that these networks serve, by id.

    Raises:
        CommandError: The folder cannot be written to.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for left in out.glob(f"{SAVING}*"):  # by a save that was killed
            shutil.rmtree(left, ignore_errors=True)
    with writing(out), tempfile.TemporaryDirectory(prefix=SAVING, dir=out) as temporary:
        files = _write_networks(networks, Path(temporary))
        manifest = WeightsManifest(
            method=method,
            models={id_: _copy(tree) for id_, tree in {method: model_tree, **(others or {})}.items()},
            networks=files,
            settings=dict(settings or {}),
            sources=dict(sources or {}),
            training={method: dict(training)} if training is not None else {},
        )
        if (out / MANIFEST).is_file():
            manifest = _joined(load_manifest(out), manifest)
        for file in {file.file for file in files.values()}:
            (Path(temporary) / file).replace(out / file)
        text = manifest.model_dump_json(indent=2, by_alias=True)
        atomic_write(out / MANIFEST, text + "\n")
    return manifest


def _joined(before: WeightsManifest, now: WeightsManifest) -> WeightsManifest:
    card = catalog.methods().get(now.method)
    stages = (now.method,) if card is None else (now.method, *card.stages)
    if not (before.method in stages or _are_family(before.method, now.method)):
        return now
    merged = ("models", "networks", "settings", "sources", "training")
    return now.model_copy(update={name: {**getattr(before, name), **getattr(now, name)} for name in merged})


def _write_networks(networks: Mapping[str, "nn.Module"], folder: Path) -> dict[str, NetworkFile]:
    written: dict[int, NetworkFile] = {}
    for name, network in networks.items():
        if id(network) not in written:
            written[id(network)] = _write_network(name, network, folder)
    return {name: written[id(network)] for name, network in networks.items()}


def _write_network(name: str, network: "nn.Module", folder: Path) -> NetworkFile:
    from safetensors.torch import save

    path = folder / f"{name}.safetensors"
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    with path.open("wb") as file:
        file.write(save(tensors))
        file.flush()
        os.fsync(file.fileno())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return NetworkFile(file=path.name, sha256=file_sha256(path), parameters=parameters)


def load_networks(networks: Mapping[str, "nn.Module"], folder: Path) -> None:
    """Load networks from a weights folder, all names and shapes being the networks' own.

    Networks that the folder holds besides are left alone, so that the weights of `instcolor-fusion` serve the others.

    Raises:
        MissingError: The folder or one of its files is not there.
        UsageError: A network is not in the folder, a digest is not that of the manifest, or tensors are missing,
            surplus or of another shape; the message names them.
    """
    from lightning_modules.state_dicts import load_strictly, read_state_dict

    verify_weights(folder, networks)
    manifest = load_manifest(folder)
    for name, network in networks.items():
        file = manifest.networks[name].file
        try:
            load_strictly(network, read_state_dict(folder / file), file)
        except ValueError as error:
            raise UsageError(f"network {name!r}: {error}") from error


def verify_weights(folder: Path, names: Iterable[str] | None = None) -> WeightsManifest:
    """Check that the files of a weights folder are those of its manifest, and return it.

    Args:
        folder: the one that holds `weights.json`.
        names: of the networks to check; all where None.

    Raises:
        MissingError: The folder or one of its files is not there.
        UsageError: The folder lacks a network, or a file's digest is not that of the manifest.
    """
    manifest = load_manifest(folder)
    for name in manifest.networks if names is None else names:
        if name not in manifest.networks:
            there = ", ".join(manifest.networks) or "none"
            raise UsageError(f"{folder} holds no network {name!r}: its networks, of {manifest.method}, are {there}")
        path = folder / manifest.networks[name].file
        if not path.is_file():
            raise MissingError(f"{path} is missing, but {MANIFEST} names it: train or import the weights again")
        if file_sha256(path) != manifest.networks[name].sha256:
            raise UsageError(f"{path} is not the file that {MANIFEST} describes, by its sha256: train or import again")
    return manifest


def weights_digest(folder: Path, names: Iterable[str] | None = None) -> str:
    """Return the sha256 that stands for the weights in a folder, by what the manifest says of its files.

    Args:
        folder: the one that holds `weights.json`.
        names: of the networks that count; all where None.
    """
    manifest = load_manifest(folder)
    counted: Sequence[str] = sorted(manifest.networks if names is None else names)
    digests = {name: manifest.networks[name].sha256 for name in counted if name in manifest.networks}
    return canonical_digest({"networks": digests, "settings": manifest.settings})
