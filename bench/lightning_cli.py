"""Lightning's own command line over our classes: any part is swapped by `class_path`, from YAML or an option."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from bench import catalog
from bench.build import restrict_imports
from bench.callbacks import Draws
from bench.pretrained import load_pretrained
from datamodules.photo_data import PhotoDataModule
from lightning_modules.base import Colorizer


class ColorbenchCLI(LightningCLI):
    """Give the datamodule what the method wants, and begin `fit` as `colorbench train` does."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Set defaults that suit pictures of changing number, and let `fit` do without ImageNet weights."""
        parser.set_defaults({"trainer.use_distributed_sampler": False})
        parser.add_argument(
            "--pretrained",
            type=bool,
            default=True,
            help="Whether `fit` loads ImageNet weights that a method builds on.",
        )

    def before_instantiate_classes(self) -> None:
        """Copy `crop_size` and `hint_stop` of the model to the data where the data names none."""
        config = self.config[self.subcommand] if self.subcommand else self.config
        wanted, given = config.model.get("init_args", {}), config.data.get("init_args")
        for name in ("crop_size", "hint_stop"):
            if given is not None and given.get(name) is None:
                given[name] = wanted.get(name)

    def instantiate_classes(self) -> None:
        """Build the parts; a model that wants masks, which only it knows, has the data give them."""
        super().instantiate_classes()
        if self.model.uses_masks:
            self.datamodule.masks = True

    def before_fit(self) -> None:
        """Load the parts that begin from ImageNet weights, and have the draws of a step follow from its number.

        Raises:
            MissingError: A file of weights is not there.
            UsageError: A part has another size than the published one.
        """
        settings = self.config[self.subcommand]
        if settings.pretrained:
            load_pretrained(self.model.pretrained(), type(self.model).__name__)
        if settings.seed_everything is not False:
            draws = Draws(settings.seed_everything)
            self.trainer.callbacks.insert(0, draws)  # type: ignore[attr-defined]  # its connector sets it


def run_command_line() -> None:
    """Run the subcommand of this process's own command line.

    The ids in it are replaced in `sys.argv` itself, from which Lightning starts the processes of further devices.
    """
    sys.argv[1:] = _expand_ids(sys.argv[1:])
    quiet_advice()
    run_lightning(None)


def quiet_advice() -> None:
    """Leave out what Lightning says about its own deprecations and about services that it sells."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "Tip: For seamless cloud" not in record.getMessage()


def run_lightning(args: ArgsType) -> Any:
    """Run `fit`, `validate`, `test` or `predict` with LightningCLI.

    Args:
        args: the subcommand and its options; `--model ID` and `--data ID` take ids of the catalog too. None takes those
            of the process.
    """
    restrict_imports()
    return ColorbenchCLI(
        Colorizer,
        PhotoDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        trainer_class=pl.Trainer,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        args=_expand_ids(list(args or ())) if isinstance(args, list) else args,
    )


def _expand_ids(args: list[str]) -> list[str]:
    """Replace the id of a method or dataset by what LightningCLI knows it by."""
    expanded: list[str] = []
    for argument in args:
        option, equals, value = argument.partition("=")
        if equals and option in ("--model", "--data"):
            expanded.append(f"{option}={_config(option, value)}")
        else:
            expanded.append(_config(expanded[-1] if expanded else "", argument))
    return expanded


def _config(option: str, name: str) -> str:
    """Return the file, or a plug-in's class path, that `name` stands for as an option's value; else `name` itself."""
    if option == "--model" and name in catalog.methods():
        plugin = catalog.methods().plugin(name)
        return str(catalog.HERE / "configs" / "model" / f"{name}.yaml") if plugin is None else plugin.class_path
    if option == "--data" and name in catalog.datasets():
        found = catalog.datasets()[name]
        return str(found) if isinstance(found, Path) else found.class_path
    return name
