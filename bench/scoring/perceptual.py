"""LPIPS 0.1 with backbones that are looked for like all weights; its linear layers come with the `lpips` package."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UsageError
from bench.scoring.fidelity import PixelBox
from bench.scoring.states import read_state

PREFIX = "lpips_"
LEAST_SIDE = 32
CUTOUT_SIDE = 64
CHUNK_PIXELS = 2**19


@cache
def load_lpips(net: str, backbone: Path) -> nn.Module:
    """Build LPIPS with the weights of its backbone from a file.

    Args:
        net: `squeeze`, `alex` or `vgg`.
        backbone: state dict of torchvision's network, or of its `features` alone.

    Raises:
        UsageError: The file is not such a state dict.
    """
    network = build_lpips(net)
    wanted = {name: name.split(".", 2)[2] for name in network.state_dict() if name.startswith("net.")}
    given = read_backbone(backbone)
    if set(given) != set(wanted.values()):
        differing = sorted(set(given) ^ set(wanted.values()))
        raise UsageError(
            f"{backbone.name} is not the backbone of LPIPS-{net}: {len(differing)} names differ, such as "
            f"{', '.join(differing[:3])}; give torchvision's state dict of it"
        )
    try:
        network.load_state_dict({name: given[key] for name, key in wanted.items()}, strict=False)
    except RuntimeError as error:
        raise UsageError(f"{backbone.name} is not the backbone of LPIPS-{net}: {error}") from error
    return network.requires_grad_(False).eval()


def build_lpips(net: str) -> nn.Module:
    """Return LPIPS 0.1 with its published linear layers and a backbone without meaning; draws no random number."""
    import lpips

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # lpips calls torchvision by arguments that have been renamed since.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models\._utils")
        network: nn.Module = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    return network


def read_backbone(path: Path) -> dict[str, Tensor]:
    """Return the feature layers of a torchvision state dict by their names below `features`.

    Raises:
        UsageError: The file holds no state dict, or cannot be read as one without running code.
    """
    state = read_state(path)
    whole = any(name.startswith("features.") for name in state)
    kept = {name: value for name, value in state.items() if not (whole and name.startswith("classifier."))}
    return {name.removeprefix("features."): value for name, value in kept.items()}


def lpips_values(network: nn.Module, prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the distance of each pair of pictures.

    Args:
        network: of `load_lpips`, on the device of the pictures.
        prediction: (B, 3, H, W), 8-bit sRGB values, uint8 or real numbers in [0, 255]; H and W at least 32.
        truth: the same.

    Returns:
        (B,) float64.
    """
    step = max(1, CHUNK_PIXELS // (prediction.shape[-1] * prediction.shape[-2]))
    parts = [torch.zeros(0, dtype=torch.float64, device=prediction.device)]
    with full_precision(prediction.device):
        for start in range(0, len(prediction), step):
            ours, theirs = (pictures[start : start + step].float() / 127.5 - 1 for pictures in (prediction, truth))
            parts.append(network(ours, theirs).flatten().double())
    return torch.cat(parts)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32, with neither autocast nor the 10-bit mantissa that a GPU takes by default or by setting."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.autocast(device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False),
            torch.no_grad(),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def cut_out(picture: Tensor, boxes: Sequence[PixelBox]) -> Tensor:
    """Return the boxes of a picture, each resized to 64 x 64 in real numbers, bilinear with antialiasing.

    Args:
        picture: (3, H, W) uint8.
        boxes: in its pixels.

    Returns:
        (K, 3, 64, 64) float32 in [0, 255].
    """
    size = (CUTOUT_SIDE, CUTOUT_SIDE)
    values = picture[None].float()
    cutouts = [
        functional.interpolate(
            values[..., top:bottom, left:right], size, mode="bilinear", align_corners=False, antialias=True
        )
        for left, top, right, bottom in boxes
    ]
    return torch.cat(cutouts) if cutouts else values.new_zeros(0, 3, *size)
