"""Commands on the standard sets of pictures."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import AsJson, Out, print_json
from bench.interrupt import keep_in

StandardSet = Annotated[str, typer.Argument(metavar="ID", help="A standard set's id, from `data list`.")]
app = typer.Typer(no_args_is_help=True, help="Find, fetch and check the standard sets of pictures.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the standard sets: what each is, and how it is had."""
    from bench.datasets import print_standard_sets, standard_sets

    if as_json:
        print_json(standard_sets())
    else:
        print_standard_sets()


@app.command("fetch")
def fetch(name: StandardSet, out: Out) -> None:
    """Download, check and unpack a set, or say where it is had; started again, it goes on where it was."""
    from bench.datasets import fetch

    keep_in(out)
    typer.echo(f"{name}: {fetch(name, out).sentence()} in {out}")


@app.command("verify")
def verify(name: StandardSet, folder: Annotated[Path, typer.Argument(help="Its root.")]) -> None:
    """Compare what is in a folder with the list of a set, and name what differs."""
    from bench.datasets import verify

    typer.echo(f"{name}: {verify(name, folder).sentence()} in {folder}")
