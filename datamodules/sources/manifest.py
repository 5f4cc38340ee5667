"""What the standard sets are: names, labels, digests and archives, as data in `datamodules/manifests`."""

import hashlib
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict

from datamodules.synsets import imagenet_synsets

FOLDER = files("datamodules") / "manifests"


class Archive(BaseModel):
    """Describe an archive that a set comes in.

    Attributes:
        name: its file name.
        size: in bytes; None where it is not known.
        sha256: of its bytes, in hexadecimal. An archive without it is neither fetched nor unpacked.
        md5: as many publish it; for people, nothing is checked by it.
        urls: public addresses, the best first; empty where it has to be brought.
        into: folder below the dataset's root that it is unpacked into.
        members: patterns of the members that are unpacked; empty for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    urls: tuple[str, ...] = ()
    into: str = "."
    members: tuple[str, ...] = ()


class Provenance(BaseModel):
    """Say where a fact of a manifest was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    source: str
    commit: str | None = None


class AnnotationFile(BaseModel):
    """Name the one JSON of instances that belongs to a set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str


class Entry(NamedTuple):
    """Hold the name of a picture, without its suffix, and the WordNet id of its class, if it has one."""

    name: str
    label: str | None = None


class Manifest(BaseModel):
    """Describe a standard set of pictures.

    The list of its pictures lies beside it, `<id>.txt`: a line a picture, its number and, where there are labels, the
    index of its class in ImageNet's 1000.

    Attributes:
        layout: how its files lie: `listed`, by the names of the list; `coco`; `places`, by the user's own list.
        count: of pictures.
        classes: number of classes; None where pictures have no label.
        file_name: pattern of a picture's file name, to be filled with its number.
        part_of: first and last number of the larger set that it is a part of; others of that may lie beside it.
        labelled: whether the list holds labels.
        names_sha256: of the file names in the order of the list, each with a line end.
        labels_sha256: the same of `<file name> <WordNet id>`.
        label_file: file beside the pictures that gives their labels, tab-separated.
        folders: places of the pictures below the root of the dataset, the most specific first.
        training_folders: places of the training pictures, a folder a class.
        license: in words.
        terms: address of the terms of use, and of the way to get the set.
        provenance: where these facts were read.
        unknown: what could not be found, and what stands for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    about: str
    layout: Literal["listed", "coco", "places"]
    count: int
    classes: int | None = None
    file_name: str = "{}"
    part_of: tuple[int, int] | None = None
    labelled: bool = False
    names_sha256: str | None = None
    labels_sha256: str | None = None
    label_file: str | None = None
    annotations: AnnotationFile | None = None
    folders: tuple[str, ...] = (".",)
    training_folders: tuple[str, ...] = ()
    license: str
    terms: str
    archives: tuple[Archive, ...]
    provenance: tuple[Provenance, ...]
    unknown: tuple[str, ...] = ()

    def name_of(self, number: int) -> str:
        """Return the name of a picture, without its suffix."""
        return self.file_name.format(number).rpartition(".")[0]

    def entries(self) -> tuple[Entry, ...]:
        """Return the pictures of the list, in its order; none where the list is the user's own."""
        path = FOLDER / f"{self.id}.txt"
        if not path.is_file():
            return ()
        synsets = imagenet_synsets()
        lines = (line.split() for line in path.read_text("ascii").splitlines())
        return tuple(Entry(self.name_of(int(number)), *(synsets[int(at)] for at in label)) for number, *label in lines)

    def larger_set(self) -> frozenset[str]:
        """Return the names of the set that this is a part of; none where it is the whole."""
        if self.part_of is None:
            return frozenset()
        first, last = self.part_of
        return frozenset(self.name_of(number) for number in range(first, last + 1))

    def digests(self) -> tuple[str, str | None]:
        """Return the digests that `names_sha256` and `labels_sha256` must be."""
        suffix = self.file_name.rpartition(".")[2]
        names = [f"{entry.name}.{suffix}" for entry in self.entries()]
        labels = [f"{name} {entry.label}" for name, entry in zip(names, self.entries(), strict=True)]
        return _sha256(names), _sha256(labels) if self.labelled else None


def manifest_ids() -> tuple[str, ...]:
    """Return the ids of the standard sets, sorted."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in FOLDER.iterdir() if entry.name.endswith(".yaml")))


def load_manifest(name: str) -> Manifest:
    """Return the manifest of a standard set.

    Raises:
        ValueError: There is no set of this id.
    """
    if name not in manifest_ids():
        raise ValueError(f"no manifest is called {name!r}; there are {', '.join(manifest_ids())}")
    return Manifest.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8")))


def is_synset(name: str) -> bool:
    """Whether a folder's name is a WordNet id, such as `n01440764`."""
    return re.fullmatch(r"n\d{8}", name) is not None


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
