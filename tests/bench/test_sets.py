from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.record import score_images
from bench.rows import RowStore, read_rows
from bench.scoring import scorer as scorer_module
from bench.scoring.classification import Classifier
from bench.scoring.features import FEATURES, FeatureStore
from bench.scoring.networks import Networks
from bench.scoring.scorer import Picture, Scorer
from bench.scoring.sets import score_set
from datamodules.protocol import PROTOCOLS

METRICS = ("psnr", "fid", "classification_top1")


class Means(nn.Module):
    """Stand in for Inception: features that hang on the picture alone, and are the same for equal pictures."""

    def forward(self, rgb: Tensor) -> Tensor:
        means = rgb.double().mean((2, 3))
        waves = torch.arange(1, FEATURES + 1, dtype=torch.float64)
        return torch.sin(means.sum(1, keepdim=True) * waves / 97).float()


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(0, 256, (6, 3, 24, 24), generator=generator, dtype=torch.uint8)
    truth[5] = truth[5, :1]
    return truth.flip(1), truth


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> Scorer:
    monkeypatch.setattr(scorer_module, "inception_features", lambda network, rgb: network(rgb))
    monkeypatch.setattr(scorer_module, "top1", lambda network, rgb, labels: [100.0 if n == 2 else None for n in labels])
    classifiers = {"classification_top1": Classifier(nn.Identity(), nn.Identity())}
    networks = Networks(classifiers=classifiers, inception=Means())
    return Scorer("r", PROTOCOLS["native-v1"], METRICS, networks=networks)


def score_into(folder: Path, scorer: Scorer, pictures: tuple[Tensor, Tensor], order: list[int], processes: int) -> None:
    """Score pictures in an order, dealt out to processes."""
    for rank in range(processes):
        with RowStore(folder, "r", rank) as store, FeatureStore(folder, "r", rank) as features:
            for place in order[rank::processes]:
                prediction, truth = (each[place : place + 1] for each in pictures)
                scored = scorer.score(prediction, truth, [Picture(f"p{place}", (24, 24), label=place)])
                scored.keep_features(features)
                store.append(scored.rows[0])


def test_the_score_of_a_set_does_not_hang_on_order_or_processes(
    tmp_path: Path, scorer: Scorer, pictures: tuple[Tensor, Tensor]
) -> None:
    found = []
    for processes, order in ((1, [0, 1, 2, 3, 4, 5]), (2, [3, 5, 1, 0, 4, 2]), (3, [5, 4, 3, 2, 1, 0])):
        folder = tmp_path / str(processes)
        score_into(folder, scorer, pictures, order, processes)
        found.append(score_set(folder, read_rows(folder), METRICS)["fid"])
    assert found[0] == found[1] == found[2]
    assert found[0].n == 5, "the picture whose truth is grey enters no mean"
    assert found[0].mean is not None
    assert found[0].mean > 0
    assert (found[0].std, found[0].low, found[0].high) == (None, None, None)


def test_equal_sets_are_no_distance_apart(tmp_path: Path, scorer: Scorer, pictures: tuple[Tensor, Tensor]) -> None:
    score_into(tmp_path, scorer, (pictures[1], pictures[1]), list(range(6)), 1)
    assert score_set(tmp_path, read_rows(tmp_path), METRICS)["fid"].mean == pytest.approx(0, abs=1e-6)


def test_rows_hold_no_score_of_a_set_and_a_class_only_where_there_is_one(
    tmp_path: Path, scorer: Scorer, pictures: tuple[Tensor, Tensor]
) -> None:
    score_into(tmp_path, scorer, pictures, list(range(6)), 1)
    rows = read_rows(tmp_path)
    assert list(rows["p2"].scores) == ["psnr", "classification_top1", "classification_top1_truth"]
    assert [row.scores["classification_top1"] for row in rows.values()] == [None, None, 100.0, None, None, None]
    score = score_images(rows.values(), "classification_top1")
    assert (score.mean, score.n) == (100.0, 1)


def test_a_run_without_such_a_metric_needs_no_features(tmp_path: Path) -> None:
    assert score_set(tmp_path, {}, ("psnr", "ssim")) == {}
    assert score_set(tmp_path, {}, METRICS) == {}
