"""Commands that compute: demo, suites, trainings, folders of pictures, studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import (
    BatchSize,
    DataRoot,
    Devices,
    Loggers,
    Out,
    Precision,
    end_runs,
    errors,
)
from bench.errors import MissingError, UsageError
from bench.interrupt import keep_in

if TYPE_CHECKING:
    from bench.plan import Places, Run


def demo(
    out: Out = Path("colorbench-demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many training steps a stage and pictures.")] = None,
) -> None:
    """Train zhang-eccv16, iizuka-siggraph16 and instcolor-fusion in small and compare them on photos and scenes."""
    from bench.demo import run_demo

    keep_in(out)
    end_runs(run_demo(out, limit), out)


def run(
    suite: Annotated[str, typer.Argument(help="A suite's YAML file, or the id of one that ships with colorbench.")],
    out: Out = Path("colorbench-run"),
    data_root: DataRoot = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Score the first so many pictures only; never ranked.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run this method of the suite only; may be repeated.")] = None,
    devices: Devices = 1,
    batch_size: BatchSize = None,
    precision: Annotated[Precision | None, typer.Option(help="Number format of the networks.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the suite's seeds.")] = None,
    save_images: Annotated[bool, typer.Option("--save-images", help="Keep the coloured pictures.")] = False,
    logger: Loggers = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first run with a failed picture.")] = False,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Run methods in a process of their own, which they may bring down.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds that a batch may take, with --isolate or several --devices.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be run.")] = False,
) -> None:
    """Run a suite, or go on with one that was stopped, and write records, tables and a report."""
    from bench.plan import Places, plan
    from bench.suite import load_suite

    if timeout is not None and devices == 1 and not isolate:
        raise UsageError("a batch can be given up only in a process of its own: give --isolate with --timeout")
    loaded, beside = load_suite(suite)
    changes = {
        "limit": limit,
        "batch_size": batch_size,
        "precision": precision.value if precision else None,
        "seeds": None if seed is None else (seed,),
    }
    loaded = loaded.model_copy(update={key: value for key, value in changes.items() if value is not None})
    if dry_run:
        _dry_run(plan(loaded, only or ()), Places(beside, data_root), loaded.metrics)
        return
    from bench.leaderboard import print_leaderboards
    from bench.prepare import Options
    from bench.runner import run as run_suite

    keep_in(out)
    places = Places(beside, data_root)
    options = Options(
        out,
        places,
        only=only or (),
        devices=devices,
        isolate=isolate,
        timeout=timeout,
        save_images=save_images,
        strict=strict,
        loggers=_loggers(logger),
    )
    failed = run_suite(loaded, options)
    print_leaderboards([out])
    typer.echo(f"report: {out / 'report.html'}")
    end_runs(failed, out, {each.folder for each in plan(loaded, only or ())})


def train(
    method: Annotated[str, typer.Argument(help="A method's id.")],
    data: Annotated[
        str, typer.Option(help="A dataset's id, or a YAML file with class_path and init_args.")
    ] = "synthetic",
    data_root: DataRoot = None,
    recipe: Annotated[str, typer.Option(help="A recipe's id, or a YAML file.")] = "small",
    devices: Devices = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines, each with --devices processes.")] = 1,
    sync_batchnorm: Annotated[
        bool, typer.Option("--sync-batchnorm", help="Share BatchNorm's statistics between GPUs; else each has its own.")
    ] = False,
    precision: Annotated[Precision, typer.Option(help="Number format of the networks.")] = Precision.full,
    batch_size: BatchSize = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="At most so many steps a stage.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and crops.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model, after the recipe's; may be repeated."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Begin from this training or import. Stages before the last that it holds as trained are taken over; "
            "the others are trained from its networks of the same name (fine-tuned), but an ablation as after the "
            "stages before it."
        ),
    ] = None,
    logger: Loggers = None,
    out: Annotated[Path | None, typer.Option(help="Folder for weights, checkpoints and logs.")] = None,
) -> None:
    """Train every stage of a method in order; started again with the same --out, it goes on where it was.

    With --devices N it starts N processes. From outside they are started by
    `torchrun --no-python --nproc-per-node N colorbench train ... --devices N` or, one task a device, by
    `srun colorbench train ... --devices N --nodes M`. The batch is that of all processes together. Each has its own
    BatchNorm statistics in training and those of the first are kept, unless --sync-batchnorm is given.
    """
    from bench.catalog import training_stages
    from bench.plan import Places, training_tree
    from bench.recipe import load_recipe, parse_settings

    stages = training_stages(method)
    tree = training_tree(data, Places(Path(), data_root))
    loaded, given = load_recipe(recipe), parse_settings(settings or ())
    loaded.with_settings(given, stages)
    from bench.processes import is_first_process
    from bench.training import TrainingOptions
    from bench.training import train as train_method

    folder = out or Path("colorbench-trained") / method
    keep_in(folder)
    options = TrainingOptions(
        folder,
        tree,
        loaded,
        seed,
        devices,
        precision.value,
        batch_size,
        max_steps,
        _loggers(logger),
        settings=given,
        init=init,
        nodes=nodes,
        sync_batchnorm=sync_batchnorm,
    )
    weights = train_method(method, options)
    if is_first_process():
        typer.echo(f"weights: {weights}")


def score(
    pred_dir: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of coloured pictures.")],
    truth_dir: Annotated[
        Path, typer.Argument(metavar="TRUTH_DIR", help="Folder of the true pictures, with the same relative names.")
    ],
    name: Annotated[str | None, typer.Option(help="In tables; the name of PRED_DIR if left out.")] = None,
    instances: Annotated[
        Path | None, typer.Option(help="COCO JSON of the true pictures, file names relative to TRUTH_DIR.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="What is done to pictures before they are compared.")] = "native-v1",
    metrics: Annotated[
        str | None, typer.Option(help="Ids with commas between them, see `list metrics`; those of a run if left out.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Name of the true pictures: runs on them share a table.")] = "folder",
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the pairs that match where not all do; never ranked.")
    ] = False,
    out: Out = Path("colorbench-scored"),
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that fails.")] = False,
    save_images: Annotated[
        bool, typer.Option("--save-images", help="Keep what was compared, so that the report shows it.")
    ] = False,
    devices: Devices = 1,
    named: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="How predictions are called where not as their truths: fake_{name}, {name}_c*; others are left out.",
        ),
    ] = None,
) -> None:
    """Score a folder of coloured pictures from any method, or go on with one that was stopped."""
    from bench.catalog import known
    from bench.scoring.metrics import find_metric
    from bench.suite import check_name
    from datamodules.naming import check_pattern
    from datamodules.protocol import PROTOCOLS

    given = None if metrics is None else [find_metric(each.strip()).id for each in metrics.split(",")]
    names = _run_name(name, pred_dir), check_name(dataset)
    known("protocol", protocol, PROTOCOLS)
    from bench.submission import Submission, find_pairs

    chosen = None if given is None else tuple(dict.fromkeys(given))
    try:
        called = None if named is None else check_pattern(named)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folders = pred_dir, truth_dir, out
    submission = Submission(
        *folders, *names, protocol, instances, chosen, partial, strict, devices, save_images=save_images, named=called
    )
    pairing = find_pairs(submission)
    from bench.leaderboard import print_leaderboards
    from bench.score import score as score_submission

    keep_in(out)
    failed = score_submission(submission, pairing)
    print_leaderboards([out])
    typer.echo(f"report: {out / 'report.html'}")
    end_runs(failed, out, {submission.folder})


def reproduce(
    study: Annotated[Path, typer.Argument(help="Folder of a study, such as results/studies/small-v1.")],
    data_root: DataRoot = None,
    only: Annotated[
        str | None, typer.Option(help="Repeat this method alone and compare it with the study's records.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for trainings and runs.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once, each with one thread.")] = 1,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="Write the page anew from the files in the study's folder.")
    ] = False,
) -> None:
    """Repeat a study, its trainings, runs and page; started again with the same --out, it goes on where it was."""
    from bench.studies.declared import load_study

    declared = load_study(study)
    if page_only:
        from bench.studies.page import write_page

        typer.echo(f"page: {write_page(declared)}")
        return
    from bench.studies.reproduce import Workplace
    from bench.studies.reproduce import reproduce as reproduce_study

    work = out or Path("colorbench-studies") / declared.study.id
    keep_in(work)
    end_runs(reproduce_study(study, Workplace(work, data_root, jobs, only)), work / "run")


def _run_name(given: str | None, folder: Path) -> str:
    """Return the name of what is scored: as given, else its folder's."""
    from bench.suite import check_name

    if given is not None:
        return check_name(given)
    try:
        return check_name(folder.resolve().name)
    except UsageError as error:
        raise UsageError(f"{error}; or give a name with --name") from error


def _dry_run(runs: "list[Run]", places: "Places", metrics: Sequence[str]) -> None:
    """Print the folders of the runs, what they need and lack, and the metrics that a run on this machine leaves out."""
    from bench.plan import missing
    from bench.scoring.metric_files import find_metric_files

    for run in runs:
        typer.echo(run.folder)
    for notice in find_metric_files(metrics, download=False)[1]:
        errors.print(f"note: unless its weights can be fetched, {notice}", markup=False, soft_wrap=True)
    lacking = missing(runs, places)
    for line in lacking:
        errors.print(f"missing: {line}", markup=False, soft_wrap=True)
    if lacking:
        raise typer.Exit(MissingError.exit_status)


def _loggers(names: list[str] | None) -> list[str]:
    """Check the names of dashboards; `none` stands alone."""
    if not names:
        return []
    from bench.catalog import known
    from bench.tracking import DASHBOARDS

    chosen = [known("logger", name, (*DASHBOARDS, "none")) for name in names]
    if "none" in chosen and len(chosen) > 1:
        raise UsageError("--logger none stands alone: leave it out, or leave the others out")
    return chosen
