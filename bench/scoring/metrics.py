"""The table of metrics: what each measures, in which unit, and which way is better. Knows no torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["image", "instance"]
Direction = Literal["higher", "lower"]


class Metric(BaseModel):
    """Describe one metric.

    Attributes:
        id: its name in suites, rows and tables.
        name: its name in headings.
        unit: empty for a plain number.
        direction: which values are better.
        decimals: shown in tables; files hold all digits.
        levels: whether pictures, instances or both have it.
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
    definition: str
    source: str

    @property
    def arrow(self) -> str:
        """Return an arrow that points to the better values."""
        return "↑" if self.direction == "higher" else "↓"

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


METRICS: Mapping[str, Metric] = MappingProxyType(
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
        )
    }
)
"""All metrics by id, in the order of tables."""
