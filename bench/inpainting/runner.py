"""Run a suite of inpainting: train, fill, score, write records and tables. One visible loop."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytorch_lightning as pl

from bench.build import data_errors, instantiate
from bench.device import device_of
from bench.errors import UsageError
from bench.inpainting.board import write_leaderboard
from bench.inpainting.comparison import write_comparison
from bench.inpainting.evaluation import InpaintRun, fill_and_score
from bench.inpainting.job import Job
from bench.inpainting.photos import Photos, find_photos
from bench.inpainting.plan import weights_folder
from bench.inpainting.suite import InpaintChoice, InpaintSuite, load_recipe
from bench.inpainting.training import InpaintTraining, train
from bench.manifest import load_manifest, load_networks
from bench.outputs import working_in
from bench.plan import Places
from bench.progress import say
from bench.scoring.networks import Networks, find_networks
from lightning_modules.inpainting.inpainter import Inpainter


@dataclass(frozen=True, slots=True)
class InpaintOptions:
    """Hold what the command line says about how a suite is run, but not about what it compares."""

    out: Path
    places: Places
    max_steps: int | None = None
    published: bool = False


def run_inpainting(suite: InpaintSuite, options: InpaintOptions) -> int:
    """Run a suite and write everything that it promises; started again with the same folder, it goes on.

    Returns:
        How many pictures ended as error rows.

    Raises:
        MissingError: Photos, masks or weights are not there.
        UsageError: The folder holds other runs, or trainings of something else, or there is nothing to train on.
        CommandError: Another process is at work in the folder, or a training went wrong; what is finished is kept.
    """
    with working_in(options.out):
        photos = find_photos(suite, options.places)
        if photos.training is None and any(choice.learns and choice.weights is None for choice in suite.methods):
            raise UsageError(f"{photos.name} has no training photos beside the tested ones: name a set as `train:`")
        networks, _, notices = find_networks(("fid",))
        for notice in notices:
            say(notice)
        failed = 0
        for choice in suite.methods:
            method, weights = prepare(choice, suite, photos, options)
            for holes in suite.holes:
                fid = networks.inception is not None
                job = Job(suite, choice, holes, photos, method, weights, options.out, fid)
                failed += run_job(job, networks)
            write_leaderboard(options.out, published=options.published)
        write_comparison(suite, photos.holed(suite), photos.name, options.out)
    return failed


def prepare(
    choice: InpaintChoice, suite: InpaintSuite, photos: Photos, options: InpaintOptions
) -> tuple[Inpainter, Path | None]:
    """Build a method with its weights, training it first where it has none.

    Returns:
        The method, and the folder of its weights; None for a method without, or with random ones.
    """
    recipe = load_recipe(suite.recipe, options.places.suite)
    data = photos.training or photos.tree
    training = InpaintTraining(options.out, choice, suite, recipe, data, photos.masks, options.max_steps)
    if not choice.learns or choice.untrained:
        pl.seed_everything(suite.seed, workers=True, verbose=False)
        return instantiate(training.tree, Inpainter).eval().to(device_of(0)), None
    weights = train(training.shared()) if choice.weights is None else weights_folder(choice, options.places)
    method = instantiate(load_manifest(weights).models[choice.id], Inpainter)
    load_networks(method.networks(), weights)
    return method.eval().to(device_of(0)), weights


def run_job(job: Job, networks: Networks) -> int:
    """Fill and score what is left of one run, and write its tables and its record.

    Returns:
        How many of its pictures failed.
    """
    data = job.photos.holed(job.suite, job.choice)
    data.bucket = job.holes
    job.claim()
    title = f"{job.choice.name}, holes {job.holes}"
    run = InpaintRun(job.folder, job.run_id, title, job.suite.batch_size, job.suite.shown, networks)
    began = datetime.now(UTC)
    with data_errors():
        fill_and_score(run, job.method, data)
    return job.finish(began).failed
