"""sRGB to CIE L*a*b* and back, in torch: what every number of this suite rests on."""

import numpy as np
import torch
from torch import Tensor

# R G B to X Y Z, each row divided by the white point (D65, 2 degrees), as in scikit-image.
WHITE = (0.95047, 1.0, 1.08883)
XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
TO_XYZ = (XYZ_OF_RGB / np.array(WHITE)[:, None]).tolist()
TO_RGB = (np.linalg.inv(XYZ_OF_RGB) * np.array(WHITE)[None, :]).tolist()

# Gamma-encoded R G B to luma and the two colour differences of analogue PAL, as in scikit-image.
YUV_OF_RGB = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.14714119, -0.28886916, 0.43601035],
        [0.61497538, -0.51496512, -0.10001026],
    ]
)
TO_YUV = YUV_OF_RGB.tolist()
FROM_YUV = np.linalg.inv(YUV_OF_RGB).tolist()

SRGB_TOE = 0.04045
LINEAR_TOE = 0.0031308
LAB_TOE = 0.008856
LAB_ROOT_TOE = 0.2068966


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert gamma-encoded sRGB to CIE L*a*b*.

    Convention:
        White point D65, 2 degree observer; matrix and linear toe (0.008856, 7.787) are those of
        `skimage.color.rgb2lab`. Values outside [0, 1] are not clipped. Differentiable everywhere.

    Args:
        rgb: (..., 3, H, W) floating point, R G B in [0, 1].

    Returns:
        (..., 3, H, W), same dtype and device: L* in [0, 100], a* and b* in CIE units.

    Raises:
        ValueError: The third dimension from the right is not 3, or `rgb` is integer.

    Source:
        IEC 61966-2-1 for the transfer curve, CIE 15:2004 for L*a*b*.
    """
    check_colors(rgb, "rgb")
    return linear_to_lab(torch.where(rgb > SRGB_TOE, ((rgb.clamp_min(SRGB_TOE) + 0.055) / 1.055) ** 2.4, rgb / 12.92))


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIE L*a*b* to gamma-encoded sRGB.

    Convention:
        As `skimage.color.lab2rgb`, which sets a negative Z to zero, but without its clipping at the end: colours
        outside of the gamut leave [0, 1], so that they keep a gradient.

    Args:
        lab: (..., 3, H, W) floating point, L* in [0, 100], a* and b* in CIE units.

    Returns:
        (..., 3, H, W), same dtype and device.

    Raises:
        ValueError: The third dimension from the right is not 3, or `lab` is integer.
    """
    check_colors(lab, "lab")
    light, a, b = lab.unbind(-3)
    y = (light + 16) / 116
    roots = torch.stack((y + a / 500, y, (y - b / 200).clamp_min(0)), -3)
    xyz = torch.where(roots > LAB_ROOT_TOE, roots**3, (roots - 16 / 116) / 7.787)
    linear = mix(xyz, TO_RGB)
    return torch.where(linear > LINEAR_TOE, 1.055 * linear.clamp_min(LINEAR_TOE) ** (1 / 2.4) - 0.055, linear * 12.92)


def rgb_to_yuv(rgb: Tensor) -> Tensor:
    """Convert gamma-encoded R G B in [0, 1] to Y in [0, 1], U within 0.436 and V within 0.615 of 0.

    Convention:
        As `skimage.color.rgb2yuv`; all of (..., 3, H, W), floating point.
    """
    check_colors(rgb, "rgb")
    return mix(rgb, TO_YUV)


def yuv_to_rgb(yuv: Tensor) -> Tensor:
    """Convert Y U V back to gamma-encoded R G B, not clipped; as `skimage.color.yuv2rgb`, all of (..., 3, H, W)."""
    check_colors(yuv, "yuv")
    return mix(yuv, FROM_YUV)


def rgb8_to_lab(rgb: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert 8-bit sRGB to CIE L*a*b*; equal to `rgb_to_lab(rgb / 255)`, but several times faster.

    Args:
        rgb: (..., 3, H, W) uint8.
        dtype: that is computed in; float32 is off by 1e-4 units at most.

    Returns:
        (..., 3, H, W) of that type: L* in [0, 100], a* and b* in CIE units.
    """
    if rgb.dtype != torch.uint8 or rgb.dim() < 3 or rgb.shape[-3] != 3:
        raise ValueError(f"rgb must be uint8 of shape (..., 3, H, W), but it is {rgb.dtype} {tuple(rgb.shape)}")
    levels = torch.arange(256, dtype=torch.float64) / 255
    curve = torch.where(levels > SRGB_TOE, ((levels + 0.055) / 1.055) ** 2.4, levels / 12.92)
    linear = curve.to(rgb.device, dtype).index_select(0, rgb.flatten().int()).view(rgb.shape)
    return linear_to_lab(linear)


def lab_to_rgb8(light: Tensor, chroma: Tensor) -> Tensor:
    """Make the 8-bit picture of light and chroma: clipped to the gamut, rounded half to even.

    Computes in float32, whose error is below 1e-2 of an 8-bit step: the L*a*b* of each of the 16.7 million colours of
    8 bits gives that colour again.

    Args:
        light: (B, 1, H, W) L* in [0, 100].
        chroma: (B, 2, H, W) a* and b* in CIE units, finite.

    Returns:
        (B, 3, H, W) uint8.
    """
    rgb = lab_to_rgb(torch.cat((light.float(), chroma.float()), -3))
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8)


def linear_to_lab(linear: Tensor) -> Tensor:
    """Convert linear-light sRGB, (..., 3, H, W) in [0, 1], to CIE L*a*b*."""
    xyz = mix(linear, TO_XYZ)
    roots = torch.where(xyz > LAB_TOE, xyz.clamp_min(LAB_TOE) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = roots.unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -3)


def mix(colors: Tensor, matrix: list[list[float]]) -> Tensor:
    """Multiply each colour by a 3 x 3 matrix, in full precision: a matrix product would use TF32 on a GPU."""
    first, second, third = colors.unbind(-3)
    return torch.stack([row[0] * first + row[1] * second + row[2] * third for row in matrix], -3)


def check_colors(colors: Tensor, name: str) -> None:
    """Refuse what is no floating-point picture of three channels."""
    if colors.dim() < 3 or colors.shape[-3] != 3 or not colors.is_floating_point():
        raise ValueError(
            f"{name} must be floating point of shape (..., 3, H, W), but it is {colors.dtype} {tuple(colors.shape)}"
        )
