"""What a study keeps of its work: records, scores a picture, curves, costs and counts, small enough to be committed."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import MissingError
from bench.files import atomic_write
from bench.leaderboard import read_record, record_paths
from bench.manifest import WeightsManifest, load_manifest
from bench.observations import Observations, Unit
from bench.record import RunRecord
from bench.rows import Row, read_rows
from bench.scoring.metrics import Level
from bench.studies.costs import COST, Cost, read_cost
from bench.studies.declared import Declared, Training
from bench.tables import Cell, read_table, write_table

RECORDS = "records"
FACTS = "facts.json"
BUDGET = "budget.csv"
CURVES = "curves.csv"
BUDGET_COLUMNS = (
    "training",
    "seed",
    "stage",
    "steps",
    "batch_size",
    "pictures",
    "pictures_in_all",
    "learning_rate",
    "parameters",
    "cpu_seconds",
    "cpu_seconds_complete",
    "commits",
)
CURVE_COLUMNS = ("training", "seed", "pictures", "train_loss", "val_loss")
Table = dict[str, dict[str, float | None]]
"""Scores by picture or instance, and by run `<method>--<detector>--s<seed>`."""


def collect(declared: Declared, work: Path, data_root: Path | None) -> None:
    """Write everything that the page is made of into the folder of the study.

    Args:
        declared: the study.
        work: holds `trained/` and `run/`.
        data_root: as the trainings were given it.
    """
    from bench.studies.facts import study_facts
    from bench.studies.grids import save_grid

    runs = [path.parent for path in record_paths(work / "run")]
    for path in (declared.folder / RECORDS).glob("*.json"):
        path.unlink()
    for run in runs:
        atomic_write(declared.folder / RECORDS / f"{run.name}.json", (run / "record.json").read_bytes())
    write_scores(declared.folder, {run.name: read_rows(run) for run in runs}, declared.suite.metrics)
    write_table(declared.folder / CURVES, CURVE_COLUMNS, curve_lines(declared, work))
    write_table(declared.folder / BUDGET, BUDGET_COLUMNS, budget_lines(declared, work))
    atomic_write(declared.folder / FACTS, json.dumps(study_facts(declared, data_root), indent=1) + "\n")
    save_grid(declared, work, data_root)


def read_records(folder: Path) -> list[RunRecord]:
    """Return the records that a study's folder holds, in order of their names."""
    return [read_record(path) for path in sorted((folder / RECORDS).glob("*.json"))]


def write_scores(folder: Path, runs: Mapping[str, Mapping[str, Row]], metrics: Sequence[str]) -> None:
    """Write `scores/<level>-<metric>.csv`: a line a picture or instance that enters the means, a column a run."""
    for metric in metrics:
        images = {run: dict(_image_scores(rows, metric)) for run, rows in runs.items()}
        instances = {run: dict(_instance_scores(rows, metric)) for run, rows in runs.items()}
        for level, scores in (("image", images), ("instance", instances)):
            keys = sorted({key for found in scores.values() for key in found})
            lines = [(key, *(found.get(key) for found in scores.values())) for key in keys]
            write_table(scores_path(folder, level, metric), (level, *scores), lines)


def scores_path(folder: Path, level: str, metric: str) -> Path:
    """Return the file of the scores of one metric."""
    return folder / "scores" / f"{level}-{metric}.csv"


def read_scores(folder: Path, level: str, metric: str) -> Table:
    """Return what `write_scores` wrote; an instance's key is `<image>#<instance>`."""
    return {
        line.pop(level): {run: float(cell) if cell else None for run, cell in line.items()}
        for line in read_table(scores_path(folder, level, metric))
    }


def read_observations(folder: Path, level: Level, metric: str) -> dict[str, Observations]:
    """Return the same by run, without what is missing."""
    found: dict[str, dict[Unit, float]] = {}
    for key, line in read_scores(folder, level, metric).items():
        image, _, instance = key.rpartition("#") if level == "instance" else (key, "", "0")
        for run, score in line.items():
            if score is not None:
                found.setdefault(run, {})[image, int(instance)] = score
    return dict(found)


def _image_scores(rows: Mapping[str, Row], metric: str) -> Iterator[tuple[str, float | None]]:
    for row in rows.values():
        if row.status == "ok":
            yield row.image, row.scores.get(metric)


def _instance_scores(rows: Mapping[str, Row], metric: str) -> Iterator[tuple[str, float | None]]:
    for row in rows.values():
        if row.status == "ok":
            yield from ((f"{row.image}#{each.instance}", each.scores.get(metric)) for each in row.instances)


def _trained(declared: Declared, work: Path) -> Iterator[tuple[Training, int, Path, WeightsManifest]]:
    """Give each training with its seed, folder and weights.

    Raises:
        MissingError: It is not finished.
    """
    for training in declared.study.trainings:
        for seed in declared.study.seeds:
            folder = work / "trained" / training.run(seed)
            if not (folder / COST).is_file() or not read_cost(folder).done:
                raise MissingError(f"{folder} is no finished training: run `colorbench reproduce` again to go on")
            yield training, seed, folder, load_manifest(folder / "weights")


def budget_lines(declared: Declared, work: Path) -> list[tuple[Cell, ...]]:
    """Return a line for each training: its own stage, and the pictures that its weights have seen in all."""
    lines: list[tuple[Cell, ...]] = []
    seen: dict[str, int] = {}
    for training, seed, folder, manifest in _trained(declared, work):
        facts: dict[str, Any] = manifest.training[training.method]
        steps: int = facts["steps_done"]
        pictures = steps * facts["batch_size"]
        in_all = pictures + (seen[f"{training.init}--s{seed}"] if training.init else 0)
        seen[training.run(seed)] = in_all
        parameters = sum(network.parameters for network in manifest.networks.values())
        own = (steps, facts["batch_size"], pictures, in_all, facts["learning_rate"], parameters)
        lines.append((training.name, seed, training.method, *own, *_cost_cells(read_cost(folder))))
    return lines


def _cost_cells(cost: Cost) -> tuple[Cell, ...]:
    return cost.cpu_seconds, "yes" if cost.complete else "no", " ".join(cost.commits)


def curve_lines(declared: Declared, work: Path) -> list[tuple[Cell, ...]]:
    """Return the losses of all trainings over the pictures of their own stage, from the logs."""
    lines: list[tuple[Cell, ...]] = []
    for training, seed, folder, manifest in _trained(declared, work):
        batch_size: Any = manifest.training[training.method]["batch_size"]
        points: dict[int, dict[str, float]] = {}
        for path in sorted(folder.glob("logs/csv/*/version_*/metrics.csv"), key=_version):
            for line in read_table(path):
                losses = {name: float(line[name]) for name in ("train/loss", "val/loss") if line.get(name)}
                points.setdefault(int(line["step"]) + 1, {}).update(losses)
        for step in sorted(points):
            losses = points[step]
            lines.append((training.name, seed, step * batch_size, losses.get("train/loss"), losses.get("val/loss")))
    return lines


def _version(path: Path) -> int:
    """Return the number of the start that wrote a log: a training that was stopped has several."""
    return int(path.parent.name.removeprefix("version_"))


def read_numbers(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a table with numbers as numbers; an empty cell is NaN."""
    return [{name: _number(cell) for name, cell in line.items()} for line in read_table(path)]


def _number(cell: str) -> str | int | float:
    if not cell:
        return math.nan
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
