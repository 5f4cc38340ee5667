"""How others published the weights of methods that run here: file names, key maps, settings. Knows no torch."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from bench import catalog
from bench.errors import MissingError, UsageError

SUFFIXES = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True, slots=True)
class Part:
    """Say where a format keeps one network.

    Attributes:
        ending: of the file's name without its suffix; empty where the format has a single file.
        prefix: of the network's keys in that file.
    """

    ending: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class CheckpointFormat:
    """Say which networks of a method a release holds, in which files and under which keys.

    Attributes:
        method: whose weights they are.
        origin: where they are published.
        names: pattern that the stems of the files' published names match.
        parts: by the name of the network.
        bare: modules that are wrapped in an `nn.Sequential` here and not there: their keys lack a `.0`.
        settings: of the method's tree that must travel with these weights.
        remarks: what else the manifest says under `settings`, for readers.
        fresh: networks of the method that the release has nothing for; they stay as they are built.
        shared: names of the same networks in further methods that can begin from them, by method.
    """

    method: str
    origin: str
    names: str
    parts: Mapping[str, Part]
    bare: frozenset[str] = frozenset()
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    remarks: Mapping[str, JsonValue] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    shared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def own_key(self, key: str) -> str:
        """Return the key that a tensor has here, given that of the format without the network's prefix."""
        module, _, rest = key.partition(".")
        return f"{module}.0.{rest}" if module in self.bare else key

    def is_published_name(self, path: Path) -> bool:
        """Whether a file has a name under which this format is published."""
        return re.search(self.names, path.stem) is not None


UP_AND_SHORT = ("model8up", "model9up", "model10up", "model3short8", "model2short9", "model1short10", "model_class")

FORMATS: Mapping[str, CheckpointFormat] = MappingProxyType(
    {
        "instcolorization": CheckpointFormat(
            method="instcolor-fusion",
            origin="checkpoints.zip on the authors' Google Drive, which gives no plain address and no digest (see the "
            "README of github.com/ericsujw/InstColorization)",
            names=r"_net_(G|GF|GComp)$",
            parts={"full": Part("_net_GComp"), "instance": Part("_net_G"), "fusion": Part("_net_GF")},
            settings={"mask_center": 0.5},
        ),
        "mmagic": CheckpointFormat(
            method="instcolor-fusion",
            origin="the conversion of the authors' weights by mmagic, at download.openmmlab.com",
            names=r"inst-colorizati",
            parts={
                "full": Part(prefix="image_model."),
                "instance": Part(prefix="instance_model."),
                "fusion": Part(prefix="fusion_model."),
            },
            bare=frozenset(UP_AND_SHORT),
            settings={"mask_center": 0.5},
        ),
        "zhang-eccv16": CheckpointFormat(
            method="zhang-eccv16",
            origin="the release in github.com/richzhang/colorization",
            names=r"colorization_release",
            parts={"network": Part()},
            settings={"temperature": 1.0},
            remarks={"prior": "uniform: the release holds none"},
            fresh=frozenset({"prior"}),
        ),
        "zhang-siggraph17": CheckpointFormat(
            method="zhang-siggraph17",
            origin="the release in github.com/richzhang/colorization",
            names=r"siggraph17",
            parts={"network": Part()},
            settings={"mask_center": 0.0},
            shared={"instcolor-full": {"full": "network"}},
        ),
        "colorization-pytorch": CheckpointFormat(
            method="zhang-siggraph17",
            origin="pytorch.pth or caffemodel.pth, as the download script of github.com/richzhang/colorization-pytorch "
            "fetches them over http as latest_net_G.pth, or a training of that repository",
            names=r"_net_G$|^pytorch$|^caffemodel$",
            parts={"network": Part()},
            settings={"mask_center": 0.5},
            shared={"instcolor-full": {"full": "network"}},
        ),
    }
)
"""The formats that `colorbench weights import` reads.

Source: the repositories that `origin` names, and `mmagic/models/editors/inst_colorization` for the keys of mmagic.
"""

TORCH7 = "iizuka-t7"
TORCH7_REASON = (
    f"{TORCH7}: colornet.t7 is a Torch7 file, and nothing that is kept up reads those: PyTorch dropped its reader with "
    "1.0, OpenCV with 5.0, and the last torchfile, 0.1.0, is of 2017 and gives empty tensors on some machines (its "
    "issue 15). Train the method instead: `colorbench train iizuka-siggraph16 --out DIR`"
)


def checkpoint_format(name: str) -> CheckpointFormat:
    """Return a format by its name.

    Raises:
        UsageError: There is none of that name, or it is known and cannot be read.
    """
    if name == TORCH7:
        raise UsageError(TORCH7_REASON)
    return FORMATS[catalog.known("format", name, (*FORMATS, TORCH7))]


def assign_files(name: str, files: Sequence[Path]) -> dict[str, Path]:
    """Return the file of each network of a format.

    Raises:
        MissingError: A file is not there.
        UsageError: There are too many or too few, one is a folder, or one has the name of another format's files.
    """
    form = checkpoint_format(name)
    for path in files:
        _check_file(name, path)
    endings = sorted({part.ending for part in form.parts.values()})
    found = {ending: [path for path in files if path.stem.endswith(ending)] for ending in endings}
    if len(files) != len(endings) or any(len(paths) != 1 for paths in found.values()):
        wanted = " ".join(f"...{ending}.pth" for ending in endings) if len(endings) > 1 else "one file"
        given = ", ".join(path.name for path in files) or "none"
        raise UsageError(f"{name} wants {wanted}, given {given}: {form.origin}")
    return {network: found[part.ending][0] for network, part in form.parts.items()}


def _check_file(name: str, path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the files of {name} in it, such as {path}/*.pth")
    if not path.is_file():
        raise MissingError(f"there is no file {path}: {FORMATS[name].origin}")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path.name} is no file of weights by its suffix: wanted {', '.join(SUFFIXES)}")
    others = [other for other, form in FORMATS.items() if form.is_published_name(path)]
    if others and name not in others:
        raise UsageError(
            f"{path.name} has the name of a file of {' or '.join(others)}, not of {name}: give that format, or rename "
            "the file if it is another one"
        )


def recognise(keys: Collection[str]) -> str:
    """Return what a file with these keys looks like, to be told in an error; empty where it is nothing known."""
    if any(key.startswith(part.prefix) for key in keys for part in FORMATS["mmagic"].parts.values()):
        return "mmagic"
    names = {key.removeprefix("module.") for key in keys}
    if any(key.startswith("weight_layer") for key in names):
        return "the fusion network (GF) of instcolorization"
    if "model8.6.weight" in names:
        return "zhang-eccv16"
    if "model10up.0.weight" in names:
        return "zhang-siggraph17, colorization-pytorch, or G or GComp of instcolorization"
    return ""


def settings_of(name: str, files: Collection[Path]) -> dict[str, JsonValue]:
    """Return the settings that travel with these files.

    Convention:
        The two releases of colorization-pytorch differ in no key: what stands as `caffemodel.pth`, or in a folder
        `siggraph_caffemodel`, has the mask's centre at 0, all else at 0.5.
    """
    settings = dict(checkpoint_format(name).settings)
    if name == "colorization-pytorch" and any("caffemodel" in part for path in files for part in _places(path)):
        settings["mask_center"] = 0.0
    return settings


def _places(path: Path) -> tuple[str, str]:
    return path.stem, path.absolute().parent.name
