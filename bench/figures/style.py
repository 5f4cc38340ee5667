"""How plots look, in one place: sizes, type, colours that also a grey print tells apart, and equal bytes each time."""

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.3, 6.9
"""Inches: widths of a column and of both columns of a page."""
DPI = 300
FORMATS = ("png", "svg")
METADATA: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""What would change with the day or with the version of matplotlib."""

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "svg.hashsalt": "colorbench",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.size": 8.0,
        "axes.formatter.use_mathtext": False,
        "axes.titlesize": 8.0,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": "0.88",
        "grid.linewidth": 0.5,
        "legend.fontsize": 7.0,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "lines.linewidth": 1.1,
        "lines.markersize": 4.0,
        "savefig.dpi": DPI,
        "xtick.labelsize": 7.0,
        "xtick.major.width": 0.6,
        "ytick.labelsize": 7.0,
        "ytick.major.width": 0.6,
    }
)
"""In SVG, text stays text, which can be searched and edited; no `$` of a name begins a formula."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito, Color Universal Design, 2008, without the yellow, which white paper swallows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
"""Colours, markers and dashes have no common divisor: 35 lines and 70 markers differ from each other."""
MUTED = "0.55"


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what a method looks like in every plot."""

    color: str
    marker: str
    dash: Any


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Give each label its look, in the order in which they come."""
    return {
        label: Look(COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])
        for index, label in enumerate(dict.fromkeys(labels))
    }


@contextmanager
def styled() -> Iterator[None]:
    """Draw in our style, whatever the user's own settings of matplotlib are.

    Where the user's folder takes no cache, matplotlib makes one for this process; its advice on that is not printed,
    nor that its font lacks a sign, which an SVG viewer has.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import style

    with warnings.catch_warnings(), style.context(["default", dict(STYLE)]):
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **shared: Any
) -> "tuple[Figure, NDArray[Any]]":
    """Return a figure of so many inches, and its panels, (rows, columns); needs no display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def one_panel(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of so many inches with a single panel."""
    figure, panels = new_figure(width, height)
    return figure, panels[0, 0]


def legend_height(names: Sequence[str], columns: int) -> float:
    """Return inches that a legend takes; names may have several lines."""
    return 0.15 * -(-len(names) // columns) + 0.117 * -(-sum(name.count("\n") for name in names) // columns)


def draw_legend(figure: "Figure", handles: Mapping[str, Any], columns: int) -> None:
    """Name what is drawn below the panels; a label that begins with `_` stands there, too."""
    if handles:
        legend = figure.legend([*handles.values()], ["."] * len(handles), loc="outside lower center", ncols=columns)
        for text, label in zip(legend.get_texts(), handles, strict=True):
            text.set_text(label)


def to_bytes(figure: "Figure", form: str) -> bytes:
    """Return a figure as a file of one of `FORMATS`; equal figures give equal bytes with one version of matplotlib.

    Panels are laid out once, for all formats, after which nothing of the figure should change.
    """
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    content = io.BytesIO()
    figure.savefig(content, format=form, metadata=dict(METADATA[form]))
    return content.getvalue()
