"""Open a standard set of pictures by its id, whatever its layout."""

import hashlib
from pathlib import Path

from datamodules.images import find_images
from datamodules.photos import PhotoSource
from datamodules.sources.coco import CocoSource
from datamodules.sources.differences import Differences
from datamodules.sources.folder import FolderSource
from datamodules.sources.listed import ListedSource, first_folder
from datamodules.sources.manifest import Manifest, load_manifest
from datamodules.sources.places import PlacesSource, find_list


def open_standard(name: str, root: str | Path) -> PhotoSource:
    """Return the pictures of a standard set after comparing what is in `root` with its manifest.

    Raises:
        FileNotFoundError: Files are missing.
        DifferentSetError: `root` holds something else.
        ValueError: There is no such set, or one of its lists cannot be read.
    """
    manifest = load_manifest(name)
    if manifest.layout == "listed":
        return ListedSource(root, manifest)
    if manifest.layout == "places":
        return PlacesSource(root, manifest)
    source = CocoSource(root)
    compare_coco(source, manifest)
    return source


def has_training(name: str, root: str | Path) -> bool:
    """Whether the training pictures that go with a standard set are in `root`, without reading any."""
    manifest = load_manifest(name)
    try:
        if manifest.layout == "places":
            find_list(Path(root), "train")
        else:
            first_folder(Path(root), manifest.training_folders)
    except FileNotFoundError:
        return False
    return True


def open_training(name: str, root: str | Path) -> PhotoSource:
    """Return the training pictures that go with a standard set; nothing is known to compare them with.

    Raises:
        FileNotFoundError: They are not in `root`.
    """
    manifest = load_manifest(name)
    if manifest.layout == "places":
        return PlacesSource(root, manifest, "train")
    return FolderSource(first_folder(Path(root), manifest.training_folders))


def compare_coco(source: CocoSource, manifest: Manifest) -> None:
    """Compare a COCO folder with a manifest: the pictures in it, those of its JSON, and the JSON's own bytes.

    Raises:
        IncompleteSetError: Pictures are missing.
        DifferentSetError: Anything else differs.
    """
    known = {entry.name for entry in manifest.entries()}
    listed = {photo.key for photo in source.photos}
    found = find_images(source.pictures).keys()
    differences = Differences(missing=known - found)
    differences.add("these do not belong to it", found - known)
    differences.add(f"{source.instances.name} does not list these", known - listed)
    differences.add(f"{source.instances.name} lists these beside it", listed - known)
    if manifest.annotations is not None:
        digest = hashlib.sha256(source.instances.read_bytes()).hexdigest()
        if digest != manifest.annotations.sha256:
            differences.say(
                f"{source.instances.name} is not the published file: its sha256 is {digest}, not "
                f"{manifest.annotations.sha256}"
            )
    differences.raise_any(source.pictures, manifest)
