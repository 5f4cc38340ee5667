from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.models import inception_v3

from bench.errors import UsageError
from bench.scoring.frechet import frechet_distance
from bench.scoring.inception import inception_features, load_inception

NAME = "weights-inception-2015-12-05-6726825d.pth"


def make_state() -> dict[str, Tensor]:
    """Return tensors of the published file's form, torchvision's with 1008 classes, that keep signals alive."""
    with torch.device("meta"):
        form = inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
    generator = torch.Generator().manual_seed(0)

    def values(name: str, shape: torch.Size) -> Tensor:
        if name.endswith(("running_var", "bn.weight")):
            return torch.rand(shape, generator=generator) + 0.5
        gain = (2 / shape[1:].numel()) ** 0.5 if len(shape) > 1 else 0.1
        return torch.randn(shape, generator=generator) * gain

    counter = "num_batches_tracked"  # the published file is older than these
    return {name: values(name, value.shape) for name, value in form.items() if not name.endswith(counter)}


def make_pictures(count: int, height: int, width: int, seed: int = 4) -> Tensor:
    """Return smooth pictures in many colours, (count, 3, height, width) uint8."""
    coarse = torch.randint(0, 256, (count, 3, 6, 8), generator=torch.Generator().manual_seed(seed)).float()
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").round().to(torch.uint8)


class Pictures(Dataset[Tensor]):
    """Give the pictures of a batch one by one."""

    def __init__(self, batch: Tensor) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, index: int) -> Tensor:
        return self.batch[index]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("inception") / NAME
    torch.save(make_state(), path)
    yield path
    path.unlink()
    load_inception.cache_clear()


def test_features_are_those_of_torch_fidelity(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_fidelity import FeatureExtractorInceptionV3

    pictures = make_pictures(2, 200, 256)
    with torch.no_grad():
        (wanted,) = FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=weights)(pictures)
    before = torch.get_rng_state()
    network = load_inception(weights)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr("bench.scoring.inception.CHUNK", 1)
    with torch.autocast("cpu", torch.bfloat16):
        features = inception_features(network, pictures)
    assert (features.dtype, features.shape) == (torch.float32, (2, 2048))
    torch.testing.assert_close(features, wanted, rtol=1e-5, atol=1e-6)
    assert features.std(dim=0).mean() > 1e-3, "the random network tells pictures apart"


def test_no_pictures_have_no_features(weights: Path) -> None:
    features = inception_features(load_inception(weights), torch.zeros(0, 3, 64, 64, dtype=torch.uint8))
    assert (features.dtype, features.shape) == (torch.float32, (0, 2048))


@pytest.mark.parametrize(("content", "reason"), [([1, 2], "is no state dict"), (Pictures, "cannot be read safely")])
def test_a_file_of_something_else_is_refused(content: object, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / NAME)
    with pytest.raises(UsageError, match=rf"{NAME} {reason}.*give the published file"):
        load_inception(tmp_path / NAME)


def test_missing_and_surplus_names_are_refused(tmp_path: Path) -> None:
    state = make_state()
    state["Mixed_9.conv.weight"] = state.pop("Mixed_5b.branch1x1.conv.weight")
    torch.save(state, tmp_path / NAME)
    with pytest.raises(UsageError, match=rf"{NAME} does not hold the Inception network of FID.*Mixed_5b\.branch1x1"):
        load_inception(tmp_path / NAME)


@pytest.mark.slow
def test_fid_is_that_of_torch_fidelity(weights: Path) -> None:
    from torch_fidelity import calculate_metrics

    sets = [make_pictures(12, 256, 256, seed) for seed in (1, 2)]
    network = load_inception(weights)
    distance = frechet_distance(*(inception_features(network, pictures).numpy() for pictures in sets))
    theirs = calculate_metrics(
        input1=Pictures(sets[0]),
        input2=Pictures(sets[1]),
        fid=True,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        batch_size=5,
        feature_extractor_weights_path=str(weights),
    )
    # The root of a matrix of rank 11 is what theirs is this far off by: tests of the distance hold ours to more digits.
    assert distance == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
