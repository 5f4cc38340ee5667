"""`colorbench demo`: train small variants of three methods, compare them, show the tables. No download, no account."""

from importlib.util import find_spec
from pathlib import Path

from bench import catalog
from bench.leaderboard import print_leaderboards
from bench.plan import Places
from bench.prepare import Options
from bench.progress import say
from bench.recipe import load_recipe
from bench.runner import run
from bench.suite import DatasetChoice, Suite, load_suite
from bench.training import TrainingOptions, train

TRAINED = ("zhang-eccv16", "iizuka-siggraph16", "instcolor-fusion")


def demo_suite(limit: int | None) -> Suite:
    """Return the demo's suite; without ultralytics its photos are `samples-core`."""
    suite, _ = load_suite("demo-v1")
    samples = "samples" if find_spec("ultralytics") is not None else "samples-core"
    datasets = tuple(
        DatasetChoice.model_validate(samples) if dataset.id == "samples" else dataset for dataset in suite.datasets
    )
    return suite.model_copy(update={"datasets": datasets, "limit": limit})


def run_demo(out: Path, limit: int | None) -> int:
    """Train, compare and print both leaderboards; started again with the same folder, it goes on where it was.

    Args:
        out: folder for weights, runs and the report.
        limit: at most so many training steps a stage and pictures a dataset, for a quick check of the installation.

    Returns:
        How many pictures failed.
    """
    suite = demo_suite(limit)
    recipe, data = load_recipe("demo"), catalog.data_tree("demo-training")
    say(f"training {', '.join(TRAINED)} at 1/8 width on photos and synthetic scenes of 64 pixels")
    for method in TRAINED:
        train(method, TrainingOptions(out / "trained" / method, data, recipe, max_steps=limit, loggers=["none"]))
    say(f"comparing {len(suite.methods)} methods on {' and '.join(dataset.name for dataset in suite.datasets)}")
    failed = run(suite, Options(out, Places(out), save_images=True, download=False))
    print_leaderboards([out])
    say(
        "A small-scale study: an eighth of the published width, a few hundred steps, four real photos seen. Colours "
        "of scenes follow from their texture; on real photos networks so small rarely beat gray."
    )
    say(f"report with pictures: {out / 'report.html'}")
    return failed
