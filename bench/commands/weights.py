"""Commands on weight files."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import AsJson, Out, print_json

FORMAT_HELP = "instcolorization, mmagic, zhang-eccv16, zhang-siggraph17, colorization-pytorch or iizuka-t7."
app = typer.Typer(no_args_is_help=True, help="Find, fetch, import and check weights.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the weight files that colorbench knows, and where they were found."""
    from bench.weights import known_files, print_known_files

    if as_json:
        print_json(known_files())
    else:
        print_known_files()


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="A method's id, or a file name from `weights list`.")],
) -> None:
    """Download a weight file into the cache and check its digest; import it if it is a method's."""
    from bench.weights import fetch

    typer.echo(str(fetch(name)))


@app.command("import")
def import_(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMAT_HELP)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The files of the release.")],
    out: Out,
) -> None:
    """Turn weights that others published into a folder that colorize, run and speed take."""
    from bench.importing import import_weights

    for line in import_weights(format, files, out).lines():
        typer.echo(line)


@app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(help="A folder of weights, or of a training.")]) -> None:
    """Compare the files of a weights folder with the digests in its manifest."""
    from bench.weights import verify_folder

    manifest = verify_folder(folder)
    typer.echo(f"{', '.join(manifest.networks)}: as {manifest.method} was saved")
