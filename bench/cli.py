"""The command line: one thin function a command. What is heavy is imported inside, so that `--help` answers at once."""

import errno
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.errors import CommandError, MissingError, UsageError
from bench.interrupt import Interrupted, raise_on_signals
from bench.terminal import visible_lines

if TYPE_CHECKING:
    from bench.plan import Places, Run

app = typer.Typer(
    name="colorbench",
    help="Compare image colorization methods: the same pictures, the same boxes, the same scores for all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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


class Format(StrEnum):
    """Format of a leaderboard."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    json = "json"
    html = "html"


class Level(StrEnum):
    """What is scored: whole pictures, or their instances."""

    image = "image"
    instance = "instance"


class Parts(StrEnum):
    """What parts the scores of a run."""

    category = "category"
    size = "size"
    instances = "instances"


class Size(StrEnum):
    """Size of the pictures that `colorize` writes."""

    published = "256"
    original = "original"


@app.command()
def demo(
    out: Out = Path("colorbench-demo"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many training steps a stage and pictures.")] = None,
) -> None:
    """Train zhang-eccv16, iizuka-siggraph16 and instcolor-fusion in small and compare them on photos and scenes."""
    from bench.demo import run_demo

    _end(run_demo(out, limit))


@app.command()
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
        _dry_run(plan(loaded, only or ()), Places(beside, data_root))
        return
    from bench.leaderboard import print_leaderboards
    from bench.prepare import Options
    from bench.runner import run as run_suite

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
    _end(failed)


@app.command()
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

    options = TrainingOptions(
        out or Path("colorbench-trained") / method,
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


@app.command()
def status(folder: Annotated[Path, typer.Argument(help="Output folder of a run.")], as_json: AsJson = False) -> None:
    """Show what is done, what is left and what failed."""
    from bench.status import print_status, read_status

    if as_json:
        _print_json(read_status(folder))
    else:
        print_status(folder)


@app.command()
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
    devices: Devices = 1,
) -> None:
    """Score a folder of coloured pictures from any method, or go on with one that was stopped."""
    from bench.catalog import known
    from bench.scoring.metrics import find_metric
    from bench.suite import check_name
    from datamodules.protocol import PROTOCOLS

    given = None if metrics is None else [find_metric(each.strip()).id for each in metrics.split(",")]
    names = _run_name(name, pred_dir), check_name(dataset)
    known("protocol", protocol, PROTOCOLS)
    from bench.submission import Submission, find_pairs

    chosen = None if given is None else tuple(dict.fromkeys(given))
    submission = Submission(pred_dir, truth_dir, out, *names, protocol, instances, chosen, partial, strict, devices)
    pairing = find_pairs(submission)
    from bench.leaderboard import print_leaderboards
    from bench.score import score as score_submission

    failed = score_submission(submission, pairing)
    print_leaderboards([out])
    typer.echo(f"report: {out / 'report.html'}")
    _end(failed)


@app.command()
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
        _print_json(as_plain(runs, findings))
    else:
        print_findings(runs, findings)
    if findings:
        raise typer.Exit(1)


@app.command()
def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of runs.")],
    format: Annotated[Format | None, typer.Option("--format", help="That of --out's suffix if left out.")] = None,
    level: Annotated[Level | None, typer.Option(help="Whole pictures or instances; both where left out.")] = None,
    sort: Annotated[str | None, typer.Option(help="The metric that ranks; psnr if left out.")] = None,
    by: Annotated[Parts | None, typer.Option("--by", help="Show the scores of parts, method by method.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of standard output.")] = None,
) -> None:
    """Rank the methods of one or more runs."""
    from bench.breakdown_board import print_breakdowns, render_breakdowns
    from bench.leaderboard import format_of, print_leaderboards, render
    from bench.ranking import LEVELS
    from bench.scoring.metrics import find_metric

    if sort is not None:
        find_metric(sort)
    levels = [each for each in LEVELS if level is None or each == level.value]
    form = format.value if format else (format_of(out) if out else None) or Format.terminal.value
    if out is not None or form != Format.terminal.value:
        text = (
            render_breakdowns(folders, form, by.value, levels=levels, sort=sort)
            if by
            else render(folders, form, levels=levels, sort=sort)
        )
        _give(text, out)
    elif by:
        print_breakdowns(folders, by.value, levels=levels, sort=sort)
    else:
        print_leaderboards(folders, levels=levels, sort=sort)


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    a: Annotated[str, typer.Argument(metavar="A", help="A method's name, or METHOD--DETECTOR.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    metric: Annotated[str, typer.Option(help="By which they are compared.")] = "psnr",
    level: Annotated[Level, typer.Option(help="Whole pictures or instances.")] = Level.image,
    dataset: Annotated[str | None, typer.Option(help="May be left out where there is one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two methods picture by picture: difference, interval, p-value, win rate, where they differ most."""
    from bench.compare import compare_methods
    from bench.compare_text import print_comparison, to_document
    from bench.scoring.metrics import find_metric

    find_metric(metric)
    compared = compare_methods(folder, a, b, metric=metric, level=level.value, dataset=dataset)
    if as_json:
        _print_json(to_document(compared))
    else:
        print_comparison(compared)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page; report.html in the folder if left out.")] = None,
) -> None:
    """Write one page with tables and pictures that opens without a network."""
    from bench.report.page import write_report

    typer.echo(str(write_report(folder, out)))


