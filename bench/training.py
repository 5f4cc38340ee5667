"""Train a method: its stages in order, each from the weights of those before it, resumable at every checkpoint."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from bench import catalog
from bench.build import build_data, build_method, data_errors
from bench.catalog import Tree
from bench.errors import CommandError, UsageError
from bench.execute import quiet_lightning
from bench.files import atomic_write
from bench.inheritance import TAKEN, await_taken, check_taken, find_start, load_trained, take_over, trained_stages
from bench.manifest import MANIFEST
from bench.panels import PanelCallback
from bench.plan import portable
from bench.progress import Advance, progress, say
from bench.provenance import canonical_digest
from bench.recipe import Recipe, setting_names
from bench.tracking import training_loggers
from bench.weights import load_manifest, save_weights, weights_digest
from datamodules.photo_data import PhotoDataModule
from datamodules.types import ColorBatch
from lightning_modules.base import Colorizer

CHECKPOINTS_A_STAGE = 10


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Hold what the command line says about a training.

    Attributes:
        out: folder that gets `weights/`, `checkpoints/` and `logs/`.
        data: `class_path` tree of the training photos.
        max_steps: at most so many steps a stage; None for the recipe's.
        loggers: dashboards beside the curves in CSV; `none` alone leaves these, validation and panels out too.
        settings: of the model, by name, after those of the recipe; each must be one that a stage of the method has.
        init: folder to begin from. Stages of the method that it holds as trained count as trained and are copied to
            `out`; the others then begin as they do after them. Where it holds none of the stages as trained, every
            stage begins from the networks of the same names that it has and that earlier stages did not leave in `out`.
            What a stage still lacks it takes from what it has by `Colorizer.inherit`. A network that is found must fit.
    """

    out: Path
    data: Tree
    recipe: Recipe
    seed: int = 0
    devices: int = 1
    precision: str = "32"
    batch_size: int | None = None
    max_steps: int | None = None
    loggers: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    init: Path | None = None


class StopOnNaN(pl.Callback):
    """Stop a training whose loss is no finite number any more, and say where to go on from."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Look at the loss of the step that just ended.

        Raises:
            CommandError: It is NaN or infinite.
        """
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and not bool(torch.isfinite(loss)):
            checkpoint = trainer.checkpoint_callback
            last = Path(getattr(checkpoint, "last_model_path", "") or "none yet").name
            raise CommandError(
                f"the loss is {float(loss)} at step {trainer.global_step}; last good checkpoint: {last}. "
                "Lower the learning rate in the recipe and start again"
            )


class CosineSchedule(pl.Callback):
    """Set the learning rate of every step from the step's number alone, so that a resumed training goes on exactly."""

    def __init__(self, learning_rate: float, steps: int) -> None:
        self.learning_rate = learning_rate
        self.steps = steps

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Set the learning rate of the step that begins."""
        warm = min(1.0, (trainer.global_step + 1) / max(1, self.steps // 20))
        factor = warm * 0.5 * (1 + math.cos(math.pi * trainer.global_step / self.steps))
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * factor


class Steps(pl.Callback):
    """Move a progress bar by one a step."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin where a resumed training stands."""
        self.advance(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ColorBatch, batch_idx: int
    ) -> None:
        """Count the step."""
        self.advance(1)


def train(method: str, options: TrainingOptions) -> Path:
    """Train all stages of a method that are not trained yet.

    Returns:
        The folder of its weights.

    Raises:
        UsageError: The method learns nothing, or the folder holds a training of something else.
        CommandError: The loss became NaN.
    """
    catalog.known("method", method, catalog.methods())
    stages = catalog.methods()[method].stages
    if not stages:
        raise UsageError(f"{method} learns nothing: it needs no training")
    options = replace(options, recipe=options.recipe.with_settings(options.settings, stages))
    _check_built(stages, options)
    taken = _take_over(stages, options)
    if taken:
        options = replace(options, init=None)
    for position, stage in enumerate(stages, 1):
        if _is_done(stage, options):
            rank_zero_only(say)(f"{stage}: trained already, in {options.out / 'weights'}")
            continue
        title = f"{stage} (stage {position} of {len(stages)})" if len(stages) > 1 else stage
        train_stage(stage, title, options)
    return options.out / "weights"


def _check_built(stages: Sequence[str], options: TrainingOptions) -> None:
    """Build every stage without memory, so that a wrong setting of the last is not found after the first has run."""
    for stage in stages:
        with torch.device("meta"):
            build_method(options.recipe.tree(stage))


def _take_over(stages: Sequence[str], options: TrainingOptions) -> list[str]:
    """Bring the stages that `init` holds as trained to `out`, by the first process; return their names."""
    start = None if options.init is None else find_start(options.init)
    taken = trained_stages(start, stages)
    out = options.out / "weights"
    if start is None or not taken:
        return []
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]  # Lightning sets it from the environment
        await_taken(taken, out)
        return taken
    held = load_manifest(out).training if (out / MANIFEST).is_file() else {}
    for stage in taken:
        if stage not in held:
            take_over(stage, options.recipe.tree(stage), start, out)
        elif TAKEN in held[stage]:
            check_taken(stage, out, start)
        else:
            raise UsageError(f"{out} holds {stage} from a training of its own; give another --out, or no --init")
    return taken


