"""Train a method: its stages in order, each from the weights of those before it, resumable at every checkpoint."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.nn.modules.batchnorm import _BatchNorm

from bench import catalog
from bench.build import build_data, build_method, data_errors
from bench.callbacks import Draws, KeepLast, LearningRate, SameOnAllProcesses, Steps, StopOnNaN
from bench.errors import UsageError
from bench.execute import quiet_lightning
from bench.files import atomic_write
from bench.identity import TrainingOptions, check_same, identity, is_done
from bench.inheritance import (
    TAKEN,
    await_taken,
    check_alike,
    check_alone,
    check_taken,
    is_fine_tuned,
    load_trained,
    network_settings,
    take_over,
    trained_stages,
)
from bench.manifest import MANIFEST, load_manifest, save_weights
from bench.panels import PanelCallback
from bench.pretrained import check_parts, load_pretrained
from bench.processes import is_first_process, launcher
from bench.progress import Advance, progress, say
from bench.recipe import Recipe, Stage
from bench.tracking import training_loggers
from datamodules.photo_data import PhotoDataModule
from lightning_modules.base import Colorizer

__all__ = ["TrainingOptions", "train", "train_stage"]

CHECKPOINTS_A_STAGE = 10


def train(method: str, options: TrainingOptions) -> Path:
    """Train all stages of a method that are not trained yet.

    Returns:
        The folder of its weights.

    Raises:
        UsageError: The method learns nothing, or the folder holds a training of something else or of another method.
        CommandError: The loss became NaN.
    """
    stages = catalog.training_stages(method)
    if options.sync_batchnorm and not torch.cuda.is_available():
        raise UsageError("--sync-batchnorm needs GPUs: torch shares statistics between these only; leave it out")
    launcher(options.devices, options.nodes)
    options = replace(options, recipe=_recipe(stages, options))
    check_alone(stages, options.weights)
    _check_built(stages, options)
    _take_over(stages[:-1], options)
    for position, stage in enumerate(stages, 1):
        if is_done(stage, options):
            rank_zero_only(say)(f"{stage}: trained already, in {options.weights}")
            continue
        title = f"{stage} (stage {position} of {len(stages)})" if len(stages) > 1 else stage
        train_stage(stage, title, options)
    return options.weights


def _recipe(stages: Sequence[str], options: TrainingOptions) -> Recipe:
    """Return the recipe with the settings of the networks that are begun from before, and `settings` after its own."""
    recipe, start = options.recipe, options.start
    for folder in (options.weights, start):
        if folder is not None and (folder / MANIFEST).is_file():
            recipe = recipe.with_defaults(network_settings(folder), stages)
    recipe = recipe.with_settings(options.settings, stages)
    if start is not None:
        for stage in stages:
            check_alike(stage, recipe.tree(stage), start, options.settings)
    return recipe


def _check_built(stages: Sequence[str], options: TrainingOptions) -> None:
    """Build every stage without memory, so that a wrong setting of the last is not found after the first has run."""
    for stage in stages:
        with torch.device("meta"):
            method = build_method(options.recipe.tree(stage))
        if options.recipe.stage(stage).pretrained:
            check_parts(method.pretrained(), stage)


def _take_over(stages: Sequence[str], options: TrainingOptions) -> None:
    """Bring the earlier stages that `init` holds as trained, and `out` does not, to `out`, by the first process."""
    start, out = options.start, options.weights
    taken = [] if start is None else trained_stages(start, stages, options.settings)
    if start is None or not taken:
        return
    if not is_first_process():
        await_taken(taken, out)
        return
    held = load_manifest(out).training if (out / MANIFEST).is_file() else {}
    for stage in taken:
        if stage not in held:
            take_over(stage, options.recipe.tree(stage), start, out)
        elif TAKEN in held[stage]:
            check_taken(stage, out, start)


def stage_data(stage: str, method: Colorizer, options: TrainingOptions) -> PhotoDataModule:
    """Build the datamodule of a stage.

    Raises:
        MissingError: Its files are not there.
        UsageError: It has no photo that the stage can be trained on, the method cannot learn from those it has, or
            BatchNorm is to be shared by processes that may have nothing to share.
    """
    settings = {"train_size": options.recipe.train_size, **options.recipe.stage(stage).data}
    with data_errors():
        data = build_data(
            options.data,
            crop_size=method.crop_size if method.uses_boxes else None,
            hint_stop=method.hint_stop,
            masks=method.uses_masks,
            batch_size=identity(stage, options)["batch_size"] // options.processes,
            seed=options.seed,
            **settings,
        )
        if data.training_set("train") is None:
            lacking = "training photo with a box" if data.boxes_only else "training photo"
            raise UsageError(
                f"{stage} cannot be trained: the dataset has no {lacking}; give another --data or --data-root"
            )
        method.check_data(data)
    if options.sync_batchnorm:
        _check_crops(stage, method, data)
    return data


def _check_crops(stage: str, method: Colorizer, data: PhotoDataModule) -> None:
    """Refuse a stage that would wait for ever: a process without crops shares no statistics of BatchNorm."""
    learning = any(isinstance(part, _BatchNorm) and part.training for part in method.modules())
    if method.uses_boxes and learning and not data.boxes_only:
        raise UsageError(
            f"--sync-batchnorm waits for ever where one process has no boxes for {stage}: leave it out, or set "
            "`data: {boxes_only: true}` for that stage in the recipe"
        )


def steps_an_epoch(photos: int, batch_size: int, processes: int) -> int:
    """Return how many batches are served an epoch; an incomplete last one is dropped unless it is the only one.

    Args:
        photos: to train on.
        batch_size: of one process.
        processes: that share them.
    """
    return max(1, -(-photos // processes) // batch_size)


def train_stage(stage: str, title: str, options: TrainingOptions) -> None:
    """Train one stage from the weights of those before it, or go on from its last checkpoint."""
    facts = identity(stage, options)
    last = options.out / "checkpoints" / stage / "last.ckpt"
    _begin(stage, last, facts)
    pl.seed_everything(options.seed, workers=True, verbose=False)
    method = build_method(options.recipe.tree(stage))
    loaded = load_trained(method.networks(), stage, options.weights, _start(stage, options), method.ancestors)
    files = load_pretrained(_from_imagenet(stage, method, loaded, options), stage)
    method.inherit(loaded)
    data = stage_data(stage, method, options)
    epoch = steps_an_epoch(len(data.training_set("train") or ()), data.batch_size, options.processes)
    steps = _steps(options.recipe.stage(stage), facts, epoch)
    with _progress(title, steps) as advance, quiet_lightning():
        rate = LearningRate(partial(options.recipe.stage(stage).rate, steps=steps, steps_an_epoch=epoch))
        trainer = _trainer(stage, steps, last, [rate, Steps(advance)], options)
        trainer.fit(method, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.is_global_zero:
        done = {**facts, "steps_done": trainer.global_step, "begun_from": files or None}
        save_weights(stage, options.recipe.tree(stage), method.networks(), options.weights, training=done)
    trainer.strategy.barrier()


def _from_imagenet(
    stage: str, method: Colorizer, loaded: frozenset[str], options: TrainingOptions
) -> Mapping[str, torch.nn.Module]:
    """Return the parts that begin from ImageNet weights: those of networks that were loaded already do not."""
    if not options.recipe.stage(stage).pretrained:
        return {}
    networks = method.networks()
    begun = {id(each) for name in loaded for each in networks[name].parameters()}
    parts = method.pretrained().items()
    return {name: part for name, part in parts if not any(id(each) in begun for each in part.parameters())}


def _start(stage: str, options: TrainingOptions) -> Path | None:
    """Return the folder whose networks a stage begins from as far as the stages before it left none."""
    start = options.start
    if start is None or len(catalog.training_stages(stage)) == 1:
        return start
    return start if is_fine_tuned(stage, options.recipe.tree(stage), start) else None


def _begin(stage: str, last: Path, facts: Mapping[str, Any]) -> None:
    """Write down what is trained, or check that the checkpoint that is there is of the same."""
    begun = last.with_name("training.json")
    if last.is_file() and begun.is_file():
        check_same(f"{last.parent} holds {stage} begun", json.loads(begun.read_text(encoding="utf-8")), facts)
    elif is_first_process():
        last.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(begun, json.dumps(facts, indent=1) + "\n")


def _steps(settings: Stage, facts: Mapping[str, Any], epoch: int) -> int:
    """Return the steps of a stage whose epochs have so many."""
    whole = settings.length * (1 if settings.epochs is None else epoch)
    return min(whole, facts["steps"] or whole)


def _progress(title: str, steps: int) -> AbstractContextManager[Advance]:
    """Show the progress of the first process; the others say nothing."""
    return progress(title, steps) if is_first_process() else nullcontext(Advance(title, steps, None))


def _trainer(
    stage: str, steps: int, last: Path, callbacks: Sequence[pl.Callback], options: TrainingOptions
) -> pl.Trainer:
    every = max(1, steps // CHECKPOINTS_A_STAGE)
    guards = [StopOnNaN(last), KeepLast(last, every), SameOnAllProcesses(), Draws(options.seed)]
    panels = [] if options.quiet else [PanelCallback()]
    return pl.Trainer(
        accelerator="auto",
        devices=options.devices,
        num_nodes=options.nodes,
        precision="bf16-mixed" if options.precision == "bf16" else "32-true",
        max_steps=steps,
        max_epochs=-1,
        val_check_interval=None if options.quiet else every,
        check_val_every_n_epoch=None,
        limit_val_batches=0 if options.quiet else 1.0,
        num_sanity_val_steps=0,
        callbacks=[*guards, *callbacks, *panels],
        logger=training_loggers(
            [] if options.quiet else options.loggers, options.out / "logs", f"{stage}--s{options.seed}"
        ),
        log_every_n_steps=min(10, every),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        sync_batchnorm=options.sync_batchnorm,
        default_root_dir=options.out,
        plugins=list(launcher(options.devices, options.nodes)),
    )
