"""Photos as batches: what every data module of this suite shares."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from datamodules.augmentation import Augmentation
from datamodules.boxfile import BoxFile, read_boxes
from datamodules.hints import Hinting
from datamodules.loaders import TrainingLoader
from datamodules.photo_dataset import BoxChoice, Collate, PhotoDataset, Reading, Sample
from datamodules.photos import Photo, PhotoSource
from datamodules.protocol import PROTOCOLS, Protocol
from datamodules.samplers import EpochSampler, ShardSampler, deal_batches
from datamodules.types import Failure

Split = Literal["train", "val", "test"]
Loader = DataLoader[Sample | Failure]


class PhotoDataModule(pl.LightningDataModule):
    """Serve the photos of a source as `ColorBatch`es. A dataset implements `source` and hands its other arguments on.

    Training and validation photos are resized to `train_size`, broken ones replaced by the next readable one with a
    warning, and their order and draws follow from (seed, epoch, key) alone. Test and predict photos come once each,
    over all ranks together, in order of their key; those that cannot be read are named in the batch's `failures`.

    Args:
        protocol: id of the evaluation protocol.
        train_size: side of training and validation pictures, with the protocol's geometry; None for the protocol's.
        train_crop: side of the square that is cut from those, at random in training, centred in validation; None for
            all of it. Boxes are clipped to it and those outside dropped; it goes with no `crop_size`.
        train_crop_area: least and largest share of the picture that is cut and stretched to `train_crop` in training,
            such as [0.08, 1.0]; None cuts pixels as they are.
        flip: mirror every other training picture with its boxes and crops.
        boxes: a box file or COCO file to take the boxes from; None for the annotations of the source.
        max_boxes: boxes of a photo that are kept.
        box_choice: in training, the best boxes or as many drawn by (seed, epoch, key). In validation always the best.
        eval_box_choice: to test and predict, the best boxes or as many drawn by (seed, key).
        boxes_only: leave photos without any box out of training and validation.
        crop_size: side of the instance crops, each cut from the photo at its own resolution; None for no crops.
        masks: give boxes their masks, at the size of the photo; an instance without a segmentation covers its box.
        hints: hints of each test or predict photo, drawn by (seed, key); 0 gives their batches no guide.
        hint_stop: in training and validation, chance before each hint that none follows; None gives no guide.
        batch_size: photos of a training or validation batch, on each rank. An incomplete last batch is dropped in
            training, unless it is the only one.
        eval_batch_size: photos of a test or predict batch; 1 where the protocol keeps the sizes of photos.
        num_workers: processes that read; they live as long as the loader.
        start_method: of these processes, `fork`, `spawn` or `forkserver`; None for the system's own.
        seed: of order and draws.
        limit: at most this many photos, the first by key, are tested or predicted; None for all.
        cache: keep decoded training and validation photos in memory, each worker for itself.

    Attributes:
        shard: (rank, world) of the test and predict loaders. (0, 1) leaves it to the trainer, if there is one.
        done: keys of photos whose batches the test and predict loaders leave out, if there is nothing else in them.
            Batches are dealt out to the ranks before that, so that ranks which know of different finished photos
            neither repeat nor lose one.
        alone: key of the only photo that these loaders read, on every rank; None for all.
    """

    def __init__(
        self,
        *,
        protocol: str = "stretch256-v1",
        train_size: int | None = None,
        train_crop: int | None = None,
        train_crop_area: tuple[float, float] | None = None,
        flip: bool = False,
        boxes: str | None = None,
        max_boxes: int = 8,
        box_choice: BoxChoice = "best",
        eval_box_choice: BoxChoice = "best",
        boxes_only: bool = False,
        crop_size: int | None = None,
        masks: bool = False,
        hints: int = 0,
        hint_stop: float | None = None,
        batch_size: int = 8,
        eval_batch_size: int = 1,
        num_workers: int = 0,
        start_method: str | None = None,
        seed: int = 0,
        limit: int | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__()
        self.protocol = find_protocol(protocol)
        self.train_size = train_size
        varied = flip or train_crop is not None or train_crop_area is not None
        self.augmentation = Augmentation(train_crop, train_crop_area, flip, drawn=True) if varied else None
        self.boxes = boxes
        self.max_boxes = max_boxes
        self.box_choice: BoxChoice = box_choice
        self.eval_box_choice: BoxChoice = eval_box_choice
        self.boxes_only = boxes_only
        self.crop_size = crop_size
        self.masks = masks
        self.hinting = Hinting.for_evaluation(hints) if hints else None
        self.training_hinting = None if hint_stop is None else Hinting.for_training(hint_stop)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.start_method = start_method
        self.seed = seed
        self.limit = limit
        self.cache = cache
        self.shard = (0, 1)
        self.done: frozenset[str] = frozenset()
        self.alone: str | None = None
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._kept: dict[tuple[Split, Reading], PhotoDataset] = {}
        self._box_files: dict[str, BoxFile] = {}

    def source(self, split: Split) -> PhotoSource | None:
        """Return the photos of a split; None where the dataset has none. Asked again, gives the same object."""
        raise NotImplementedError(f"{type(self).__name__} does not implement source()")

    @property
    def has_training_split(self) -> bool:
        """Whether the training photos are others than the test photos."""
        return self.source("train") is not None

    def train_dataloader(self) -> TrainingLoader:
        """Return shuffled photos, shared out over the trainer's ranks."""
        dataset = self.training_set("train")
        if dataset is None:
            lacking = "training photos with a box" if self.boxes_only else "training photos"
            raise ValueError(f"{type(self).__name__} has no {lacking}")
        rank, world = self.ranks()
        sampler = EpochSampler(len(dataset), seed=self.seed, rank=rank, world=world)
        drop_last = len(sampler) >= self.batch_size
        collate = self.collate(dataset)
        return TrainingLoader(dataset, sampler, self.batch_size, collate, drop_last=drop_last, **self.loader_settings())

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return the validation photos in order, the same every epoch; no loader where there are none."""
        dataset = self.training_set("val")
        if dataset is None:
            return []
        rank, world = self.ranks()
        order = EpochSampler(len(dataset), shuffle=False, rank=rank, world=world)
        collate = self.collate(dataset)
        return DataLoader(dataset, self.batch_size, sampler=order, collate_fn=collate, **self.loader_settings())

    def test_dataloader(self) -> Loader:
        """Return the test photos that are to be read, each on one rank."""
        source = self.source("test")
        if source is None:
            raise ValueError(f"{type(self).__name__} has no test photos")
        photos = source.photos[: self.limit]
        reading = replace(self.reading(self.protocol, self.eval_box_choice), hinting=self.hinting)
        dataset = PhotoDataset(source, photos, reading, self.box_file(photos))
        size = 1 if self.protocol.size is None else self.eval_batch_size
        order = ShardSampler(self.test_positions([photo.key for photo in photos], size))
        collate = self.collate(dataset)
        # Lightning rebuilds the loader to predict, and gives it the batch size by name.
        return DataLoader(dataset, batch_size=size, sampler=order, collate_fn=collate, **self.loader_settings())

    def test_positions(self, keys: Sequence[str], size: int) -> list[int]:
        """Return the positions of the test photos that this rank reads, in batches of `size`."""
        if self.alone is not None:
            return [keys.index(self.alone)]
        rank, world = self.ranks() if self.shard == (0, 1) else self.shard
        return deal_batches(keys, size, rank, world, self.done)

    def predict_dataloader(self) -> Loader:
        """Return the test photos."""
        return self.test_dataloader()

    def training_set(self, split: Split) -> PhotoDataset | None:
        """Return the photos that are trained or validated on; with `cache` the same object as before."""
        training = self.protocol if self.train_size is None else self.protocol.resized(self.train_size)
        choice: BoxChoice = self.box_choice if split == "train" else "best"
        self.check_crop(training)
        reading = self.reading(training, choice, replace=True, with_box=self.boxes_only, cache=self.cache)
        reading = replace(reading, hinting=self.training_hinting)
        if self.augmentation is not None:
            varied = self.augmentation if split == "train" else self.augmentation.centred()
            reading = replace(reading, augmentation=varied)
        if (split, reading) in self._kept:
            return self._kept[split, reading]
        if training.size is None and self.batch_size > 1:
            raise ValueError(f"{training.id} keeps the sizes of photos: give a train_size, or batch_size 1")
        source = self.source(split)
        photos = [] if source is None else self.with_boxes(source.photos)
        if source is None or not photos:
            return None
        dataset = PhotoDataset(source, photos, reading, self.box_file())
        if self.cache:
            self._kept[split, reading] = dataset
        return dataset

    def check_crop(self, training: Protocol) -> None:
        """Refuse crops that cannot be cut.

        Raises:
            ValueError: Pictures are smaller than `train_crop`, or there are instance crops beside it.
        """
        side = None if self.augmentation is None else self.augmentation.crop
        if side is None:
            return
        if self.crop_size is not None:
            raise ValueError(
                f"train_crop {side} would cut through the instances whose crops are wanted: leave it out of the stages "
                "that look at instance crops"
            )
        if not 0 < side <= (training.size or 0):
            raise ValueError(f"train_crop is {side}, pictures are {training.size}: give a train_size of at least that")

    def with_boxes(self, photos: Sequence[Photo]) -> Sequence[Photo]:
        """Leave out photos without a box, where that is wanted."""
        if not self.boxes_only:
            return photos
        boxes = self.box_file()
        return [photo for photo in photos if any_box(photo if boxes is None else boxes.photos.get(photo.key))]

    def reading(
        self,
        protocol: Protocol,
        choice: BoxChoice = "best",
        *,
        replace: bool = False,
        with_box: bool = False,
        cache: bool = False,
    ) -> Reading:
        """Say how photos are read."""
        return Reading(
            protocol, self.max_boxes, choice, self.crop_size, self.seed, replace, with_box, cache, masks=self.masks
        )

    def box_file(self, photos: Sequence[Photo] = ()) -> BoxFile | None:
        """Return the given box file.

        Raises:
            ValueError: It knows none of `photos`.
        """
        if self.boxes is None:
            return None
        if self.boxes not in self._box_files:
            self._box_files[self.boxes] = read_boxes(Path(self.boxes))
        boxes = self._box_files[self.boxes]
        if photos and boxes.photos and not any(photo.key in boxes.photos for photo in photos):
            raise ValueError(
                f"{Path(self.boxes).name} names none of the photos: it begins with {next(iter(boxes.photos))!r}, "
                f"the photos with {photos[0].key!r}"
            )
        return boxes

    def ranks(self) -> tuple[int, int]:
        """Return (rank, world) of the trainer; (0, 1) without one."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def loader_settings(self) -> dict[str, Any]:
        """Return what all loaders share."""
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "multiprocessing_context": self.start_method if self.num_workers else None,
            "pin_memory": torch.cuda.is_available(),
        }

    def collate(self, dataset: PhotoDataset) -> Collate:
        """Return what makes the batches of a dataset."""
        return Collate(dataset.reading.side, self.crop_size)


def any_box(photo: Photo | None) -> bool:
    """Tell whether a photo has an instance with an area that is no crowd."""
    return photo is not None and any(not one.crowd and one.bbox[2] > 0 and one.bbox[3] > 0 for one in photo.annotations)


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that id.

    Raises:
        ValueError: There is none, naming the nearest.
    """
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1, cutoff=0)
        raise ValueError(f"there is no protocol {name!r}; did you mean {near[0]!r}? Known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
