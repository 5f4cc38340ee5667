"""The table of metrics: what each measures, in which unit, and which way is better. Knows no torch."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.catalog import known
from bench.errors import UsageError
from bench.plugins import Extended, Plugin
from bench.scoring.classifiers import CLASSIFICATION, CLASSIFIERS, ClassifierFile

Level = Literal["image", "instance"]
Direction = Literal["higher", "lower", "truth"]


class Metric(BaseModel):
    """Describe one metric.

    Attributes:
        id: its name in suites, rows and tables.
        name: its name in headings.
        unit: empty for a plain number.
        direction: which values are better; `truth` for those that are nearest to the truth's own.
        decimals: shown in tables; files hold all digits.
        levels: whether pictures, instances or both have it.
        of_set: whether a set of pictures has it, but no single one.
        companion: the column beside it that holds the same of the truth, from which the record says the difference;
            empty for none.
        definition: what is computed, and when there is no value.
        source: where it was defined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    unit: str = ""
    direction: Direction
    decimals: int
    levels: tuple[Level, ...] = ("image", "instance")
    of_set: bool = False
    companion: str = ""
    definition: str
    source: str

    @property
    def arrow(self) -> str:
        """Return an arrow that points to the better values; a level one where they are those of the truth."""
        return {"higher": "↑", "lower": "↓", "truth": "→"}[self.direction]

    @property
    def title(self) -> str:
        """Return the heading of its column: name, unit in brackets, arrow."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit} {self.arrow}"


def _lpips(net: str, backbone: str) -> Metric:
    return Metric(
        id=f"lpips_{net}",
        name=f"LPIPS-{net}",
        direction="lower",
        decimals=4,
        definition=(
            f"learned perceptual distance with {backbone} features, weights 0.1, inputs scaled to [-1, 1]; an "
            "instance's cut-out is resized to 64 x 64 in real numbers, bilinear with antialiasing; none for pictures "
            "below 32 px on the short side"
        ),
        source="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018",
    )


def _top1(classifier: ClassifierFile) -> Metric:
    known_as = "VGG-16" if classifier.metric == CLASSIFICATION else classifier.network
    return Metric(
        id=classifier.metric,
        name=f"{known_as} top-1",
        unit="%",
        direction="higher",
        decimals=1,
        levels=("image",),
        companion=f"{classifier.metric}_truth",
        definition=(
            f"share of predictions whose ImageNet class torchvision's {classifier.network} names first, with the "
            f"weights {classifier.weights} and the resize and crop that come with them; none for pictures without a "
            "class; the record holds the difference to the share of the true pictures"
        ),
        source="Zhang et al., Colorful Image Colorization, ECCV 2016, section 3.1",
    )


SHIPPED: Mapping[str, Metric] = MappingProxyType(
    {
        metric.id: metric
        for metric in (
            Metric(
                id="psnr",
                name="PSNR",
                unit="dB",
                direction="higher",
                decimals=2,
                definition=(
                    "peak signal-to-noise ratio of the 8-bit sRGB pictures over all pixels and channels, peak 255, "
                    "capped at 100 dB, which an identical pair has"
                ),
                source="ITU-T J.340; equal to scikit-image's peak_signal_noise_ratio",
            ),
            Metric(
                id="ssim",
                name="SSIM",
                direction="higher",
                decimals=4,
                definition=(
                    "structural similarity of the 8-bit sRGB pictures: Gaussian window 11, sigma 1.5, K1 0.01, K2 "
                    "0.03, population covariance, windows fully inside, mean over pixels, then channels; none for "
                    "pictures below 11 px on the short side"
                ),
                source="Wang et al., Image Quality Assessment, IEEE TIP 2004; equal to scikit-image's",
            ),
            _lpips("alex", "AlexNet"),
            _lpips("vgg", "VGG-16"),
            _lpips("squeeze", "SqueezeNet 1.1"),
            Metric(
                id="ab_rmse",
                name="ab-RMSE",
                unit="CIE",
                direction="lower",
                decimals=2,
                definition=("root of the mean squared a*b* error of the 8-bit pictures, over pixels and both channels"),
                source="Deshpande et al., Learning Large-Scale Automatic Image Colorization, ICCV 2015",
            ),
            Metric(
                id="ciede2000",
                name="CIEDE2000",
                unit="ΔE",
                direction="lower",
                decimals=2,
                definition="mean over pixels of the CIE 2000 colour difference of the 8-bit pictures, kL = kC = kH = 1",
                source="CIE 142-2001; Sharma et al., Color Research and Application 2005; equal to scikit-image's",
            ),
            Metric(
                id="auc",
                name="AuC",
                unit="%",
                direction="higher",
                decimals=2,
                definition=(
                    "area, by trapezoids, under the cumulative share of pixels whose a*b* distance is at most t, "
                    "t = 0, 1, ..., 150, in per cent of a perfect one"
                ),
                source="Zhang et al., Colorful Image Colorization, ECCV 2016, section 3.1",
            ),
            Metric(
                id="auc_rebalanced",
                name="AuC rebalanced",
                unit="%",
                direction="higher",
                decimals=2,
                definition=(
                    "AuC with pixels weighted by the inverse prior of their true bin of 313, within each region; the "
                    "smoothed prior of 970 photos of ImageNet is part of the code"
                ),
                source="Zhang et al., Colorful Image Colorization, ECCV 2016, section 3.1",
            ),
            Metric(
                id="colorfulness",
                name="Colorfulness",
                direction="truth",
                decimals=2,
                companion="colorfulness_truth",
                definition=(
                    "of the 8-bit prediction, with signed rg and yb and population deviations; best where the truth's "
                    "mean is, and the record holds the difference to that"
                ),
                source="Hasler and Suesstrunk, Measuring Colorfulness in Natural Images, SPIE 5007, 2003",
            ),
            Metric(
                id="fid",
                name="FID",
                direction="lower",
                decimals=2,
                levels=("image",),
                of_set=True,
                definition=(
                    "Frechet distance between the 2048 features of all 8-bit predictions and of their own truths, by "
                    "the Inception network and the stretch to 299 x 299 of the TensorFlow original; biased upwards, "
                    "the more the fewer pictures there are; a set has it, no single picture"
                ),
                source="Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017; as torch-fidelity",
            ),
            *map(_top1, CLASSIFIERS.values()),
        )
    }
)
"""Colorbench's own metrics by id, in the order of tables."""

