"""Scores of real photos, pictures and instances, against computations that share no code with this suite.

The default tier takes three photos, `-m slow` a hundred. `-s` prints the largest deviation of each metric.
"""

import io
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from scipy.spatial import cKDTree
from skimage import color, metrics
from torch import Tensor
from torch.nn import functional

from bench.rows import Row
from bench.scoring.colour import PRIOR
from bench.scoring.networks import Networks
from bench.scoring.perceptual import load_lpips
from bench.scoring.scorer import Picture, Scorer
from datamodules.protocol import PROTOCOLS
from datamodules.sources.coco import CocoSource

SKIMAGE_COLOR: Any = color
SKIMAGE_METRICS: Any = metrics
BINS = Path("data/ab_bins/pts_in_hull.npy")
TOLERANCE = 1e-5
PIXEL_METRICS = ("psnr", "ssim", "ab_rmse", "ciede2000", "auc", "auc_rebalanced", "colorfulness")

Pixels = NDArray[np.uint8]
Distance = Callable[[Tensor, Tensor], float]


def with_noise(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 12, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture) + noise).round().clip(0, 255).astype(np.uint8))


def with_turned_hue(picture: Image.Image, seed: int) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    turned = hue.point(lambda level: (level + 10 + seed % 50) % 256)
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def as_jpeg(picture: Image.Image, seed: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=10 + seed % 40)
    return Image.open(file).convert("RGB")


KINDS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "noise": with_noise,
    "blur": lambda picture, seed: picture.filter(ImageFilter.GaussianBlur(1 + seed % 4)),
    "desaturated": lambda picture, seed: ImageEnhance.Color(picture).enhance(seed % 5 / 10),
    "hue": with_turned_hue,
    "jpeg": as_jpeg,
}


def reference_psnr(prediction: Pixels, truth: Pixels) -> float:
    with np.errstate(divide="ignore"):  # a grey photo has no saturation to lose: no error, and an infinite ratio
        return min(float(SKIMAGE_METRICS.peak_signal_noise_ratio(truth, prediction, data_range=255)), 100)


def reference_ssim(prediction: Pixels, truth: Pixels) -> float:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(SKIMAGE_METRICS.structural_similarity(truth, prediction, channel_axis=-1, **settings))


