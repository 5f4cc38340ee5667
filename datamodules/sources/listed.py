"""A standard set whose pictures are found by their names, however their folders are arranged."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from datamodules.images import find_images, open_file, printable_name, read_image
from datamodules.photos import Photo
from datamodules.sources.differences import Differences
from datamodules.sources.digest import digest_photos
from datamodules.sources.manifest import Manifest, is_synset


class ListedSource:
    """Give the pictures of a standard set, after comparing what lies in a folder with the set's manifest.

    Convention:
        The key of a picture is its published name without its suffix, wherever it lies, so that the tables of all
        users name it alike. Classes are the WordNet ids of the set's labels, sorted.

    Args:
        root: holds the pictures at one of the places that the manifest names, in one folder or in one for each class.
        manifest: of the set.

    Raises:
        IncompleteSetError: Pictures are missing.
        DifferentSetError: There are pictures that do not belong to the set, some lie there twice, or they lie in the
            folder, or have the label, of another class.
        FileNotFoundError: There is no such folder.
    """

    def __init__(self, root: str | Path, manifest: Manifest) -> None:
        self.root = first_folder(Path(root), manifest.folders)
        entries = manifest.entries()
        self.classes: Sequence[str] = tuple(sorted({entry.label for entry in entries if entry.label is not None}))
        self.label_of = {entry.name: entry.label for entry in entries}
        self.paths = self._compared(manifest)
        index = {synset: position for position, synset in enumerate(self.classes)}
        self.photos: Sequence[Photo] = tuple(
            Photo(name, label=index.get(label or "", -1), file_name=self.file_name(name))
            for name, label in sorted(self.label_of.items())
        )

    def file_name(self, key: str) -> str:
        """Return a file's name relative to the folder."""
        return printable_name(self.paths[key].relative_to(self.root))

    @property
    def categories(self) -> Mapping[int, str]:
        """No annotations, so no categories."""
        return {}

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            datamodules.images.ImageError: The file is broken or refused.
        """
        return read_image(self.paths[key], root=self.root)

    def digest(self) -> str:
        """Return the sha256 over names, labels and bytes of all pictures: the same however their folders lie."""
        return digest_photos(self.photos, lambda key: open_file(self.paths[key], self.root))

    def _compared(self, manifest: Manifest) -> Mapping[str, Path]:
        """Return the paths of the set's pictures by name."""
        found: dict[str, list[Path]] = defaultdict(list)
        for key, path in find_images(self.root).items():
            found[PurePosixPath(key).name].append(path)
        known = manifest.larger_set() or self.label_of.keys()
        differences = Differences(missing=self.label_of.keys() - found.keys())
        wanted = {name: paths for name, paths in found.items() if name in self.label_of}
        differences.add("these do not belong to it", found.keys() - known)
        differences.add("these lie there twice", (name for name, paths in wanted.items() if len(paths) > 1))
        differences.add("these lie in another class's folder", self._misplaced(wanted))
        differences.add(f"these have another label in {manifest.label_file}", self._relabelled(manifest))
        differences.raise_any(self.root, manifest)
        return {name: paths[0] for name, paths in wanted.items()}

    def _misplaced(self, found: Mapping[str, Sequence[Path]]) -> list[str]:
        """Say of each picture in a folder of another class where it lies and where it belongs."""
        misplaced = []
        for name, path in ((name, path) for name, paths in found.items() for path in paths):
            folders = [part for part in path.relative_to(self.root).parts[:-1] if is_synset(part)]
            if folders and folders[-1] != self.label_of[name]:
                misplaced.append(f"{name} in {folders[-1]}, not {self.label_of[name]}")
        return misplaced

    def _relabelled(self, manifest: Manifest) -> list[str]:
        """Say of each picture to which the user's own list gives another label which one, and what it should be."""
        path = self.root / (manifest.label_file or "")
        if manifest.label_file is None or not path.is_file():
            return []
        lines = (line.split("\t") for line in path.read_text("utf-8", "replace").splitlines() if "\t" in line)
        given = {PurePosixPath(name).stem: label for name, label, *_ in lines}
        return [
            f"{name} {given[name]}, not {label}"
            for name, label in self.label_of.items()
            if given.get(name, label) != label
        ]


def first_folder(root: Path, places: Sequence[str]) -> Path:
    """Return the first of some folders below `root` that is there.

    Raises:
        FileNotFoundError: None is.
    """
    for place in places:
        if (root / place).is_dir():
            return root / place
    raise FileNotFoundError(f"there is no folder {root} with {' or '.join(places)} in it")
