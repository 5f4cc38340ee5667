"""What several commands have in common: their options, and how they print and end."""

import shlex
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

errors = Console(stderr=True, highlight=False)

Out = Annotated[Path, typer.Option("--out", help="Folder that gets the results; made if it is not there.")]
DataRoot = Annotated[Path | None, typer.Option("--data-root", help="Folder that relative data paths start from.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes, each with a GPU where there are any.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="Pictures a step.")]
Loggers = Annotated[list[str] | None, typer.Option("--logger", help="wandb, tensorboard, mlflow, csv or none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


class Precision(StrEnum):
    """Number format of the networks."""

    full = "32"
    bf16 = "bf16"


class Level(StrEnum):
    """What is scored: whole pictures, or their instances."""

    image = "image"
    instance = "instance"


def give(text: str, out: Path | None) -> None:
    """Print a text, or write it to a file and print that one's name."""
    if out is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    from bench.files import atomic_write

    atomic_write(out, text)
    typer.echo(str(out))


def print_json(value: object) -> None:
    """Print one JSON document."""
    import json

    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def end(failed: int, where: str) -> None:
    """End with status 1 where pictures failed."""
    if failed:
        told = f"{failed} {'picture' if failed == 1 else 'pictures'} failed; {where}"
        errors.print(told, markup=False, soft_wrap=True)
        raise typer.Exit(1)


def end_runs(failed: int, out: Path, folders: Collection[str] | None = None) -> None:
    """End with status 1 where pictures of runs failed, after a line with the reason for each of the first of them."""
    if failed:
        from bench.status import tell_failures

        for line in tell_failures(out, folders):
            errors.print(line, markup=False, soft_wrap=True)
    status = f"colorbench status {shlex.quote(str(out))}"
    end(failed, f"each is named in its run's images.csv, and `{status}` lists them")
