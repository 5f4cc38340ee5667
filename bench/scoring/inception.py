"""The Inception network of the original FID, which looks at 8-bit pictures; torch-fidelity builds and runs it."""

import io
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.scoring.features import FEATURES
from bench.scoring.perceptual import full_precision
from bench.scoring.states import check_state, read_state

CHUNK = 8


@cache
def load_inception(path: Path) -> nn.Module:
    """Build the network with its weights from a file.

    Source: the graph `inception-2015-12-05` of TensorFlow, its weights as converted by pytorch-fid.

    Args:
        path: state dict of the converted network.

    Raises:
        UsageError: The file is not such a state dict.
    """
    state = read_state(path)
    fault = f"{path.name} does not hold the Inception network of FID"
    try:
        network = _build(state)
    except RuntimeError as error:
        raise UsageError(f"{fault}: {textwrap.shorten(str(error), 400)}") from error
    check_state(state, network, fault)
    return network


def _build(state: Mapping[str, Tensor]) -> nn.Module:
    """Return the network with tensors of exactly its names and shapes; draws no random number.

    The library unpickles without protection what it is given, and fetches what it is not: it gets a file in memory
    that was written here, of tensors only.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with io.BytesIO() as file, torch.random.fork_rng(devices=[]):
        torch.save(dict(state), file)
        file.seek(0)
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception", [str(FEATURES)], feature_extractor_weights_path=file
        )
    return network


def inception_features(network: nn.Module, rgb: Tensor) -> Tensor:
    """Return what the last pooling of the network makes of each picture.

    Convention: the network stretches pictures to 299 x 299 as TensorFlow 1 did, bilinear by corners, not antialiased.

    Args:
        network: of `load_inception`, on the device of the pictures.
        rgb: (B, 3, H, W) uint8 sRGB.

    Returns:
        (B, 2048) float32.
    """
    parts = [torch.zeros(0, FEATURES, device=rgb.device)]
    with full_precision(rgb.device):
        for start in range(0, len(rgb), CHUNK):
            parts += network(rgb[start : start + CHUNK])
    return torch.cat(parts)
