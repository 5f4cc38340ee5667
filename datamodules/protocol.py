"""Evaluation protocols: what is done to a picture before it is scored.

A protocol is part of every number. It is named, versioned and hashed, and never edited: a change is a new version.
This module knows no torch, so that commands that only read files start at once.
"""

import hashlib
import json
from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict

Geometry = Literal["stretch", "centercrop", "native"]
CropBox = tuple[int, int, int, int]


class Protocol(BaseModel):
    """Name the geometry, luminance and rounding under which pictures are compared.

    `size` is the side of the square in pixels, None where nothing is resized.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: int
    geometry: Geometry
    size: int | None
    resample: Literal["pil-bilinear"] | None
    luminance: Literal["lab_of_rgb", "lab_of_gray"] = "lab_of_rgb"
    rounding: Literal["half-even-uint8"] = "half-even-uint8"

    @property
    def digest(self) -> str:
        """Return the sha256 of all fields, in hexadecimal."""
        canonical = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def crop(self, width: int, height: int) -> CropBox:
        """Return the part of a picture that is kept, as (left, top, right, bottom) in its pixels.

        Convention:
            `centercrop` takes the largest centred square; an odd pixel stays left and top, which means that the square
            begins at `floor((long - short) / 2)`.
        """
        if self.geometry != "centercrop":
            return 0, 0, width, height
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side

    def apply(self, picture: Image.Image) -> Image.Image:
        """Crop and resize an 8-bit RGB picture as the protocol says."""
        whole = (0, 0, *picture.size)
        kept = self.crop(*picture.size)
        if kept != whole:
            picture = picture.crop(kept)
        if self.size is None or picture.size == (self.size, self.size):
            return picture
        return picture.resize((self.size, self.size), Image.Resampling.BILINEAR)

    def resized(self, size: int) -> "Protocol":
        """Return the same geometry at another side length, for training at a smaller size; its id is not public."""
        return self.model_copy(update={"id": f"{self.id}@{size}", "size": size, "resample": "pil-bilinear"})


PROTOCOLS: dict[str, Protocol] = {
    protocol.id: protocol
    for protocol in (
        Protocol(id="stretch256-v1", version=1, geometry="stretch", size=256, resample="pil-bilinear"),
        Protocol(id="stretch64-v1", version=1, geometry="stretch", size=64, resample="pil-bilinear"),
        Protocol(id="centercrop256-v1", version=1, geometry="centercrop", size=256, resample="pil-bilinear"),
        Protocol(id="native-v1", version=1, geometry="native", size=None, resample=None),
    )
}