@app.command()
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
    _end(reproduce_study(study, Workplace(work, data_root, jobs, only)))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, detectors, datasets, metrics, protocols, suites or recipes.")],
    as_json: AsJson = False,
) -> None:
    """List what colorbench knows by name."""
    from bench.listing import entries, print_entries

    if as_json:
        _print_json(entries(what))
    else:
        print_entries(what)


@app.command()
def detect(
    image_dir: Annotated[Path, typer.Argument(help="Folder of photos.")],
    detector: Annotated[str, typer.Option(help="A detector's id.")],
    weights: Annotated[str | None, typer.Option(help="Weights file; found by name if left out.")] = None,
    instances: Annotated[Path | None, typer.Option(help="COCO JSON, for the detector `annotations`.")] = None,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Least confidence.")] = 0.7,
    max_boxes: Annotated[int, typer.Option(min=1, max=100, help="Most boxes a photo, the best ones.")] = 8,
    out: Annotated[Path, typer.Option(help="The box file.")] = Path("boxes.json"),
) -> None:
    """Find instances in the light of photos and write them as a box file, COCO with scores."""
    from bench.suite import DetectorChoice

    choice = DetectorChoice(id=detector, weights=weights, score_threshold=score_threshold, max_boxes=max_boxes)
    if not image_dir.is_dir():
        raise MissingError(f"there is no folder of photos at {image_dir}")
    from bench.detection import detect_folder, failures

    found = detect_folder(image_dir, choice, out, instances)
    typer.echo(f"{len(found.annotations)} boxes on {len(found.images)} photos: {out}")
    _end(len(failures(found)), "each is named above and in the box file")


@app.command()
def prior(
    image_dir: Annotated[Path, typer.Argument(help="Folder of photos.")],
    out: Annotated[Path, typer.Option(help="The NumPy file.")] = Path("prior.npy"),
    raw: Annotated[bool, typer.Option("--raw", help="The plain histogram, not smoothed over neighbours.")] = False,
) -> None:
    """Count how often each of the 313 colours of Zhang et al. occurs in photos, smoothed as for their weights."""
    from bench.prior import write_prior

    counted, failed = write_prior(image_dir, out, raw=raw)
    typer.echo(f"prior of {counted} photos: {out}")
    _end(failed, "each is named above")


