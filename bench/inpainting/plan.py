"""What a suite of inpainting needs, looked for before anything is computed. Knows no torch."""

from pathlib import Path

from bench.errors import UsageError
from bench.inpainting.suite import InpaintChoice, InpaintSuite, PhotoChoice
from bench.manifest import MANIFEST, load_manifest
from bench.plan import Places


def chosen_photos(suite: InpaintSuite, places: Places) -> PhotoChoice:
    """Return the photos of a suite: those that need no folder, where none is given."""
    return suite.offline if suite.offline is not None and places.data is None else suite.dataset


def masks_folder(suite: InpaintSuite, places: Places) -> Path | None:
    """Return the folder of irregular masks; None where holes are painted.

    Raises:
        MissingError: It is not there.
    """
    return None if suite.masks is None else places.find(suite.masks, f"the folder of masks {suite.masks!r}")


def weights_folder(choice: InpaintChoice, places: Places) -> Path:
    """Return the weights folder that a choice names.

    Raises:
        MissingError: It is not there.
        UsageError: It holds weights of another method.
    """
    folder = places.find(choice.weights or "", f"the weights folder of {choice.name!r}")
    folder = folder if (folder / MANIFEST).is_file() else folder / "weights"
    manifest = load_manifest(folder)
    if choice.id not in manifest.models:
        raise UsageError(f"{folder} holds no weights of {choice.id}, but of {manifest.method}; give another folder")
    return folder
