"""The generators of EdgeConnect against the table of their layers, written out again in functions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.networks.edgeconnect import CompletionGenerator, EdgeGenerator

Kind = type[EdgeGenerator] | type[CompletionGenerator]

# Of encoder, middle and decoder: 10 761 089 and 10 774 595 in all. Counted on the networks of the authors' release,
# whose answers and gradients are the same bit by bit once its weights are copied.
PARAMETERS: dict[Kind, tuple[int, int, int]] = {
    EdgeGenerator: (665_216, 9_437_184, 658_689),
    CompletionGenerator: (668_352, 9_441_280, 664_963),
}


def weight(state: dict[str, Tensor], key: str) -> Tensor:
    """Return a weight as it is used: divided by its greatest singular value where it is kept with a vector for it."""
    if f"{key}.weight" in state:
        return state[f"{key}.weight"]
    original, left = state[f"{key}.weight_orig"], state[f"{key}.weight_u"]
    dim = 1 if key.startswith("decoder") else 0
    rows = original.transpose(0, dim).flatten(1)
    right = state[f"{key}.weight_v"]
    return original / (left @ rows @ right)


def normed(features: Tensor) -> Tensor:
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = (features - mean).square().mean(dim=(2, 3), keepdim=True)
    return (features - mean) / (variance + 1e-5).sqrt()


def rebuilt(state: dict[str, Tensor], picture: Tensor) -> Tensor:
    """Run the layers of the reference, each by the number that it has in the release."""

    def convolve(features: Tensor, key: str, pad: int = 0, stride: int = 1, dilation: int = 1) -> Tensor:
        if pad:
            features = functional.pad(features, (pad,) * 4, mode="reflect")
        zeros = 1 if stride == 2 else 0
        return functional.conv2d(features, weight(state, key), state.get(f"{key}.bias"), stride, zeros, dilation)

    def enlarge(features: Tensor, key: str) -> Tensor:
        return functional.conv_transpose2d(features, weight(state, key), state[f"{key}.bias"], 2, 1)

    features = normed(convolve(picture, "encoder.1", pad=3)).relu()
    features = normed(convolve(features, "encoder.4", stride=2)).relu()
    features = normed(convolve(features, "encoder.7", stride=2)).relu()
    for block in range(8):
        inner = normed(convolve(features, f"middle.{block}.conv_block.1", pad=2, dilation=2)).relu()
        features = features + normed(convolve(inner, f"middle.{block}.conv_block.5", pad=1))
    features = normed(enlarge(features, "decoder.0")).relu()
    features = normed(enlarge(features, "decoder.3")).relu()
    return convolve(features, "decoder.7", pad=3)


def drawn(kind: Kind, width: float = 1 / 16) -> EdgeGenerator | CompletionGenerator:
    """Return a small generator all of whose parameters matter, biases as well."""
    torch.manual_seed(0)
    network = kind(width=width).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
    return network


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters_of_the_published_size(kind: Kind) -> None:
    with torch.device("meta"):
        network = kind()
    parts = (network.encoder, network.middle, network.decoder)
    assert tuple(sum(one.numel() for one in part.parameters()) for part in parts) == PARAMETERS[kind]
    assert sum(PARAMETERS[kind]) == sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize("kind", PARAMETERS)
def test_answers_equal_those_of_the_layers_written_out(kind: Kind) -> None:
    network = drawn(kind)
    picture = torch.rand(2, 3 if kind is EdgeGenerator else 4, 24, 32, dtype=torch.float64)
    with torch.no_grad():
        got, wanted = network(picture), rebuilt(network.state_dict(), picture)
    wanted = wanted.sigmoid() if kind is EdgeGenerator else (wanted.tanh() + 1) / 2
    assert got.std() > 0.01
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_only_the_edge_generator_divides_weights_and_not_the_last() -> None:
    keys = {kind: set(kind(width=1 / 16).state_dict()) for kind in (EdgeGenerator, CompletionGenerator)}
    assert not any(key.endswith("weight_orig") for key in keys[CompletionGenerator])
    assert [key for key in keys[EdgeGenerator] if key.endswith(".weight")] == ["decoder.7.weight"]


def test_no_weight_stretches_by_more_than_its_norm_after_some_steps() -> None:
    network = EdgeGenerator(width=1 / 16).train()
    with torch.no_grad():
        for _ in range(30):
            network(torch.rand(1, 3, 12, 12))
        used = weight(network.eval().state_dict(), "middle.3.conv_block.1")
    assert torch.linalg.matrix_norm(used.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("size", [(12, 12), (30, 17), (1, 3)])
def test_any_size_is_answered(size: tuple[int, int]) -> None:
    network = CompletionGenerator(2, 2, width=1 / 16).eval()
    with torch.inference_mode():
        answer = network(torch.rand(1, 2, *size))
    assert answer.shape == (1, 2, *size)
    assert 0 < answer.min() <= answer.max() < 1


def test_what_is_repeated_beyond_the_edge_reaches_no_further_than_the_answer_of_the_whole() -> None:
    network = CompletionGenerator(width=1 / 16).eval()
    picture = torch.rand(1, 4, 16, 16)
    longer = torch.cat((picture, picture[..., -1:]), dim=-1)
    whole = torch.cat((longer, *[picture[..., -1:]] * 3), dim=-1)
    with torch.inference_mode():
        assert torch.equal(network(longer), network(whole)[..., :17])