@app.command()
def colorize(
    images: Annotated[list[Path], typer.Argument(help="Photos; of a colour photo only the light is used.")],
    model: Annotated[str, typer.Option(help="A method's id.")],
    weights: Annotated[str | None, typer.Option(help="Folder of weights.")] = None,
    detector: Annotated[str | None, typer.Option(help="A detector's id, for methods that look at boxes.")] = None,
    detector_weights: Annotated[str | None, typer.Option(help="Weights file of the detector.")] = None,
    instances: Annotated[Path | None, typer.Option(help="COCO JSON with boxes, instead of a detector.")] = None,
    size: Annotated[Size, typer.Option(help="The photo's own size, or the published square.")] = Size.original,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("colorbench-colorized"),
) -> None:
    """Colour photos and write 8-bit PNG files."""
    _check_wish(images, model, detector, instances)
    from bench.colorize import Wish, colorize_files

    wish = Wish(model, weights, detector, detector_weights, instances)
    _end(colorize_files(images, wish, published=size is Size.published, out=out), "each is named above")


FORMAT_HELP = "instcolorization, mmagic, zhang-eccv16, zhang-siggraph17, colorization-pytorch or iizuka-t7."
weights_app = typer.Typer(no_args_is_help=True, help="Find, fetch, import and check weights.")
app.add_typer(weights_app, name="weights")


@weights_app.command("list")
def weights_list(as_json: AsJson = False) -> None:
    """List the weight files that colorbench knows, and where they were found."""
    from bench.weights import known_files, print_known_files

    if as_json:
        _print_json(known_files())
    else:
        print_known_files()


@weights_app.command("fetch")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A method's id, or a file name from `weights list`.")],
) -> None:
    """Download a weight file into the cache and check its digest; import it if it is a method's."""
    from bench.weights import fetch

    typer.echo(str(fetch(name)))


@weights_app.command("import")
def weights_import(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMAT_HELP)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The files of the release.")],
    out: Out,
) -> None:
    """Turn weights that others published into a folder that colorize, run and speed take."""
    from bench.importing import import_weights

    for line in import_weights(format, files, out).lines():
        typer.echo(line)


@weights_app.command("verify")
def weights_verify(folder: Annotated[Path, typer.Argument(help="A folder of weights, or of a training.")]) -> None:
    """Compare the files of a weights folder with the digests in its manifest."""
    from bench.weights import verify_folder

    manifest = verify_folder(folder)
    typer.echo(f"{', '.join(manifest.networks)}: as {manifest.method} was saved")


StandardSet = Annotated[str, typer.Argument(metavar="ID", help="A standard set's id, from `data list`.")]
data_app = typer.Typer(no_args_is_help=True, help="Find, fetch and check the standard sets of pictures.")
app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List the standard sets: what each is, and how it is had."""
    from bench.datasets import print_standard_sets, standard_sets

    if as_json:
        _print_json(standard_sets())
    else:
        print_standard_sets()


@data_app.command("fetch")
def data_fetch(name: StandardSet, out: Out) -> None:
    """Download, check and unpack a set, or say where it is had; started again, it goes on where it was."""
    from bench.datasets import fetch

    typer.echo(f"{name}: {fetch(name, out).sentence()} in {out}")


@data_app.command("verify")
def data_verify(name: StandardSet, folder: Annotated[Path, typer.Argument(help="Its root.")]) -> None:
    """Compare what is in a folder with the list of a set, and name what differs."""
    from bench.datasets import verify

    typer.echo(f"{name}: {verify(name, folder).sentence()} in {folder}")


@app.command()
def speed(
    method: Annotated[str, typer.Argument(help="A method's id.")],
    weights: Annotated[str | None, typer.Option(help="Folder of weights; the published size if left out.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a forward pass.")] = 1,
    boxes: Annotated[int, typer.Option(min=0, help="Boxes a picture.")] = 8,
    precision: Annotated[Precision, typer.Option(help="Number format of the networks.")] = Precision.full,
    repeats: Annotated[int, typer.Option(min=1, help="Timed passes.")] = 5,
    devices: Devices = 1,
    as_json: AsJson = False,
) -> None:
    """Measure images per second, memory, parameters and GMACs on this machine."""
    from bench.catalog import known, methods

    known("method", method, methods())
    from bench.speed import measure, measure_together, print_speed

    arguments = {"batch_size": batch_size, "boxes": boxes, "precision": precision.value, "repeats": repeats}
    if devices > 1:
        measured = measure_together(devices, method=method, weights=weights, **arguments)
    else:
        measured = measure(method, weights, batch_size, boxes, precision.value, repeats)
    if as_json:
        _print_json(measured)
    else:
        print_speed(measured)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, weights and data found, what is missing and how to get it."""
    from bench.doctor import examine, print_examination

    if as_json:
        _print_json(examine())
    else:
        print_examination()


