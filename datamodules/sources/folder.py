"""Any folder of pictures; its sub-folders are classes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.images import find_images, open_file, printable_name, read_image
from datamodules.photos import Photo
from datamodules.sources.digest import digest_photos


class FolderSource:
    """Give all pictures below a folder.

    Args:
        root: the folder. Its first level of sub-folders are the classes, in order of name; pictures beside them have
            none.
        split: a sub-folder that stands for `root`; None for `root` itself.
        leave_out: keys of pictures that are not given.
        named: how files are called after their pictures, `fake_{name}`; None where they have the pictures' own names.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
        ValueError: Two files differ only in their suffix.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        leave_out: Collection[str] = (),
        named: str | None = None,
    ) -> None:
        self.root = Path(root) if split is None else Path(root, split)
        self.paths = find_images(self.root, leave_out, named)
        if not self.paths:
            raise FileNotFoundError(f"there is no picture in {self.root}" + (f" called {named}" if named else ""))
        self.classes: Sequence[str] = tuple(sorted({key.split("/")[0] for key in self.paths if "/" in key}))
        label = {name: index for index, name in enumerate(self.classes)}
        self.photos: Sequence[Photo] = tuple(
            Photo(key, label=label.get(key.split("/")[0], -1) if "/" in key else -1, file_name=self.file_name(path))
            for key, path in self.paths.items()
        )

    def file_name(self, path: Path) -> str:
        """Return a file's name relative to the folder."""
        return printable_name(path.relative_to(self.root))

    @property
    def categories(self) -> Mapping[int, str]:
        """No annotations, so no categories."""
        return {}

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            ImageError: The file is broken or refused.
        """
        return read_image(self.paths[key], root=self.root)

    def digest(self) -> str:
        """Return the sha256 over names and bytes of all pictures."""
        return digest_photos(self.photos, lambda key: open_file(self.paths[key], self.root))
