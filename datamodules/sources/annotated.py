"""Any folder of pictures, with the instances that a COCO file lists for them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.boxfile import read_boxes
from datamodules.photos import Photo
from datamodules.sources.coco import check_listed_size
from datamodules.sources.folder import FolderSource


class AnnotatedFolderSource(FolderSource):
    """Give all pictures below a folder; those that a COCO file lists have its instances.

    Where the file lists just the pictures of the folder, the digest is that of `CocoSource`.

    Args:
        root: the folder, which the names in the file are relative to.
        annotations: the COCO file. Pictures have no label beside it.
        leave_out: keys of pictures that are not given.

    Attributes:
        listed: keys of the pictures in the file.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it, or no such file.
        ValueError: Two files differ only in their suffix, or the JSON is no COCO file.
    """

    def __init__(self, root: str | Path, annotations: str | Path, leave_out: Collection[str] = ()) -> None:
        super().__init__(root, leave_out=leave_out)
        if not Path(annotations).is_file():
            raise FileNotFoundError(f"there is no COCO file {annotations}")
        boxes = read_boxes(Path(annotations))
        self.sizes = boxes.sizes
        self.listed = frozenset(boxes.photos)
        self.classes = ()
        self.photos: Sequence[Photo] = tuple(
            Photo(photo.key, boxes.boxes(photo.key), file_name=photo.file_name) for photo in self.photos
        )
        self._categories = {category.id: category.name for category in boxes.categories}

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of the annotations' category ids."""
        return self._categories

    def read(self, key: str) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 sRGB, EXIF rotation applied.

        Raises:
            ImageError: The file is broken or refused, or has another size than its JSON says.
        """
        picture = super().read(key)
        check_listed_size(picture, self.sizes.get(key))
        return picture
