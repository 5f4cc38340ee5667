"""The least that a method can do: one colour."""

from datamodules.inpaint_batch import Filling, HoledBatch
from lightning_modules.inpainting.inpainter import Inpainter


class MeanFill(Inpainter):
    """Fill the hole with the mean colour of what is known; black where nothing is."""

    def fill(self, holed: HoledBatch) -> Filling:
        """Return one colour a picture, at its size."""
        known = 1 - holed.hole
        mean = (holed.rgb * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp_min(1)
        return Filling(mean.expand_as(holed.rgb))
