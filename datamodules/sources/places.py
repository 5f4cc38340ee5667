"""Places205, by the lists that come with it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from datamodules.images import open_file, path_to_key, printable_name, read_image
from datamodules.photos import Photo
from datamodules.sources.differences import Differences
from datamodules.sources.digest import digest_photos
from datamodules.sources.manifest import Manifest

LIST_FOLDERS = ("trainvalsplit_places205", "trainvalsplit", ".")
PROBED = 100
"""Pictures of the list that are looked for to tell how its folders are arranged."""


class PlacesSource:
    """Give the pictures of one of Places205's lists, after comparing list and pictures with the set's manifest.

    Convention:
        The key of a picture is its path in the list without its suffix, `a/abbey/gsun_...`, also where all pictures lie
        in one folder. Classes are the scenes in the order of the list's own numbers.

    Args:
        root: holds the list, in `trainvalsplit_places205` or itself, and the pictures, at one of the places that the
            manifest names, as in the list or all in one folder.
        manifest: of the set.
        split: `val`, which is compared with the manifest, or `train`, of which only the list is read.

    Raises:
        FileNotFoundError: List or pictures are missing.
        DifferentSetError: The list is not as the manifest says.
        ValueError: The list is none.
    """

    def __init__(self, root: str | Path, manifest: Manifest, split: str = "val") -> None:
        listed = find_list(Path(root), split)
        labels = read_list(listed)
        scenes = scenes_of(labels)
        self.classes: Sequence[str] = tuple(scenes[label][0] for label in sorted(scenes))
        differences = compared(labels, scenes, manifest) if split == "val" else Differences()
        self.root, self.flat = find_pictures(Path(root), manifest, list(labels))
        self.paths = {path_to_key(name): self.path_of(name) for name in labels}
        if split == "val":
            differences.missing = [name for name in labels if not self.path_of(name).is_file()]
            differences.raise_any(self.root, manifest)
        index = {label: position for position, label in enumerate(sorted(scenes))}
        self.photos: Sequence[Photo] = tuple(
            Photo(path_to_key(name), label=index[labels[name]], file_name=self.file_name(name))
            for name in sorted(labels, key=path_to_key)
        )

    def path_of(self, name: str) -> Path:
        """Return where a picture of the list lies."""
        return self.root / (PurePosixPath(name).name if self.flat else name)

    def file_name(self, name: str) -> str:
        """Return a file's name relative to the folder."""
        return printable_name(self.path_of(name).relative_to(self.root))

    @property
    def categories(self) -> Mapping[int, str]:
        """No annotations, so no categories."""
        return {}

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            datamodules.images.ImageError: The file is missing, broken or refused.
        """
        return read_image(self.paths[key], root=self.root)

    def digest(self) -> str:
        """Return the sha256 over names, labels and bytes of all pictures: the same however their folders lie."""
        return digest_photos(self.photos, lambda key: open_file(self.paths[key], self.root))


def find_list(root: Path, split: str) -> Path:
    """Return the list of a split.

    Raises:
        FileNotFoundError: There is none, naming the archive that holds it.
    """
    name = f"{split}_places205.csv"
    for folder in LIST_FOLDERS:
        if (root / folder / name).is_file():
            return root / folder / name
    raise FileNotFoundError(
        f"{root} has neither {LIST_FOLDERS[0]}/{name} nor {name}, the list of the pictures: unpack "
        "trainvalsplit_places205.tar.gz there"
    )


def read_list(path: Path) -> dict[str, int]:
    """Return the numbers of the scenes by the paths of the pictures.

    Raises:
        ValueError: A line is no path and number, leaves the folder, or stands twice; or there is none.
    """
    labels: dict[str, int] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        name, _, label = line.strip().rpartition(" ")
        parts = PurePosixPath(name).parts
        if not name or not label.isdecimal() or ".." in parts or name.startswith("/") or name in labels:
            raise ValueError(
                f"line {number} of {path.name} is {line[:80]!r}: it should be a path below the folder of pictures and "
                "the number of its scene, and no picture should stand twice"
            )
        labels[name] = int(label)
    if not labels:
        raise ValueError(f"{path.name} is empty: unpack it anew from trainvalsplit_places205.tar.gz")
    return labels


def scenes_of(labels: Mapping[str, int]) -> dict[int, list[str]]:
    """Return the scenes that each number stands for, `a/apartment_building/outdoor/x.jpg` is of the latter two."""
    scenes: dict[int, set[str]] = defaultdict(set)
    for name, label in labels.items():
        scenes[label].add("/".join(PurePosixPath(name).parts[1:-1]))
    return {label: sorted(names) for label, names in scenes.items()}


def compared(labels: Mapping[str, int], scenes: Mapping[int, Sequence[str]], manifest: Manifest) -> Differences:
    """Return how a list differs from what is known of it: counts of pictures, scenes, and pictures of each scene."""
    differences = Differences()
    if len(labels) != manifest.count:
        differences.add(
            f"its list names {len(labels)} pictures, not {manifest.count}, the last", [max(labels, default="")]
        )
    if len(scenes) != manifest.classes:
        differences.say(f"its list has {len(scenes)} scenes, not {manifest.classes}")
    each = manifest.count // (manifest.classes or 1)
    counts = Counter(labels.values())
    uneven = (f"{scenes[label][0]} {count}" for label, count in counts.items() if count != each)
    differences.add(f"these scenes have not {each} pictures", uneven)
    differences.add("these numbers stand for several scenes", (str(n) for n, names in scenes.items() if len(names) > 1))
    return differences


def find_pictures(root: Path, manifest: Manifest, names: Sequence[str]) -> tuple[Path, bool]:
    """Return the folder of the pictures, and whether all lie in that one folder.

    Raises:
        FileNotFoundError: None of the first pictures of the list is at any of the places.
    """
    for place, flat in product(manifest.folders, (False, True)):
        folder = root / place
        probed = (PurePosixPath(name).name if flat else name for name in names[:PROBED])
        if folder.is_dir() and any((folder / name).is_file() for name in probed):
            return folder, flat
    raise FileNotFoundError(
        f"none of the first pictures of the list is in {root}, at {' or '.join(manifest.folders)}: no {names[0]}"
    )
