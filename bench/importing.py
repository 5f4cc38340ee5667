"""Turn weights that others published into a weights folder, every tensor of theirs and of ours accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import catalog
from bench.catalog import Tree, with_settings
from bench.checkpoints import CheckpointFormat, Part, assign_files, checkpoint_format, recognise, settings_of
from bench.downloads import KnownFile, file_sha256
from bench.errors import UsageError
from bench.manifest import MANIFEST, WeightsManifest, load_manifest, save_weights
from bench.progress import say

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Imported:
    """Hold what an import left: the folder, its manifest, and the ids of the methods that it serves."""

    folder: Path
    manifest: WeightsManifest
    methods: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return digests of sources and files, settings and methods, to be printed."""
        manifest = self.manifest
        written = {file.file: file.sha256 for file in manifest.networks.values()}
        width = max(map(len, (*manifest.sources, *written)))
        return [
            *(f"read     {name:{width}}  sha256 {digest}" for name, digest in manifest.sources.items()),
            *(f"written  {name:{width}}  sha256 {digest}" for name, digest in written.items()),
            f"settings {', '.join(f'{name} {value}' for name, value in manifest.settings.items())}",
            f"serves   {', '.join(self.methods)}",
            f"weights: {self.folder}",
        ]


def import_weights(name: str, files: Sequence[Path], out: Path, *, remedy: str = "give another --out") -> Imported:
    """Write the networks in the files of a format into a weights folder.

    All files are read and compared with the networks before the first byte is written.

    Args:
        name: of the format.
        files: those of the release.
        out: the folder; one that holds other weights is refused.
        remedy: what to do in that case, for the message.

    Raises:
        MissingError: A file is not there.
        UsageError: There is no such format, the files are not its own, a tensor is missing, surplus or of another
            shape, or `out` holds other weights. The message names files and tensors.
        CommandError: The folder cannot be written to.
    """
    form, paths = checkpoint_format(name), assign_files(name, files)
    sources = {path.name: _digest(path) for path in dict.fromkeys(paths.values())}
    _check_out(out, form, sources, remedy)
    settings = settings_of(name, files)
    trees = {method: with_settings(catalog.model_tree(method), settings) for method in (form.method, *form.shared)}
    networks = _build(trees[form.method])
    _fill(name, networks, paths)
    for names in form.shared.values():
        networks |= {theirs: networks[ours] for theirs, ours in names.items()}
    manifest = save_weights(
        form.method,
        trees[form.method],
        networks,
        out,
        settings={**settings, **form.remarks},
        sources=sources,
        others={method: trees[method] for method in form.shared},
    )
    cards = catalog.shipped_methods().items()
    served = tuple(method for method, card in cards if card.trainable and manifest.serves(method))
    return Imported(out, manifest, served)


def _digest(path: Path) -> str:
    """Return the sha256 of a file, and say so where it is not the one that the file's name promises."""
    digest, promised = file_sha256(path), KnownFile.prefix_in(path.name)
    if promised is not None and not digest.startswith(promised):
        say(f"note: the sha256 of {path.name} begins with {digest[: len(promised)]}: it is not the published file")
    return digest


def _check_out(out: Path, form: CheckpointFormat, sources: Mapping[str, str], remedy: str) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder")
    if not (out / MANIFEST).is_file():
        return
    there = load_manifest(out)
    if there.method != form.method or there.sources != sources:
        raise UsageError(f"{out} holds other weights, of {there.method}: {remedy}")


def _build(tree: Tree) -> "dict[str, nn.Module]":
    from bench.build import build_method

    return dict(build_method(tree).networks())


def _fill(name: str, networks: "Mapping[str, nn.Module]", paths: Mapping[str, Path]) -> None:
    """Load each network from its file; what is left of a file when all its networks are loaded is an error."""
    form = checkpoint_format(name)
    left = {path: _read(path) for path in dict.fromkeys(paths.values())}
    for network, part in form.parts.items():
        path = paths[network]
        own = _take(left[path], part, form)
        _load(networks[network], own, f"{path.name} does not hold the network {network} of {name}", list(left[path]))
        left[path] = {key: value for key, value in left[path].items() if not key.startswith(part.prefix)}
    for path, rest in left.items():
        if rest:
            raise UsageError(f"{path.name} is not of {name}: {len(rest)} surplus: {', '.join(list(rest)[:4])}")
    unfilled = set(networks) - set(form.parts) - form.fresh
    if unfilled:
        raise UsageError(f"{name} has nothing for the networks {', '.join(sorted(unfilled))} of {form.method}")


def _read(path: Path) -> "dict[str, Tensor]":
    from lightning_modules.state_dicts import read_state_dict, without_prefix

    try:
        return without_prefix(read_state_dict(path))
    except ValueError as error:
        raise UsageError(f"{error}; export its tensors alone, or download it again") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _take(state: "Mapping[str, Tensor]", part: Part, form: CheckpointFormat) -> "dict[str, Tensor]":
    """Return the tensors of one network under the names that they have here."""
    return {
        form.own_key(key.removeprefix(part.prefix)): value
        for key, value in state.items()
        if key.startswith(part.prefix)
    }


def _load(network: "nn.Module", state: "Mapping[str, Tensor]", fault: str, keys: Sequence[str]) -> None:
    from lightning_modules.state_dicts import load_strictly, misfits, with_counters

    wanted = network.state_dict()
    whole = with_counters(state, wanted)
    problems = misfits(whole, wanted)
    if problems:
        seen = recognise(keys)
        raise UsageError(f"{fault}: {problems}" + (f". The file looks like {seen}" if seen else ""))
    load_strictly(network, whole, fault)
