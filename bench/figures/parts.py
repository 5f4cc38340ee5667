"""Scores by category, by COCO size and by number of instances."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.board import Cell
from bench.breakdown import LEVEL_OF
from bench.breakdown_board import PARTED, BreakdownBoard, GroupScore
from bench.figures.dots import INTERVALS, draw_dots, draw_mean, height_of, name_methods
from bench.figures.names import LONGEST_IN_LEGEND, labels, shorten
from bench.figures.style import COLUMN, PAGE, draw_legend, legend_height, new_figure, one_panel
from bench.figures.subjects import Method, Plot, Subject

MOST_CATEGORIES = 20
MOST_METHODS = 4
"""Methods side by side in the line of a category."""
STEP, GAP = 0.07, 0.07
"""Inches from one method to the next in it, and from one category to the next."""


@dataclass(frozen=True, slots=True)
class Part:
    """Hold the scores of one group, in the order of the subject's methods."""

    name: str
    scores: tuple[GroupScore | None, ...]

    @property
    def cells(self) -> list[Cell]:
        """Return the scores, empty ones where a method has none."""
        return [Cell(None) if score is None else score.cell for score in self.scores]

    def count(self, level: str) -> int:
        """Return how many images or instances are in it, the most of any method."""
        found = [score for score in self.scores if score is not None]
        return max((score.images if level == "image" else score.instances for score in found), default=0)


def draw_parts(subject: Subject, table: BreakdownBoard) -> Plot | None:
    """Draw the groups of a breakdown of the subject's board; None where it has none."""
    parts = [part for part in _parts(subject, table) if any(cell.mean is not None for cell in part.cells)]
    if not parts:
        return None
    return _draw_categories(subject, parts) if table.by == "category" else _draw_panels(subject, table, parts)


def _parts(subject: Subject, table: BreakdownBoard) -> list[Part]:
    found: dict[object, Mapping[str, GroupScore]] = {
        entry.runs: line for entry, line in zip(table.board.entries, table.scores, strict=True)
    }
    lines = [found.get(method.entry.runs, {}) for method in subject.methods]
    return [Part(name, tuple(line.get(name) for line in lines)) for name in table.groups]


def _draw_panels(subject: Subject, table: BreakdownBoard, parts: list[Part]) -> Plot:
    """Draw a panel a group, a line a method."""
    methods, level = subject.methods, LEVEL_OF[table.by]
    figure, panels = new_figure(PAGE, 0.75 + height_of(methods), 1, len(parts), sharex=True, sharey=True)
    for panel, part in zip(panels[0], parts, strict=True):
        draw_dots(panel, methods, part.cells)
        panel.set_title(f"{part.name} (n = {part.count(level)})")
        panel.tick_params("y", length=0)
    name_methods(panels[0, 0], methods)
    figure.supxlabel(subject.metric.title, fontsize=8)
    caption = (f"{subject.place} by {PARTED[table.by]}.", INTERVALS)
    return subject.plot(figure, (_kind(table),), len(methods), caption)


def _kind(table: BreakdownBoard) -> str:
    return "by-number" if table.by == "instances" else f"by-{table.by}"


def _draw_categories(subject: Subject, parts: list[Part]) -> Plot:
    """Draw a line a category, the most frequent ones, with the best methods side by side."""
    shown = sorted(parts, key=lambda part: (-part.count("instance"), part.name))[:MOST_CATEGORIES]
    methods = subject.methods[:MOST_METHODS]
    height = STEP * len(methods) + GAP
    handles = _handles(methods)
    figure, axes = one_panel(COLUMN, 0.6 + legend_height([*handles], 1) + height * len(shown))
    for line, part in enumerate(shown):
        for place, (method, cell) in enumerate(zip(methods, part.cells, strict=False)):
            draw_mean(axes, method, cell, line + (place - (len(methods) - 1) / 2) * STEP / height)
    axes.set(xlabel=subject.metric.title, ylim=(len(shown) - 0.5, -0.5))
    counts = [f"{shorten(part.name, 22)} ({part.count('instance')})" for part in shown]
    axes.set_yticks(range(len(shown)), counts)
    axes.tick_params("y", length=0)
    axes.grid(axis="x")
    draw_legend(figure, handles, 1)
    fewer = f"The {len(shown)} most frequent of {len(parts)} categories." if len(parts) > len(shown) else ""
    best = f"The best {len(methods)} of {len(subject.methods)} methods." if len(subject.methods) > len(methods) else ""
    caption = (f"{subject.place} by {PARTED['category']}, in brackets the number of instances.", INTERVALS, fewer, best)
    return subject.plot(figure, ("by-category",), len(methods), caption)


def _handles(methods: tuple[Method, ...]) -> dict[str, object]:
    """Return what stands for each method in a legend."""
    from matplotlib.lines import Line2D

    names = labels([method.marked for method in methods], LONGEST_IN_LEGEND)
    looks = [method.look for method in methods]
    return {name: Line2D([], [], color=look.color, marker=look.marker) for name, look in zip(names, looks, strict=True)}