def reference_auc(distances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    shares = [(weights * (distances <= threshold)).sum() / weights.sum() for threshold in range(151)]
    return float(np.trapezoid(shares) / 150 * 100)


def reference_colorfulness(picture: Pixels) -> float:
    red, green, blue = np.moveaxis(picture.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def reference_scores(prediction: Pixels, truth: Pixels, weights: NDArray[np.float64]) -> dict[str, float]:
    """Return the scores of one picture or cut-out, each computed for itself."""
    ours, theirs = (SKIMAGE_COLOR.rgb2lab(picture) for picture in (prediction, truth))
    apart = ours[..., 1:] - theirs[..., 1:]
    distances = np.linalg.norm(apart, axis=-1)
    return {
        "psnr": reference_psnr(prediction, truth),
        "ssim": reference_ssim(prediction, truth),
        "ab_rmse": math.sqrt((apart**2).mean()),
        "ciede2000": float(SKIMAGE_COLOR.deltaE_ciede2000(ours, theirs).mean()),
        "auc": reference_auc(distances, np.ones_like(distances)),
        "auc_rebalanced": reference_auc(distances, weights),
        "colorfulness": reference_colorfulness(prediction),
        "colorfulness_truth": reference_colorfulness(truth),
    }


def reference_weights(truth: Pixels, bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the inverse prior of each pixel's nearest bin."""
    prior = json.loads(PRIOR.read_text())
    probability = np.maximum(prior["probability"], 1 / prior["pixels"])
    nearest = cKDTree(bins).query(SKIMAGE_COLOR.rgb2lab(truth)[..., 1:])[1]
    return np.asarray(1 / probability[nearest])


def reference_lpips(weights: Path) -> Distance:
    """Return the distance of two (3, H, W) pictures in [0, 255] by the package itself, with the published weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: Any = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False).eval()
    state = torch.load(weights)
    for layers in network.net.children():
        for index, layer in layers.named_children():
            layer.load_state_dict(
                {key.removeprefix(f"{index}."): each for key, each in state.items() if key.startswith(f"{index}.")}
            )

    @torch.no_grad()
    def distance(ours: Tensor, theirs: Tensor) -> float:
        return float(network(ours[None] / 255, theirs[None] / 255, normalize=True))

    return distance


def whole(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float()


def resized(picture: Pixels) -> Tensor:
    return functional.interpolate(whole(picture)[None], (64, 64), mode="bilinear", align_corners=False, antialias=True)[
        0
    ]


class Photos:
    """Score photos and their perturbed predictions as a run does."""

    def __init__(self, shared: Path, networks: Networks) -> None:
        self.source = CocoSource(shared / "data/coco")
        self.bins = np.load(shared / BINS)
        self.scorer = Scorer(
            run_id="acceptance",
            protocol=PROTOCOLS["stretch256-v1"],
            metrics=(*PIXEL_METRICS, *networks.lpips),
            truths={photo.key: photo.annotations for photo in self.source.photos},
            categories=self.source.categories,
            networks=networks,
        )

    def scored(self, key: str, seed: int, kinds: Sequence[str]) -> Iterator[tuple[Row, Pixels, Pixels]]:
        """Give the row, prediction and truth of each kind for one photo; all kinds are scored as one batch."""
        photo = self.source.read(key)
        truth = self.scorer.protocol.apply(Image.fromarray(photo))
        predictions = [np.asarray(KINDS[kind](truth, seed)) for kind in kinds]
        pictures = [Picture(key=key, photo_size=photo.shape[:2]) for _ in kinds]
        ours = torch.from_numpy(np.stack(predictions)).permute(0, 3, 1, 2)
        theirs = torch.from_numpy(np.stack([np.asarray(truth)] * len(kinds))).permute(0, 3, 1, 2)
        rows = self.scorer.score(ours, theirs, pictures).rows
        for row, prediction in zip(rows, predictions, strict=True):
            yield row, prediction, np.asarray(truth)

    def deviations(self, key: str, seed: int, kinds: Sequence[str], distance: Distance | None) -> dict[str, float]:
        """Return how far each metric is from its reference at most, over the pictures and instances of a photo."""
        largest: dict[str, float] = {}
        weights = None
        for row, prediction, truth in self.scored(key, seed, kinds):
            weights = reference_weights(truth, self.bins) if weights is None else weights
            regions = [(row.scores, prediction, truth, weights)]
            for each in row.instances:
                place = (slice(each.y, each.y + each.height), slice(each.x, each.x + each.width))
                regions.append((each.scores, prediction[place], truth[place], weights[place]))
            for scores, ours, theirs, weight in regions:
                expected = reference_scores(ours, theirs, weight)
                if distance is not None:
                    sizes = resized if scores is not row.scores else whole
                    expected["lpips_squeeze"] = distance(sizes(ours), sizes(theirs))
                assert set(expected) == set(scores)
                for name, value in expected.items():
                    found = scores[name]
                    assert found is not None
                    largest[name] = max(largest.get(name, 0), abs(found - value))
        return largest


def check(found: list[dict[str, float]]) -> None:
    largest = {name: max(each[name] for each in found) for name in found[0]}
    print(f"\nlargest deviations over {len(found)} photos:")
    print("\n".join(f"  {name:20}{value:.1e}" for name, value in largest.items()))
    assert {name: value for name, value in largest.items() if value > TOLERANCE} == {}


def test_three_photos_score_as_by_independent_computations(shared: Path) -> None:
    photos, kinds = Photos(shared, Networks()), list(KINDS)
    with_instances = [photo.key for photo in photos.source.photos if 0 < len(photo.annotations) < 4]
    check([photos.deviations(key, seed, kinds[seed::3], None) for seed, key in enumerate(with_instances[:3])])


@pytest.mark.slow
def test_a_hundred_photos_score_as_by_independent_computations(shared: Path) -> None:
    weights = shared / "weights/squeezenet1_1-features.pth"
    photos = Photos(shared, Networks(lpips={"lpips_squeeze": load_lpips("squeeze", weights)}))
    distance, keys = reference_lpips(weights), [photo.key for photo in photos.source.photos[:100]]
    check([photos.deviations(key, seed, list(KINDS), distance) for seed, key in enumerate(keys)])
