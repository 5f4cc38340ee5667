"""The table of the scores of inpainting: what each measures, and whose definition it is. Knows no torch."""

from collections.abc import Mapping
from types import MappingProxyType

from bench.scoring.metrics import METRICS, Metric

NAZERI = "Nazeri et al. 2019; scripts/metrics.py of github.com/knazeri/edge-connect"
WIDE_WINDOW = 51
"""Side in pixels of the window of `ssim_gray51`."""


def _edges(which: str, share: str) -> Metric:
    return Metric(
        id=f"edge_{which}",
        name=f"edge {which}",
        direction="higher",
        decimals=3,
        levels=("image",),
        definition=(
            f"share of the {share}, drawn lines being those above 0.5, true ones Canny's, in the hole alone and pixel "
            "by pixel; 1 where there are neither; for methods that draw lines themselves"
        ),
        source="src/metrics.py of github.com/knazeri/edge-connect",
    )


INPAINT_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.id: metric
        for metric in (
            METRICS["psnr"],
            METRICS["ssim"],
            Metric(
                id="l1_relative",
                name="relative L1",
                unit="%",
                direction="lower",
                decimals=2,
                levels=("image",),
                definition="sum of |a - b| over the sum of a + b, of the grey pictures in [0, 1]; as published",
                source=NAZERI,
            ),
            Metric(
                id="l1_of_truth",
                name="L1 of truth",
                unit="%",
                direction="lower",
                decimals=2,
                levels=("image",),
                definition="sum of |a - b| over the sum of the true a, over pixels and channels; as in training logs",
                source="src/edge_connect.py of github.com/knazeri/edge-connect",
            ),
            Metric(
                id="psnr_gray",
                name="PSNR grey",
                unit="dB",
                direction="higher",
                decimals=2,
                levels=("image",),
                definition="PSNR of the grey pictures in [0, 1], capped at 100 dB; as published",
                source=NAZERI,
            ),
            Metric(
                id="ssim_gray51",
                name="SSIM grey 51",
                direction="higher",
                decimals=4,
                levels=("image",),
                definition=(
                    f"SSIM of the grey pictures in [0, 1] with even windows of {WIDE_WINDOW} pixels and sample "
                    "covariance; as published; none for smaller pictures"
                ),
                source=NAZERI,
            ),
            METRICS["fid"],
            _edges("precision", "drawn lines that are true ones"),
            _edges("recall", "true lines that were drawn"),
        )
    }
)
"""The scores, by id; `psnr` and `ssim` are those of colorization, `fid` too. Pictures are compared as 8-bit sRGB with
the hole filled and the truth's own pixels around it."""
