"""Photos with holes as batches, over any dataset of the suite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.edges import SIGMA, canny
from datamodules.holes import BUCKETS, Hole, HoleBucket, HoleDrawing, MaskFolder, Mix
from datamodules.inpaint_batch import HoledBatch, InpaintBatch
from datamodules.loaders import TrainingLoader
from datamodules.photo_data import PhotoDataModule
from datamodules.photo_dataset import PhotoDataset
from datamodules.photos import Photo
from datamodules.samplers import EpochSampler
from datamodules.types import Failure

HOLES = 3
"""Parts the random numbers that draw holes from those that draw boxes, crops and hints."""

GRAY = torch.tensor([0.2125, 0.7154, 0.0721])
"""Shares of red, green and blue in the light of a pixel, as `skimage.color.rgb2gray` has them."""


@dataclass(frozen=True, slots=True)
class HoledSample:
    """Hold one picture with its hole.

    Attributes:
        rgb: (3, H, W) uint8, the truth.
        hole: (H, W) bool.
        edges: (H, W) bool, of the truth.
        known_edges: (H, W) bool, those that a method sees outside of the hole.
    """

    key: str
    rgb: Tensor
    hole: Hole
    edges: NDArray[np.bool_]
    known_edges: NDArray[np.bool_]


class HoledPhotos(Dataset[HoledSample | Failure]):
    """Read photos by (epoch, position), each with a hole that hangs on seed, epoch, key and the way to draw it alone.

    Args:
        photos: the pictures, square.
        drawing: of their holes.
        purpose: further numbers that the chance of holes hangs on, such as which bucket it is.
        sigma: of Canny's edges in pixels.
        blind: find the edges that a method sees without a look into the hole.
    """

    def __init__(
        self,
        photos: PhotoDataset,
        drawing: HoleDrawing | HoleBucket,
        purpose: tuple[int, ...] = (),
        *,
        sigma: float = SIGMA,
        blind: bool = False,
    ) -> None:
        self.photos = photos
        self.drawing = drawing
        self.purpose = purpose
        self.sigma = sigma
        self.blind = blind

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: tuple[int, int]) -> HoledSample | Failure:
        found = self.photos[index]
        if isinstance(found, Failure):
            return found
        random = self.photos.random(found.key, index[0], HOLES, *self.purpose)
        hole = self.drawing.draw(found.rgb.shape[-1], random)
        gray = to_gray(found.rgb[None] / 255)[0, 0].numpy()
        edges = canny(gray, self.sigma)
        known_edges = canny(gray, self.sigma, ~hole) if self.blind else edges & ~hole
        return HoledSample(found.key, found.rgb, hole, edges, known_edges)


def to_gray(rgb: Tensor) -> Tensor:
    """Return the light of pictures, (B, 1, H, W), from sRGB (B, 3, H, W) of the same range.

    Convention:
        As `skimage.color.rgb2gray`, which the authors take: a weighted sum of the gamma-encoded values.
    """
    return (rgb * GRAY.to(rgb)[:, None, None]).sum(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class CollateHoles:
    """Make a batch of samples; pictures that could not be read go to its `failures`.

    Attributes:
        side: of the pictures.
        edges_given: whether the truth's lines in the hole are given away.
    """

    side: int
    edges_given: bool = False

    def __call__(self, found: Sequence[HoledSample | Failure]) -> InpaintBatch:
        """Return the batch; without any readable picture its tensors have B = 0."""
        samples = [sample for sample in found if isinstance(sample, HoledSample)]
        empty = torch.zeros(0, 3, self.side, self.side, dtype=torch.uint8)
        rgb = torch.stack([sample.rgb for sample in samples]) if samples else empty
        hole, edges = self.stack([each.hole for each in samples]), self.stack([each.edges for each in samples])
        holed = HoledBatch(
            key=tuple(sample.key for sample in samples),
            rgb=rgb / 255 * (1 - hole) + hole,
            hole=hole,
            edges=self.stack([sample.known_edges for sample in samples]),
            true_edges=edges if self.edges_given else None,
        )
        failures = tuple(failure for failure in found if isinstance(failure, Failure))
        return InpaintBatch(holed, rgb, edges, failures)

    def stack(self, maps: Sequence[NDArray[np.bool_]]) -> Tensor:
        """Return maps of bool as (B, 1, H, W) float32."""
        if not maps:
            return torch.zeros(0, 1, self.side, self.side)
        return torch.from_numpy(np.stack(maps)).float().unsqueeze(1)


class InpaintDataModule(pl.LightningDataModule):
    """Serve the photos of a dataset with holes as `InpaintBatch`es.

    Holes of training follow from (seed, epoch, key), those of evaluation from (seed, bucket, key) alone.

    Args:
        photos: the dataset; its protocol and `train_size` give square pictures.
        mix: the holes of training.
        masks: irregular ones; None paints them, by a seed.
        sigma: of Canny's edges in pixels.
        edges_given: whether a test batch holds the truth's lines in the hole.
        side: of the test pictures; None for the protocol's.

    Attributes:
        bucket: of `BUCKETS`, whose holes the test photos have.
        chosen: keys of the test photos that are read; None for all.
    """

    def __init__(
        self,
        photos: PhotoDataModule,
        mix: Mix = "irregular-block",
        masks: MaskFolder | None = None,
        sigma: float = SIGMA,
        edges_given: bool = False,
        side: int | None = None,
    ) -> None:
        super().__init__()
        self.photos = photos
        self.masks = masks
        self.mix: Mix = mix
        self.sigma = sigma
        self.edges_given = edges_given
        self.protocol = photos.protocol if side is None else photos.protocol.resized(side)
        self.bucket = next(iter(BUCKETS))
        self.chosen: Sequence[str] | None = None

    @cached_property
    def side(self) -> int:
        """Return the side of the test pictures.

        Raises:
            ValueError: They keep their own.
        """
        if self.protocol.size is None:
            raise ValueError(f"{self.protocol.id} keeps the sizes of photos, but holes are cut in squares: give a side")
        return self.protocol.size

    def training_set(self, split: Literal["train", "val"]) -> HoledPhotos | None:
        """Return the photos that are trained or validated on; None without any."""
        photos = self.photos.training_set(split)
        drawing = HoleDrawing(self.mix, self.masks)
        return None if photos is None else HoledPhotos(photos, drawing, sigma=self.sigma)

    def train_dataloader(self) -> TrainingLoader:
        """Return shuffled photos with new holes every epoch."""
        dataset = self.training_set("train")
        if dataset is None:
            raise ValueError(f"{type(self.photos).__name__} has no training photos")
        sampler = EpochSampler(len(dataset), seed=self.photos.seed)
        settings = self.photos.loader_settings()
        drop_last = len(sampler) >= self.photos.batch_size
        collate = self.collate(dataset)
        return TrainingLoader(dataset, sampler, self.photos.batch_size, collate, drop_last=drop_last, **settings)

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Return the validation photos in order, with the same holes every time; no loader where there are none."""
        dataset = self.training_set("val")
        if dataset is None:
            return []
        order = EpochSampler(len(dataset), shuffle=False)
        collate = self.collate(dataset)
        return DataLoader(dataset, self.photos.batch_size, sampler=order, collate_fn=collate)

    def test_set(self) -> HoledPhotos:
        """Return the test photos with the holes of the bucket.

        Raises:
            ValueError: The dataset has none.
        """
        source = self.photos.source("test")
        if source is None:
            raise ValueError(f"{type(self.photos).__name__} has no test photos")
        chosen = {photo.key: photo for photo in source.photos}
        photos: Sequence[Photo] = [chosen[key] for key in (chosen if self.chosen is None else self.chosen)]
        dataset = PhotoDataset(source, photos, self.photos.reading(self.protocol))
        place = list(BUCKETS).index(self.bucket)
        return HoledPhotos(dataset, HoleBucket(self.bucket, self.masks), (place,), sigma=self.sigma, blind=True)

    def collate(self, dataset: HoledPhotos) -> Callable[[Sequence[HoledSample | Failure]], InpaintBatch]:
        """Return what makes the batches of a dataset."""
        side = dataset.photos.reading.side
        return CollateHoles(self.side if side is None else side, self.edges_given)
