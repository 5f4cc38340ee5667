"""Commands on finished and stopped runs: what is done, whether it holds, who is better."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    AsJson,
    Level,
    errors,
    give,
    print_json,
)
from bench.errors import UsageError
from bench.terminal import visible_lines


class Format(StrEnum):
    """Format of a leaderboard."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    json = "json"
    html = "html"
    latex = "latex"


class Dashboard(StrEnum):
    """Where finished runs can be sent."""

    wandb = "wandb"
    tensorboard = "tensorboard"
    mlflow = "mlflow"


class Parts(StrEnum):
    """What parts the scores of a run."""

    category = "category"
    size = "size"
    instances = "instances"


def status(folder: Annotated[Path, typer.Argument(help="Output folder of a run.")], as_json: AsJson = False) -> None:
    """Show what is done, what is left and what failed."""
    from bench.status import print_status, read_status

    if as_json:
        print_json(read_status(folder))
    else:
        print_status(folder)


def verify(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Read the data anew, too; relative paths start from here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute digests, tables, scores and leaderboards from the rows, and name everything that does not hold."""
    from bench.verify import as_plain, print_findings
    from bench.verify import verify as verify_folder

    runs, findings = verify_folder(folder, data_root)
    if as_json:
        print_json(as_plain(runs, findings))
    else:
        print_findings(runs, findings)
    if findings:
        raise typer.Exit(1)


def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of runs, or folders of results.")],
    format: Annotated[Format | None, typer.Option("--format", help="That of --out's suffix if left out.")] = None,
    level: Annotated[Level | None, typer.Option(help="Whole pictures or instances; both where left out.")] = None,
    sort: Annotated[str | None, typer.Option(help="The metric that ranks; psnr if left out.")] = None,
    by: Annotated[Parts | None, typer.Option("--by", help="Show the scores of parts, method by method.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Show this one alone; may be repeated.")] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="Rank runs with this one alone; may be repeated; none for no boxes.")
    ] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Show this one alone; may be repeated.")] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Add what papers say, with source, below and without rank, whatever --detector is: of the measured "
            "datasets, or of all where papers have none of these.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of standard output.")] = None,
) -> None:
    """Rank the methods of one or more runs."""
    from bench.breakdown_board import print_breakdowns, render_breakdowns
    from bench.leaderboard import format_of, print_leaderboards, render
    from bench.ranking import LEVELS
    from bench.scoring.metrics import find_metric
    from bench.shown import Shown

    if sort is not None:
        find_metric(sort)
    if by and published:
        raise UsageError("papers say nothing of the parts of --by: leave out --by or --published")
    levels = [each for each in LEVELS if level is None or each == level.value]
    shown = Shown(*map(tuple, (dataset or (), detector or (), protocol or ())))
    form = format.value if format else (format_of(out) if out else None) or Format.terminal.value
    if out is not None or form != Format.terminal.value:
        text = (
            render_breakdowns(folders, form, by.value, levels=levels, sort=sort, shown=shown)
            if by
            else render(folders, form, levels=levels, sort=sort, shown=shown, published=published)
        )
        give(text, out)
    elif by:
        print_breakdowns(folders, by.value, levels=levels, sort=sort, shown=shown)
    else:
        print_leaderboards(folders, levels=levels, sort=sort, shown=shown, published=published)


def compare(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    a: Annotated[str, typer.Argument(metavar="A", help="A method's name, or METHOD--DETECTOR.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    metric: Annotated[str, typer.Option(help="By which they are compared.")] = "psnr",
    level: Annotated[Level, typer.Option(help="Whole pictures or instances.")] = Level.image,
    dataset: Annotated[str | None, typer.Option(help="May be left out where there is one.")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw both, too: a .png or .svg file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two methods picture by picture: difference, interval, p-value, win rate, where they differ most."""
    from bench.compare import compare_methods
    from bench.compare_text import print_comparison, to_document
    from bench.scoring.metrics import find_metric

    find_metric(metric)
    compared = compare_methods(folder, a, b, metric=metric, level=level.value, dataset=dataset)
    if figure is not None:
        from bench.figures.folder import write_pair

        write_pair(compared, figure)
    if as_json:
        print_json(to_document(compared))
    else:
        print_comparison(compared)


def report(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page; report.html in the folder if left out.")] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, help="Most pictures of a dataset; the extremes and an even spread.")
    ] = 200,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Write plots for papers, too: PNG and SVG files into this folder.")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Of the plots; may be repeated; all if left out.")] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Two methods to plot; may be repeated; the best if left out."),
    ] = None,
    show: Annotated[
        list[str] | None, typer.Option(metavar="IMAGE", help="For the plots' grid; may be repeated; four if left out.")
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Methods of that grid, in this order; the best, best first, if left out."),
    ] = None,
) -> None:
    """Write one page with tables and pictures that opens without a network, and plots for papers."""
    from bench.report.page import write_report

    if figures is not None:
        from bench.figures.folder import parse_wanted, write_figures

        written = write_figures(folder, figures, parse_wanted(metric or (), pair or (), show or (), grid))
        typer.echo(f"{figures}: {len(written.names)} plots as PNG and SVG, with captions in figures.md and figures.csv")
        for line in written.missing:
            errors.print(visible_lines(line), markup=False, soft_wrap=True)
    elif metric or pair or show or grid:
        raise UsageError("--metric, --pair, --show and --grid say what the plots are of: give --figures FOLDER, too")
    typer.echo(str(write_report(folder, out, pictures)))


def replay(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of runs.")],
    to: Annotated[list[Dashboard], typer.Option("--to", help="Dashboard; may be repeated.")],
    project: Annotated[
        str | None, typer.Option(help="wandb's project and MLflow's experiment; colorbench if left out.")
    ] = None,
) -> None:
    """Send finished runs to dashboards; twice is the same as once.

    wandb gets them offline, into the folder's `logs`, unless you are logged in or WANDB_MODE says otherwise; MLflow
    too, unless MLFLOW_TRACKING_URI names a server. TensorBoard has nothing but files.
    """
    from bench.dashboards.sending import replay as replay_runs

    for line in replay_runs(folders, [each.value for each in to], project):
        typer.echo(visible_lines(line))


def publish(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    results: Annotated[Path | None, typer.Option("--results", help="That of the checkout if left out.")] = None,
) -> None:
    """Copy verified, whole records of a clean commit into results/, and write its leaderboards anew."""
    from bench.publish import publish as publish_runs
    from bench.publish import tell, tell_refused

    published = publish_runs(folder, results)
    for line in tell(published):
        typer.echo(visible_lines(line))
    for line in tell_refused(published):
        errors.print(visible_lines(line), markup=False, soft_wrap=True)
    if published.refused:
        raise typer.Exit(1)
