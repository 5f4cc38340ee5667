"""Scores that a set of pictures has and no single one, from what a run kept of its pictures. Knows no torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.record import Score
from bench.rows import Row
from bench.scoring.features import read_features
from bench.scoring.frechet import frechet_distance
from bench.scoring.metrics import METRICS


def score_set(folder: Path, rows: Mapping[str, Row], metrics: Iterable[str]) -> dict[str, Score]:
    """Return the scores of those metrics that only a set has, over the pictures that enter means.

    Args:
        folder: of the run.
        rows: of the run, by image.
        metrics: of the run, of any kind.

    Raises:
        RowError: Features are missing or damaged.
    """
    wanted = [metric for metric in metrics if METRICS[metric].of_set]
    if not wanted:
        return {}
    images = sorted(image for image, row in rows.items() if row.status == "ok")
    if not images:
        return {}
    distance = frechet_distance(*read_features(folder, rows[images[0]].run_id, images))
    score = Score(mean=distance, std=None, n=len(images) if distance is not None else 0, low=None, high=None)
    return dict.fromkeys(wanted, score)
