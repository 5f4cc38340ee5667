"""Inpainting without learning: the smoothest surface over the hole."""

import numpy as np
import torch

from datamodules.inpaint_batch import Filling, HoledBatch
from lightning_modules.inpainting.inpainter import Inpainter


class BiharmonicInpainter(Inpainter):
    """Continue what is known into the hole by the biharmonic equation, channel by channel.

    Source:
        Damelin and Hoang, On Surface Completion and Image Inpainting by Biharmonic Functions, 2018; scikit-image's
        `inpaint_biharmonic` solves it.
    """

    def fill(self, holed: HoledBatch) -> Filling:
        """Return the completed pictures; one that is nothing but hole is black."""
        from skimage.restoration import inpaint_biharmonic

        filled = np.zeros((len(holed), *holed.rgb.shape[2:], 3))
        pictures = holed.rgb.permute(0, 2, 3, 1).cpu().double().numpy()
        for place, (picture, hole) in enumerate(zip(pictures, holed.hole[:, 0].bool().cpu().numpy(), strict=True)):
            if not hole.all():
                filled[place] = inpaint_biharmonic(picture, hole, channel_axis=-1)
        return Filling(torch.from_numpy(filled).permute(0, 3, 1, 2).to(holed.rgb))
