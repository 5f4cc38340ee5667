"""Pictures of a report: gray | each method, best first | truth, small and embedded. Knows no torch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.credits import Credit, read_credits
from bench.progress import progress
from bench.record import RunRecord
from bench.report.choice import TRUTH_COLOR, Choice, Version, choose_pictures, find_subjects
from bench.report.premises import premises
from bench.report.selection import goodness
from bench.report.thumbnails import MOST, Grade, Thumbnail, colorfulness, encode, find_grade, load
from bench.rows import InstanceRow, Row
from bench.scoring.metrics import METRICS, Metric
from bench.terminal import visible

PICTURES = 200
"""Pictures of a dataset that a report shows if nothing else is said."""
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Figure:
    """Show one version of a picture; `row` is the method's, None for input and truth and where there is none."""

    version: Version
    thumbnail: Thumbnail | None
    row: Row | None = None

    @property
    def trouble(self) -> str:
        """Return the status of the row where it is not `ok`; empty elsewhere."""
        return "" if self.row is None or self.row.status == "ok" else self.row.status


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one row of a gallery.

    Attributes:
        key: name of the picture.
        figures: one a version of the gallery.
        color: colorfulness of the truth; None where it is not there.
        credit: licence and source, where they are known.
    """

    key: str
    figures: tuple[Figure, ...]
    color: float | None
    credit: Credit | None

    @property
    def known(self) -> Row | None:
        """Return a row without error, whose boxes are those of every method; None where there is none."""
        return next((figure.row for figure in self.figures if figure.row and not figure.row.failed), None)

    @property
    def instances(self) -> tuple[InstanceRow, ...]:
        """Return the scored instances."""
        return () if self.known is None else self.known.instances

    @property
    def instance_names(self) -> list[str]:
        """Return the categories of its instances, numbered where a picture has several of one."""
        names = [visible(each.category) for each in self.instances]
        return [
            name if names.count(name) == 1 else f"{name} {names[: place + 1].count(name)}"
            for place, name in enumerate(names)
        ]

    def best(self, metric: Metric) -> frozenset[int]:
        """Return the places of the figures with the best score, of those that saw light and boxes alone."""
        goods = [
            None if figure.row is None or figure.version.guided else goodness(metric, figure.row.scores)
            for figure in self.figures
        ]
        highest = max((good for good in goods if good is not None), default=None)
        return frozenset(place for place, good in enumerate(goods) if good is not None and good == highest)

    def data(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return what the page's script knows: scores by metric and version, those of instances, the truth's colour."""
        rows = [figure.row for figure in self.figures]
        return {
            "ranked": self.known is not None and self.known.status == "ok",
            "color": _short(self.color),
            "scores": _columns(metrics, [{} if row is None else row.scores for row in rows]),
            "instances": list(self._instances(metrics, rows)),
        }

    def _instances(self, metrics: Sequence[str], rows: Sequence[Row | None]) -> Iterator[dict[str, Any]]:
        parts = [{} if row is None else {each.instance: each.scores for each in row.instances} for row in rows]
        for each, name in zip(self.instances, self.instance_names, strict=True):
            scores = _columns(metrics, [part.get(each.instance, {}) for part in parts])
            yield {"category": visible(each.category), "name": name, "scores": scores}


def _columns(metrics: Sequence[str], scores: Sequence[Mapping[str, float | None]]) -> dict[str, list[float | None]]:
    """Return the scores of all versions by metric, without metrics that none has."""
    lines = {metric: [_short(each.get(metric)) for each in scores] for metric in metrics}
    return {metric: line for metric, line in lines.items() if any(value is not None for value in line)}


def _short(value: float | None) -> float | None:
    """Return a number in as many digits as a page needs."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True, slots=True)
class Gallery:
    """Hold the pictures of one dataset under one protocol; `grade` is that of its thumbnails."""

    choice: Choice
    pictures: tuple[Picture, ...]
    grade: Grade

    @property
    def credited(self) -> int:
        """Return how many of its pictures have a known licence."""
        return sum(picture.credit is not None for picture in self.pictures)

    @property
    def premises(self) -> list[str]:
        """Return what a reader must know of its methods."""
        return premises(self.choice.versions)

    @property
    def side(self) -> int:
        """Return the longest side of any thumbnail in pixels."""
        thumbnails = [figure.thumbnail for picture in self.pictures for figure in picture.figures]
        return max(max(each.width, each.height) for each in thumbnails if each is not None)

    @property
    def data(self) -> dict[str, Any]:
        """Return what the page's script knows of it, as plain values."""
        versions = self.choice.versions
        return {
            "title": visible(self.choice.subject.title),
            "versions": [visible(version.label) for version in versions],
            "methods": [place for place, version in enumerate(versions) if version.rows is not None],
            "hinted": [place for place, version in enumerate(versions) if version.guided],
            "metric": self.choice.metric.id,
            "pictures": [picture.data(self.choice.metrics) for picture in self.pictures],
        }


def galleries(out: Path, runs: Sequence[tuple[Path, RunRecord]], most: int = PICTURES) -> list[Gallery]:
    """Choose pictures of each dataset and protocol and embed them.

    Args:
        out: output folder; truth and grey pictures lie in `pictures/<dataset>`, if they were saved.
        runs: each with its folder, where predictions lie in `images`.
        most: pictures of a dataset; fewer are shown where so many thumbnails would make no page that opens at once.
    """
    subjects = find_subjects(out, runs)
    most = min(most, MOST // max(1, sum(len(subject.versions) for subject in subjects)))
    choices = [choose_pictures(subject, most) for subject in subjects]
    places = [place for choice in choices for place in choice.places]
    grade = find_grade(places)
    with progress("thumbnails", len(places)) as advance:
        made = [_gallery(choice, grade, advance) for choice in choices]
    return [gallery for gallery in made if gallery.pictures]


def _gallery(choice: Choice, grade: Grade, advance: Callable[[], None]) -> Gallery:
    known = {} if choice.subject.pictures is None else read_credits(choice.subject.pictures)
    pictures = (_picture(choice, key, grade, known.get(key), advance) for key in choice.keys)
    return Gallery(choice, tuple(picture for picture in pictures if any(f.thumbnail for f in picture.figures)), grade)


def _picture(choice: Choice, key: str, grade: Grade, credit: Credit | None, advance: Callable[[], None]) -> Picture:
    figures, color = [], None
    for version in choice.versions:
        whole, row = load(version.place(key)), version.row(key)
        if row is not None and color is None:
            color = row.scores.get(TRUTH_COLOR)
        elif version.is_truth and whole is not None and color is None:
            color = colorfulness(whole)
        figures.append(Figure(version, None if whole is None else encode(whole, grade), row))
        advance()
    return Picture(key, tuple(figures), color, credit)


def metric_choices(shown: Sequence[Gallery]) -> list[Metric]:
    """Return the metrics of which any picture has a score, in the order of tables."""
    found = {name for gallery in shown for name in gallery.choice.metrics}
    return [metric for metric in METRICS.values() if metric.id in found]


def gallery_data(shown: Sequence[Gallery]) -> dict[str, Any]:
    """Return what the page's script knows of all pictures, as plain values."""
    metrics = {
        metric.id: {"title": metric.title, "decimals": metric.decimals, "direction": metric.direction}
        for metric in metric_choices(shown)
    }
    return {"metrics": metrics, "galleries": [gallery.data for gallery in shown]}
