"""From 8-bit predictions beside their truths to rows: the one place where pictures and instances are scored."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.rows import InstanceRow, Row, Scores
from bench.scoring.classification import top1
from bench.scoring.comparison import Comparison, Region, pixel_metrics
from bench.scoring.features import FeatureStore
from bench.scoring.fidelity import PixelBox, find_gray
from bench.scoring.inception import inception_features
from bench.scoring.instances import Instances, area_to_size, find_instances
from bench.scoring.metrics import METRICS, row_columns
from bench.scoring.networks import Networks
from bench.scoring.perceptual import LEAST_SIDE, cut_out, lpips_values
from datamodules.photos import Annotation
from datamodules.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold what a row says of a picture beside its scores.

    Attributes:
        photo_size: (height, width) of the photo before the protocol, which its annotations are in pixels of.
        n_boxes: boxes that the method was given.
        label: index of the picture's ImageNet class, -1 for none.
    """

    key: str
    photo_size: tuple[int, int]
    n_boxes: int = 0
    label: int = -1


@dataclass(frozen=True, slots=True)
class Scored:
    """Hold the rows of a batch, and the (B, 2048) features of predictions and truths where the set is to be scored."""

    rows: tuple[Row, ...]
    features: tuple[Tensor, Tensor] | None

    def keep_features(self, store: FeatureStore, done: Collection[str] = ()) -> None:
        """Let the features of all pictures that are not done reach the disk, which their rows promise."""
        prediction, truth = (features.cpu().numpy() for features in self.features or ())
        for index, row in enumerate(self.rows):
            if row.image not in done:
                store.append(row.image, prediction[index], truth[index])
        store.flush()


@dataclass(frozen=True, slots=True)
class Scorer:
    """Score batches of pictures; nothing is carried from one to the next.

    Attributes:
        run_id: that the rows carry.
        protocol: that the pictures were prepared by.
        metrics: to compute; each has its network in `networks` if it needs one.
        truths: annotations of each picture by its key; pictures that are missing here have none.
        categories: names of the annotations' category ids.
    """

    run_id: str
    protocol: Protocol
    metrics: tuple[str, ...]
    truths: Mapping[str, Sequence[Annotation]] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    networks: Networks = field(default_factory=Networks)

    @torch.no_grad()
    def score(self, prediction: Tensor, truth: Tensor, pictures: Sequence[Picture]) -> Scored:
        """Score a batch.

        Args:
            prediction: (B, 3, H, W) uint8 sRGB at the protocol's size.
            truth: the same.
            pictures: B.

        Returns:
            A row a picture, in their order.
        """
        comparison = Comparison(prediction, truth)
        found = [self._find(picture, comparison.size) for picture in pictures]
        boxes = [Region(index, box) for index, each in enumerate(found) for _, box in each.scored]
        whole = [Region(index) for index in range(len(pictures))]
        values = self._score_pixels(comparison, [*whole, *boxes])
        values |= self._score_lpips(comparison, boxes)
        values |= self._score_classes(comparison, pictures)
        images = _transposed(values, row_columns("image", self.metrics), 0, len(whole))
        instances = iter(_transposed(values, row_columns("instance", self.metrics), len(whole), len(boxes)))
        gray_truth, gray_prediction = find_gray(truth).tolist(), find_gray(prediction).tolist()
        identical = (prediction == truth).flatten(1).all(1).tolist()
        rows = tuple(
            Row(
                run_id=self.run_id,
                image=picture.key,
                status="gray-truth" if gray_truth[index] else "ok",
                width=comparison.size[1],
                height=comparison.size[0],
                n_instances=len(found[index].scored),
                n_boxes=picture.n_boxes,
                left_out_small=found[index].left_out_small,
                left_out_crowd=found[index].left_out_crowd,
                identical=identical[index],
                gray_prediction=gray_prediction[index],
                scores=images[index],
                instances=tuple(self._instance(*each, next(instances)) for each in found[index].scored),
            )
            for index, picture in enumerate(pictures)
        )
        return Scored(rows, self._features(comparison))

    def _find(self, picture: Picture, size: tuple[int, int]) -> Instances:
        height, width = picture.photo_size
        return find_instances(self.truths.get(picture.key, ()), self.protocol.crop(width, height), size)

    def _score_pixels(self, comparison: Comparison, regions: Sequence[Region]) -> dict[str, list[float | None]]:
        wanted = pixel_metrics(row_columns("image", self.metrics))
        return {name: score(comparison, regions) for name, score in wanted.items()}

    def _score_lpips(self, comparison: Comparison, boxes: Sequence[Region]) -> dict[str, list[float | None]]:
        """Return the distances of all pictures, then of all cut-outs, which go through a network together.

        The last bits of a distance hang on what else is in a batch, which is why the batches of a run follow from its
        pictures alone.
        """
        pair = (comparison.prediction, comparison.truth)
        cutouts = [_cut_all(pictures, boxes) for pictures in pair] if self.networks.lpips and boxes else []
        values: dict[str, list[float | None]] = {}
        for metric, network in self.networks.lpips.items():
            large = min(comparison.size) >= LEAST_SIDE
            images = lpips_values(network, *pair).tolist() if large else [None] * len(comparison.truth)
            values[metric] = [*images, *(lpips_values(network, *cutouts).tolist() if cutouts else [])]
        return values

    def _score_classes(self, comparison: Comparison, pictures: Sequence[Picture]) -> dict[str, list[float | None]]:
        """Return whether networks name the class of each prediction, and of its truth."""
        labels = [picture.label for picture in pictures]
        values: dict[str, list[float | None]] = {}
        for metric, classifier in self.networks.classifiers.items():
            values[metric] = top1(classifier, comparison.prediction, labels)
            values[METRICS[metric].companion] = top1(classifier, comparison.truth, labels)
        return values

    def _features(self, comparison: Comparison) -> tuple[Tensor, Tensor] | None:
        network = self.networks.inception
        if network is None:
            return None
        return inception_features(network, comparison.prediction), inception_features(network, comparison.truth)

    def _instance(self, annotation: Annotation, box: PixelBox, scores: Scores) -> InstanceRow:
        left, top, right, bottom = box
        return InstanceRow(
            instance=annotation.id,
            category_id=annotation.category_id,
            category=self.categories.get(annotation.category_id, ""),
            area=annotation.area,
            size=area_to_size(annotation.area),
            x=left,
            y=top,
            width=right - left,
            height=bottom - top,
            scores=scores,
        )


def _cut_all(pictures: Tensor, regions: Sequence[Region]) -> Tensor:
    """Return the boxes of a batch as `cut_out` makes them, (R, 3, 64, 64)."""
    boxes: dict[int, list[PixelBox]] = {}
    for region in regions:
        if region.box is not None:
            boxes.setdefault(region.index, []).append(region.box)
    return torch.cat([cut_out(pictures[index], of_picture) for index, of_picture in sorted(boxes.items())])


def _transposed(
    values: Mapping[str, Sequence[float | None]], columns: Sequence[str], start: int, count: int
) -> list[Scores]:
    """Return the scores of each of `count` regions from `start` on, in the order of `columns`."""
    return [{name: values[name][start + place] for name in columns} for place in range(count)]