def portable_tree(tree: Tree) -> Tree:
    """Return a tree without the folders of this machine, so that moved photos are the same photos."""
    moved: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            moved[key] = portable_tree(value)
        else:
            moved[key] = portable(value) if key in {"root", "annotations", "boxes"} else value
    return moved


def identity(stage: str, options: TrainingOptions) -> dict[str, Any]:
    """Return what a stage's training depends on, as plain values that are kept with its weights."""
    settings, tree = options.recipe.stage(stage), options.recipe.tree(stage)
    steps = min(settings.steps, options.max_steps or settings.steps)
    batch_size = options.batch_size or settings.batch_size or options.recipe.batch_size
    if batch_size % options.devices:
        raise UsageError(
            f"a batch of {batch_size} cannot be shared by {options.devices} devices: give another --batch-size"
        )
    return {
        "recipe": options.recipe.id,
        "model": canonical_digest(tree),
        "data": canonical_digest([portable_tree(options.data), options.recipe.train_size, settings.data]),
        "devices": options.devices,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": settings.learning_rate,
        "schedule": settings.schedule,
        "seed": options.seed,
        "precision": options.precision,
        "settings": {key: value for key, value in options.settings.items() if key in set(setting_names(tree))} or None,
        "init": None if options.init is None else weights_digest(find_start(options.init)),
    }


def _is_done(stage: str, options: TrainingOptions) -> bool:
    folder = options.out / "weights"
    if not (folder / "weights.json").is_file():
        return False
    trained = load_manifest(folder).training.get(stage)
    if trained is None:
        return False
    if TAKEN not in trained:
        _check_same(f"{folder} holds {stage} trained", trained, identity(stage, options))
    return True


def _check_same(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a training of something else.

    Raises:
        UsageError: Names what changed.
    """
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        given = ", ".join(f"{key} was {str(before.get(key))[:12]}, now {str(now[key])[:12]}" for key in changed)
        raise UsageError(f"{what} otherwise ({given}); give another --out")


def stage_data(stage: str, method: Colorizer, options: TrainingOptions) -> PhotoDataModule:
    """Build the datamodule of a stage.

    Raises:
        MissingError: Its files are not there.
        UsageError: It has no photo that the stage can be trained on.
    """
    settings = options.recipe.stage(stage)
    with data_errors():
        data = build_data(
            options.data,
            train_size=options.recipe.train_size,
            crop_size=method.crop_size if method.uses_boxes else None,
            batch_size=identity(stage, options)["batch_size"] // options.devices,
            seed=options.seed,
            **settings.data,
        )
        if data.training_set("train") is None:
            lacking = "training photo with a box" if data.boxes_only else "training photo"
            raise UsageError(
                f"{stage} cannot be trained: the dataset has no {lacking}; give another --data or --data-root"
            )
    return data


def train_stage(stage: str, title: str, options: TrainingOptions) -> None:
    """Train one stage from the weights of those before it, or go on from its last checkpoint."""
    facts = identity(stage, options)
    pl.seed_everything(options.seed, workers=True, verbose=False)
    method = build_method(options.recipe.tree(stage))
    start = None if options.init is None else find_start(options.init)
    method.inherit(load_trained(method.networks(), stage, options.out / "weights", start))
    data = stage_data(stage, method, options)
    checkpoints = options.out / "checkpoints" / stage
    last = checkpoints / "last.ckpt"
    begun = checkpoints / "training.json"
    if last.is_file() and begun.is_file():
        _check_same(f"{checkpoints} holds {stage} begun", json.loads(begun.read_text(encoding="utf-8")), facts)
    with progress(title, facts["steps"]) as advance, quiet_lightning():
        trainer = _trainer(stage, facts, checkpoints, advance, options)
        if trainer.is_global_zero:
            checkpoints.mkdir(parents=True, exist_ok=True)
            atomic_write(begun, json.dumps(facts, indent=1) + "\n")
        trainer.fit(method, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.is_global_zero:
        save_weights(stage, options.recipe.tree(stage), method.networks(), options.out / "weights", training=facts)
    trainer.strategy.barrier()


def _trainer(
    stage: str, facts: Mapping[str, Any], checkpoints: Path, advance: Advance, options: TrainingOptions
) -> pl.Trainer:
    steps = facts["steps"]
    every = max(1, steps // CHECKPOINTS_A_STAGE)
    schedule = [CosineSchedule(facts["learning_rate"], steps)] if facts["schedule"] == "cosine" else []
    saver = ModelCheckpoint(checkpoints, filename="{step}", every_n_train_steps=every, save_last=True, save_top_k=1)
    loggers = training_loggers(options.loggers, options.out / "logs", f"{stage}--s{options.seed}")
    panels = [PanelCallback()] if loggers else []
    return pl.Trainer(
        accelerator="auto",
        devices=options.devices,
        precision="bf16-mixed" if options.precision == "bf16" else "32-true",
        max_steps=steps,
        max_epochs=-1,
        val_check_interval=every if loggers else None,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if loggers else 0,
        num_sanity_val_steps=0,
        callbacks=[saver, StopOnNaN(), Steps(advance), *schedule, *panels],
        logger=loggers or False,
        log_every_n_steps=min(10, every),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