RESERVED = re.compile(
    "image|instance|width|height|n|n_instances|status|category_id|category|area|size|x|y|rank|tie_group|seeds|level|"
    "dataset|protocol|method|detector|partial|untrained|.*_(truth|low|high|rank)"
)
"""Columns of tables beside those of metrics."""


def _read_plugin(plugin: Plugin) -> Metric:
    """Return what the module of a plug-in says of its metric.

    Raises:
        UsageError: The module has no `METRIC` that fits, or no `score`.
    """
    module = plugin.load()
    metric = getattr(module, "METRIC", None)
    if not isinstance(metric, Metric) or not callable(getattr(module, "score", None)):
        raise plugin.fault("names no module with a `METRIC`, a bench.scoring.metrics.Metric, and a function `score`")
    if metric.id != plugin.id:
        raise plugin.fault(f"has a METRIC whose id is {metric.id!r}: both names must be the same")
    if RESERVED.fullmatch(metric.id) or metric.id in VARIANTS:
        raise plugin.fault("has the name of another column of tables, or of a known variant of a metric: rename it")
    if metric.of_set or metric.companion or "image" not in metric.levels:
        raise plugin.fault("is no metric of single pictures: of_set and companion are not for plug-ins")
    return metric


METRICS = Extended("metric", SHIPPED, _read_plugin)
"""All metrics by id, in the order of tables, those of plug-ins last."""


def metrics_at(level: Level, metrics: Iterable[str]) -> tuple[str, ...]:
    """Return those of some metrics that a level has."""
    return tuple(metric for metric in metrics if level in METRICS[metric].levels)


def row_columns(level: Level, metrics: Iterable[str]) -> tuple[str, ...]:
    """Return what stands in rows and their tables for some metrics: those of single pictures, and their companions.

    >>> row_columns("image", ("psnr", "colorfulness"))
    ('psnr', 'colorfulness', 'colorfulness_truth')
    """
    single = [METRICS[metric] for metric in metrics_at(level, metrics) if not METRICS[metric].of_set]
    return tuple(name for metric in single for name in (metric.id, metric.companion) if name)


VARIANTS: Mapping[str, str] = MappingProxyType(
    {
        "lpips": "LPIPS hangs on its backbone, so each is a metric: lpips_alex, lpips_vgg or lpips_squeeze",
        "psnr_pooled": (
            "one squared error pooled over the set (the default of torchmetrics) differs by several dB from the mean "
            "over pictures: take psnr"
        ),
        "psnr_ab": "a*b* have no peak of 255, though some compute a PSNR with it: take ab_rmse",
        "ssim_gray": "EdgeConnect's SSIM looks at grey pictures, through a window of 51: take ssim",
        "ssim_225": "CT2's SSIM has a data range of 225, by a slip: take ssim",
        "auc_pooled": (
            "all pixels of a set in one curve, or the mean of 151 shares for the area, are other numbers: take auc, "
            "whose set mean is over pictures"
        ),
        "auc_prior_probs": (
            "the authors' prior_probs.npy is no prior of photos, it comes of 0 to 255 given to what wants 0 to 1: take "
            "auc_rebalanced"
        ),
        "colorfulness_abs": (
            "DDColor, CT2 and UniColor take |rg| and |yb|, Hasler and Suesstrunk signed ones: take colorfulness"
        ),
        "delta_colorfulness": (
            "papers mean the difference of the means or the mean of the differences: take colorfulness, whose record "
            "holds the first as `difference`"
        ),
        "classification_top1_vgg16": "VGG-16 is what is asked where no network is named: take classification_top1",
        "fid_64": "the FID of 64 features is another scale: take fid, of 2048 features",
        "fid_ddcolor": "DDColor scales the input of Inception in its own way: take fid",
        "fid_clean": "clean-fid resizes with antialiasing, which the original does not: take fid",
    }
)
"""What papers report under the name of a metric here, and what to take instead."""


def find_metric(name: str) -> Metric:
    """Return a metric by its id.

    Raises:
        UsageError: There is none; the message has the nearest ids, or says why a known variant is not computed.
    """
    if name in VARIANTS:
        raise UsageError(f"{name!r} is not computed here: {VARIANTS[name]}")
    named = [metric for metric in METRICS if name.startswith(CLASSIFICATION) or not is_variant(metric)]
    return METRICS[known("metric", name, named)]


def is_variant(metric: str) -> bool:
    """Whether a metric is `classification_top1` by another network, of which lists for people show the form alone."""
    return metric in CLASSIFIERS and metric != CLASSIFICATION
