"""The command of the other task: holes are filled, and scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import DataRoot, Out, end, errors
from bench.errors import MissingError

if TYPE_CHECKING:
    from bench.inpainting.suite import InpaintSuite
    from bench.plan import Places


def inpaint(
    suite: Annotated[
        str, typer.Argument(help="A suite's YAML file, or the id of one that ships with colorbench.")
    ] = "inpainting-v1",
    out: Out = Path("colorbench-inpainting"),
    data_root: DataRoot = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Fill the first so many pictures only; never ranked.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="At most so many steps a training.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the suite's.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Show what papers give, below, each marked by what confirms it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be run.")] = False,
) -> None:
    """Train inpainting methods, fill holes of photos by them and rank them by the share that is missing.

    Started again with the same --out, it goes on where it was.
    """
    from bench.inpainting.suite import load_suite
    from bench.plan import Places

    loaded, beside = load_suite(suite)
    changes = {"limit": limit, "seed": seed}
    loaded = loaded.model_copy(update={key: value for key, value in changes.items() if value is not None})
    places = Places(beside, data_root)
    if dry_run:
        _dry_run(loaded, places)
        return
    from bench.inpainting.board import print_leaderboard
    from bench.inpainting.runner import InpaintOptions, run_inpainting

    failed = run_inpainting(loaded, InpaintOptions(out, places, max_steps, published))
    print_leaderboard(out, published=published)
    typer.echo(f"leaderboard: {out / 'leaderboard.html'}, pictures: {out / 'comparison.png'}")
    end(failed, f"each is named in its run's images.csv, below {out / 'inpainting'}")


def _dry_run(suite: "InpaintSuite", places: "Places") -> None:
    """Print the folders of the runs, and what they need and lack."""
    from bench.inpainting.plan import chosen_photos, missing
    from bench.inpainting.record import FOLDER

    dataset = chosen_photos(suite, places).name
    for choice in suite.methods:
        for holes in suite.holes:
            typer.echo(f"{FOLDER}/{dataset}/{choice.name}--{holes}--s{suite.seed}")
    lacking = missing(suite, places)
    for line in lacking:
        errors.print(f"missing: {line}", markup=False, soft_wrap=True)
    if lacking:
        raise typer.Exit(MissingError.exit_status)
