"""Single photos, wherever they are, as a set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.images import open_file, printable_name, read_image
from datamodules.photos import Photo
from datamodules.sources.digest import digest_photos


class FilesSource:
    """Give the photos at the given paths; the key of each is its file name without the suffix.

    Args:
        paths: of the photos.

    Raises:
        FileNotFoundError: One of them is not there.
        ValueError: Two have the same name.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths: dict[str, Path] = {}
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"there is no photo at {path}")
            key = printable_name(path.stem)
            if key in self.paths:
                raise ValueError(f"{self.paths[key]} and {path} would both be called {key!r}")
            self.paths[key] = path
        self.photos: Sequence[Photo] = tuple(
            Photo(key, file_name=printable_name(self.paths[key].name)) for key in sorted(self.paths)
        )

    @property
    def categories(self) -> Mapping[int, str]:
        """No annotations, so no categories."""
        return {}

    @property
    def classes(self) -> Sequence[str]:
        """No classes."""
        return ()

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            datamodules.images.ImageError: The file is broken or refused.
        """
        return read_image(self.paths[key])

    def digest(self) -> str:
        """Return the sha256 over names and bytes of all pictures."""
        return digest_photos(self.photos, lambda key: open_file(self.paths[key]))
