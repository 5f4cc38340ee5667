"""The box files of an output folder: one a dataset and detector, and one a seed where errors are made on purpose."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import catalog
from bench.box_errors import DetectorError, Perturbation
from bench.catalog import Tree
from bench.detection import find_detector_weights, run_detection
from bench.detector_error import measure_error
from bench.downloads import file_sha256
from bench.files import atomic_write, writing
from bench.perturbation import declare, perturb
from bench.plugins import brought
from bench.progress import progress
from bench.provenance import canonical_digest, sources_digest
from bench.suite import DetectorChoice
from datamodules.boxfile import BoxFile, read_boxes
from datamodules.photos import PhotoSource


@dataclass(frozen=True, slots=True)
class SeenBoxes:
    """Hold the box file that a run's method sees, with what its record says of it."""

    path: Path
    digest: str
    perturbation: Perturbation | None
    error: DetectorError | None


@dataclass(frozen=True, slots=True)
class BoxPlace:
    """Say where the boxes of one dataset go and what they are found in.

    Attributes:
        folder: for the box files.
        dataset: its name.
        data: tree of its datamodule, `source` its pictures, `digest` theirs.
        detectors: all of the suite.
        limit: look at the first so many photos only.
        weights_base: folder of the file that names the detectors' weights.
    """

    folder: Path
    dataset: str
    data: Tree
    source: PhotoSource
    digest: str
    detectors: Sequence[DetectorChoice]
    limit: int | None
    weights_base: Path

    def exact(self, choice: DetectorChoice) -> tuple[BoxFile, Path]:
        """Return the boxes of a detector without errors, in the file of the one in the suite that has none."""
        same = [other for other in self.detectors if not other.kinds and other.exact == choice.exact]
        path = self.folder / (f"{self.dataset}--{same[0].name}.json" if same else f"{self._name(choice)}/exact.json")
        weights = find_detector_weights(choice, beside=self.weights_base)
        plugin, data_plugin = catalog.detectors().plugin(choice.id), brought(self.data["class_path"])
        made_of = {
            "dataset": self.digest,
            "detector": choice.exact.model_dump(exclude={"name", "weights"}),
            "weights": None if weights is None else file_sha256(weights),
            "limit": self.limit,
            "plugin": None if plugin is None else plugin.sources(),
            "data_plugin": None if data_plugin is None else data_plugin.sources(),
        }
        if not _is_made_of(path, made_of):
            exact = choice.exact
            run_detection(self.data, self.source, exact, path, limit=self.limit, weights_base=self.weights_base)
            _note(path, made_of)
        return read_boxes(path), path

    def perturbed(self, exact: BoxFile, choice: DetectorChoice, seed: int) -> tuple[BoxFile, Path]:
        """Return boxes with a detector's errors."""
        path = self.folder / self._name(choice) / f"s{seed}.json"
        made_of = {"boxes": exact.digest, "errors": choice.errors.model_dump(), "seed": seed}
        if not _is_made_of(path, made_of):
            with writing(path):
                perturb(exact, choice.errors, seed).write(path)
            _note(path, made_of)
        return read_boxes(path), path

    def _name(self, choice: DetectorChoice) -> str:
        return f"{self.dataset}--{choice.name}"


def find_boxes(place: BoxPlace, wanted: Iterable[tuple[DetectorChoice, int]]) -> dict[tuple[str, int], SeenBoxes]:
    """Return the boxes that methods see, by detector and seed; files that are not there already are made."""
    choices = {(choice.name, seed): choice for choice, seed in wanted}
    detectors = {choice.exact: choice for choice in choices.values()}
    exact = {detector: place.exact(choice) for detector, choice in detectors.items()}
    files = {(name, seed if choice.kinds else 0): choice for (name, seed), choice in choices.items()}
    seen = {}
    with progress(f"errors of boxes in {place.dataset}", len(files)) as advance:
        for (name, seed), choice in files.items():
            seen[name, seed] = _seen(place, *exact[choice.exact], choice, seed)
            advance()
    return {(name, seed): seen[name, seed if choice.kinds else 0] for (name, seed), choice in choices.items()}


def _seen(place: BoxPlace, exact: BoxFile, path: Path, choice: DetectorChoice, seed: int) -> SeenBoxes:
    """Return boxes with what a record says of them: errors that are made on purpose, and all that are measured."""
    boxes, perturbation = exact, None
    if choice.kinds:
        boxes, path = place.perturbed(exact, choice, seed)
        perturbation = declare(exact, choice.errors)
    return SeenBoxes(path, boxes.digest, perturbation, measure_error(boxes, place.source.photos))


def _is_made_of(path: Path, made_of: Mapping[str, object]) -> bool:
    """Whether a box file is there and was made of just this, by these sources."""
    note = path.with_suffix(".made-of")
    return path.is_file() and note.is_file() and note.read_text(encoding="utf-8") == _identity(made_of)


def _note(path: Path, made_of: Mapping[str, object]) -> None:
    atomic_write(path.with_suffix(".made-of"), _identity(made_of))


def _identity(made_of: Mapping[str, object]) -> str:
    return canonical_digest({**made_of, "sources": sources_digest()})
