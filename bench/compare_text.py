"""What `colorbench compare` prints. Knows no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.compare import ImageDifference, MethodComparison, Side
from bench.scoring.metrics import Direction, Metric
from bench.terminal import visible, widen

WORDS: Mapping[Direction, tuple[str, str]] = {
    "higher": ("A is better", "B is better"),
    "lower": ("B is better", "A is better"),
    "truth": ("A is higher", "B is higher"),
}
"""What it means that A lies above B, and that it lies below."""


def to_document(compared: MethodComparison) -> dict[str, Any]:
    """Return everything that is printed as plain values, with all digits."""
    found, first = compared.found, compared.a.records[0]
    return {
        "dataset": first.dataset,
        "protocol": first.protocol,
        "level": compared.level,
        "metric": compared.metric.id,
        "direction": compared.metric.direction,
        "a": _side(compared.a, compared.means[0], compared.missing[0]),
        "b": _side(compared.b, compared.means[1], compared.missing[1]),
        "images": found.pictures,
        "instances": found.values if compared.level == "instance" else None,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "rank_p_value": found.rank_p_value,
        "win_rate": compared.win_rate,
        "above": [_image(image) for image in compared.above],
        "below": [_image(image) for image in compared.below],
        "notes": notes(compared),
    }


def _side(side: Side, mean: float | None, alone: int) -> dict[str, Any]:
    records = side.records
    return {
        "name": side.name,
        "method": records[0].method,
        "detector": records[0].detector,
        "seeds": [record.seed for record in records],
        "partial": any(record.partial for record in records),
        "untrained": any(record.untrained for record in records),
        "mean": mean,
        "not_compared": alone,
    }


def _image(image: ImageDifference) -> dict[str, Any]:
    return {"image": image.image, "a": image.a, "b": image.b, "difference": image.difference}


def notes(compared: MethodComparison) -> list[str]:
    """Return what a reader must know beside the numbers, one sentence an item."""
    lines = []
    for side, alone in zip((compared.a, compared.b), compared.missing, strict=True):
        seeds = [str(record.seed) for record in side.records]
        marks = [mark for mark in ("partial", "untrained") if any(getattr(each, mark) for each in side.records)]
        lines += [f"{side.name} is {' and '.join(marks)}."] if marks else []
        lines += [f"{side.name}: mean of each picture over the seeds {', '.join(seeds)}."] if len(seeds) > 1 else []
        units = compared.level if alone == 1 else f"{compared.level}s"
        lines += [f"Left out, because the other has no score: {alone} {units} of {side.name}."] if alone else []
    found = compared.found
    if found.mean is not None and found.above is not None and found.mean * (found.above - 0.5) < 0:
        lines.append("The mean and most pictures point opposite ways: a few large differences decide the mean.")
    return lines


def print_comparison(compared: MethodComparison, console: Console | None = None) -> None:
    """Print means, difference, test, win rate, and the pictures that differ most."""
    console = widen(console or Console(highlight=False))
    console.print(Text(visible(compared.title), style="bold"))
    for line in summary(compared):
        console.print(Text(visible(line)), soft_wrap=True)
    console.print()
    above, below = WORDS[compared.metric.direction]
    lists = [(above, compared.above), (below, compared.below)]
    for words, images in reversed(lists) if compared.metric.direction == "lower" else lists:
        _print_images(f"Images where {words} by the most", images, compared.metric, console)
    for note in notes(compared):
        console.print(Text(visible(note), style="dim"), soft_wrap=True)


def summary(compared: MethodComparison) -> list[str]:
    """Return the numbers of a comparison, one line each."""
    found, metric = compared.found, compared.metric
    images = f"{found.pictures} image{'' if found.pictures == 1 else 's'}"
    over = images if compared.level == "image" else f"{found.values} instances of {images}"
    lines = [
        f"A  {compared.a.name}: {_number(compared.means[0], metric)}",
        f"B  {compared.b.name}: {_number(compared.means[1], metric)}",
        f"A - B, mean over {over}: {_number(found.mean, metric, '+')}{_interval(found.low, found.high, metric)}",
        f"p-value of the mean: {_p_value(found.p_value)} (sign-flip test over images, of this pair alone)",
        f"p-value of the ranks: {_p_value(found.rank_p_value)} (Wilcoxon signed-rank test over images)",
    ]
    if compared.win_rate is not None:
        lines.append(f"Win rate: A is better on {100 * compared.win_rate:.1f} % of the images; equal ones count half")
    return lines


def _p_value(p: float | None) -> str:
    if p is None:
        return "not known"
    return f"{p:.2g}" if p > 0 else "below 1e-300"


def _number(value: float | None, metric: Metric, sign: str = "") -> str:
    return "none" if value is None else f"{value:{sign}.{metric.decimals}f}"


def _interval(low: float | None, high: float | None, metric: Metric) -> str:
    if low is None or high is None:
        return ""
    return f" [{_number(low, metric, '+')}, {_number(high, metric, '+')}] (95 % bootstrap interval over images)"


def _print_images(title: str, images: Sequence[ImageDifference], metric: Metric, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII2, pad_edge=False, title_justify="left")
    table.add_column(Text(title), overflow="fold")
    for heading in ("A", "B", "A - B"):
        table.add_column(heading, justify="right")
    for image in images:
        numbers = (_number(image.a, metric), _number(image.b, metric), _number(image.difference, metric, "+"))
        table.add_row(Text(visible(image.image)), *numbers)
    console.print(table if images else f"{title}: none")