LIGHTNING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _lightning() -> None:
    """Hand the whole command line to LightningCLI."""
    from bench.lightning_cli import run_command_line

    run_command_line()


for _name, _help in {
    "fit": "Train with Lightning's own command line (`fit --help`).",
    "validate": "Compute the validation loss with Lightning's own command line.",
    "test": "Run Lightning's test loop.",
    "predict": "Run Lightning's predict loop.",
}.items():
    app.command(_name, help=_help, context_settings=LIGHTNING)(_lightning)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("colorbench"))
        raise typer.Exit


def _check_wish(images: list[Path], model: str, detector: str | None, instances: Path | None) -> None:
    """Refuse what cannot be coloured before torch is imported."""
    from bench.catalog import DETECTORS, known, methods

    uses_boxes = methods()[known("method", model, methods())].uses_boxes
    if detector is not None:
        known("detector", detector, DETECTORS)
    if (detector or instances) and not uses_boxes:
        raise UsageError(f"{model} looks at no boxes: leave --detector and --instances out")
    if detector and instances:
        raise UsageError("boxes come from --detector or from --instances: leave one of them out")
    if uses_boxes and not (detector or instances):
        raise UsageError(
            f"{model} colours instances: name a detector with --detector ({', '.join(DETECTORS)}), or give their boxes "
            "as a COCO file with --instances"
        )
    for image in images:
        if not image.exists():
            raise MissingError(f"there is no photo at {image}")
        if image.is_dir():
            raise UsageError(f"{image} is a folder: name its photos, such as {image}/*.jpg")


def _run_name(given: str | None, folder: Path) -> str:
    """Return the name of what is scored: as given, else its folder's."""
    from bench.suite import check_name

    if given is not None:
        return check_name(given)
    try:
        return check_name(folder.resolve().name)
    except UsageError as error:
        raise UsageError(f"{error}; or give a name with --name") from error


def _dry_run(runs: "list[Run]", places: "Places") -> None:
    """Print the folders of the runs, and what they need and lack."""
    from bench.plan import missing

    for run in runs:
        typer.echo(run.folder)
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


def _give(text: str, out: Path | None) -> None:
    """Print a text, or write it to a file and print that one's name."""
    if out is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    from bench.files import atomic_write

    atomic_write(out, text)
    typer.echo(str(out))


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def _end(failed: int, where: str = "each is named in its run's images.csv") -> None:
    """End with status 1 where pictures failed."""
    if failed:
        errors.print(f"{failed} {'picture' if failed == 1 else 'pictures'} failed; {where}", markup=False)
        raise typer.Exit(1)


def main() -> None:
    """Run the command line and end with the exit status that the interface promises."""
    raise_on_signals()
    try:
        _run_app()
    except CommandError as error:
        kind = {UsageError.exit_status: "error", MissingError.exit_status: "missing"}.get(error.exit_status, "failed")
        errors.print(visible_lines(f"{kind}: {error}"), markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    except Interrupted as stop:
        errors.print(f"{stop}; what is finished is kept. Go on with: {_again()}", markup=False, soft_wrap=True)
        sys.exit(stop.exit_status)


def _run_app() -> None:
    """Run the command; a name that no file system takes, at which `Path.exists` raises, is wrong usage.

    Raises:
        UsageError: A path is too long.
    """
    try:
        app()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"{error.filename!r} is too long for a file's name: give another path") from error


def _again() -> str:
    import shlex

    return shlex.join(["colorbench", *sys.argv[1:]])
