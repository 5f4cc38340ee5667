"""Train an inpainting method by a recipe, resumable at every checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl

from bench.build import build_data, data_errors, instantiate
from bench.callbacks import KeepLast, LearningRate, Steps, StopOnNaN
from bench.catalog import Tree, with_settings
from bench.errors import UsageError
from bench.execute import quiet_lightning
from bench.files import atomic_write
from bench.identity import check_same, portable_tree
from bench.inpainting.suite import InpaintChoice, InpaintSuite, model_tree
from bench.manifest import MANIFEST, load_manifest, save_weights
from bench.pretrained import load_pretrained
from bench.progress import progress, say
from bench.provenance import canonical_digest
from bench.recipe import Recipe
from bench.tracking import training_loggers
from bench.training import CHECKPOINTS_A_STAGE, steps_an_epoch
from datamodules.holed_photos import InpaintDataModule
from datamodules.holes import MaskFolder
from lightning_modules.inpainting.inpainter import Inpainter


@dataclass(frozen=True, slots=True)
class InpaintTraining:
    """Hold all that one training hangs on.

    Attributes:
        out: folder that gets `weights/`, `checkpoints/` and `logs/`.
        choice: the method, with the settings of an ablation.
        suite: holes, sigma, protocol and seed.
        recipe: how long and at which size.
        data: `class_path` tree of the training photos.
        masks: irregular ones; None for painted ones.
        max_steps: at most so many steps; None for the recipe's.
    """

    out: Path
    choice: InpaintChoice
    suite: InpaintSuite
    recipe: Recipe
    data: Tree
    masks: MaskFolder | None = None
    max_steps: int | None = None

    @property
    def weights(self) -> Path:
        """Return the folder of the weights."""
        return self.out / "weights"

    @property
    def tree(self) -> Tree:
        """Return what the method is built from.

        Raises:
            UsageError: It learns, and the recipe does not train it.
        """
        if not self.choice.learns:
            return with_settings(model_tree(self.choice.id), self.choice.settings)
        stage = self.recipe.stages.get(self.choice.id)
        if stage is None:
            raise UsageError(f"the recipe {self.recipe.id!r} does not train {self.choice.id}; give another `recipe:`")
        settings = {**self.recipe.model, **stage.model, "learning_rate": stage.learning_rate, **self.choice.settings}
        return with_settings(model_tree(self.choice.id), settings)

    def shared(self) -> Self:
        """Return the training that all choices share which agree in what is learnt, in a folder of its first one.

        The folder is `trained/<name of the first choice>--s<seed>` in `out`.
        """
        first = next(each for each in self.suite.methods if each.weights is None and self.same(each))
        return replace(self, choice=first, out=self.out / "trained" / f"{first.name}--s{self.suite.seed}")

    def same(self, other: InpaintChoice) -> bool:
        """Tell whether another choice learns the same."""
        theirs = other.id, other.settings, other.train_sigma or self.suite.sigma
        return theirs == (self.choice.id, self.choice.settings, self.sigma)

    @property
    def sigma(self) -> float:
        """Return the sigma of the edges that are learnt from."""
        return self.choice.train_sigma or self.suite.sigma

    def identity(self) -> dict[str, Any]:
        """Return what the weights depend on, as plain values that are kept with them."""
        stage = self.recipe.stages[self.choice.id]
        return {
            "recipe": self.recipe.id,
            "model": canonical_digest(self.tree),
            "data": canonical_digest([portable_tree(self.data), self.recipe.train_size, stage.data]),
            "protocol": self.suite.protocol,
            "mix": self.suite.mix,
            "masks": None if self.masks is None else self.masks.digest(),
            "sigma": self.sigma,
            "schedule": canonical_digest(stage.model_dump(mode="json")),
            "batch_size": stage.batch_size or self.recipe.batch_size,
            "max_steps": self.max_steps,
            "seed": self.suite.seed,
        }


def train(training: InpaintTraining) -> Path:
    """Train a method, or go on from its last checkpoint, unless it is trained already.

    Returns:
        The folder of its weights.

    Raises:
        UsageError: The folder holds a training of something else.
        MissingError: Photos, or the ImageNet weights of VGG-19 that the recipe asks for, are not there.
        CommandError: The loss became NaN.
    """
    name, facts = training.choice.name, training.identity()
    if (training.weights / MANIFEST).is_file():
        trained = load_manifest(training.weights).training.get(training.choice.id, {})
        check_same(f"{training.weights} holds {name} trained", trained, facts)
        say(f"{name}: trained already, in {training.weights}")
        return training.weights
    last = training.out / "checkpoints" / "last.ckpt"
    _begin(name, last, facts)
    pl.seed_everything(training.suite.seed, workers=True, verbose=False)
    method = instantiate(training.tree, Inpainter)
    files = _load_pretrained(training, method)
    data = training_data(training)
    steps = _fit(training, method, data, last)
    done = {**facts, "steps_done": steps, "begun_from": files or None}
    save_weights(training.choice.id, training.tree, method.networks(), training.weights, training=done)
    return training.weights


def training_data(training: InpaintTraining) -> InpaintDataModule:
    """Build the photos that are trained on.

    Raises:
        UsageError: The dataset has none that are not test photos.
    """
    stage, facts = training.recipe.stages[training.choice.id], training.identity()
    settings = {"train_size": training.recipe.train_size, **stage.data}
    with data_errors():
        photos = build_data(
            training.data,
            protocol=training.suite.protocol,
            batch_size=facts["batch_size"],
            seed=training.suite.seed,
            **settings,
        )
        data = InpaintDataModule(photos, training.suite.mix, training.masks, training.sigma)
        if data.training_set("train") is None:
            raise UsageError("the dataset has no training photos: name another one as `train:` in the suite")
    return data


def _load_pretrained(training: InpaintTraining, method: Inpainter) -> Mapping[str, str]:
    """Load what a method's losses look through from ImageNet weights, where the recipe does not forbid it."""
    if not training.recipe.stages[training.choice.id].pretrained:
        return {}
    return load_pretrained(method.pretrained(), training.choice.id)


def _begin(name: str, last: Path, facts: Mapping[str, Any]) -> None:
    """Write down what is trained, or check that the checkpoint that is there is of the same."""
    begun = last.with_name("training.json")
    if last.is_file() and begun.is_file():
        check_same(f"{last.parent} holds {name} begun", json.loads(begun.read_text(encoding="utf-8")), facts)
    else:
        atomic_write(begun, json.dumps(facts, indent=1) + "\n")


def _fit(training: InpaintTraining, method: Inpainter, data: InpaintDataModule, last: Path) -> int:
    """Train to the end; return how many steps that are."""
    stage = training.recipe.stages[training.choice.id]
    epoch = steps_an_epoch(len(data.training_set("train") or ()), data.photos.batch_size, 1)
    whole = stage.length * (1 if stage.epochs is None else epoch)
    skipped = int(whole * method.skipped_share)
    steps = min(whole - skipped, training.max_steps or whole)
    every = max(1, steps // CHECKPOINTS_A_STAGE)
    with progress(training.choice.name, steps) as advance, quiet_lightning():
        rate = LearningRate(lambda step: stage.rate(skipped + step, skipped + steps, epoch))
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_steps=steps,
            max_epochs=-1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            callbacks=[StopOnNaN(last), KeepLast(last, every), rate, Steps(advance)],
            logger=training_loggers([], training.out / "logs", training.choice.name),
            log_every_n_steps=min(10, every),
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=training.out,
        )
        trainer.fit(method, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
    return trainer.global_step
