"""From a `class_path` tree to an object, through an allow-list.

YAML may name our classes, torch's parts, and the modules of methods and datasets that are installed as plug-ins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import jsonargparse
import pytorch_lightning as pl
from torch import nn

from bench.catalog import YAML_ERRORS, Tree, data_tree, load_plain
from bench.errors import MissingError, UsageError
from bench.plugins import class_path_roots
from datamodules.photo_data import PhotoDataModule
from lightning_modules.base import Colorizer

Built = TypeVar("Built", bound=pl.LightningModule | pl.LightningDataModule | nn.Module)

ALLOWED = (
    "bench.panels",
    "bench.tracking",
    "datamodules",
    "lightning_modules",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.plugins",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "torch.nn",
    "torch.optim",
)


READ = jsonargparse.get_loader("yaml")


def restrict_imports() -> None:
    """Forbid every import path in YAML and on the command line but those that a configuration can need.

    YAML that is ambiguous or made to blow up is refused too, as everywhere in colorbench.
    """
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, *class_path_roots(ALLOWED)]
    )
    jsonargparse.set_loader("yaml", _read_plain, YAML_ERRORS)


def _read_plain(text: str) -> Any:
    load_plain(text)
    return READ(text)


def instantiate(tree: Tree, kind: type[Built]) -> Built:
    """Build the object that a tree describes.

    Args:
        tree: `class_path` and `init_args`, nested as LightningCLI reads them.
        kind: base class that the object must have.

    Raises:
        UsageError: The class is not allowed, not found, or does not take these arguments.
    """
    restrict_imports()
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "object", required=True)
    try:
        parsed = parser.parse_object({"object": deepcopy(tree)})  # which it would change
        built: Any = parser.instantiate(parsed).object
    except (jsonargparse.ArgumentError, ValueError, TypeError, ImportError) as error:
        raise UsageError(f"cannot build {tree.get('class_path', tree)!r}: {error}") from error
    if not isinstance(built, kind):
        raise UsageError(f"{tree['class_path']} is no {kind.__name__}")
    return built


@contextmanager
def data_errors() -> Iterator[None]:
    """Turn what a dataset raises about its files into an error that the command line explains.

    Raises:
        MissingError: A file is not there.
        UsageError: A file is not what the dataset's configuration says.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise MissingError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def build_method(tree: Tree) -> Colorizer:
    """Build a method from its tree."""
    return instantiate(tree, Colorizer)


def lend_photos(method: Colorizer) -> Colorizer:
    """Let a method without networks learn its colours from the photos that come with the dependencies."""
    if not method.networks():
        method.prepare_training(build_data(data_tree("samples-core")))
    return method


def build_data(tree: Tree, **settings: Any) -> PhotoDataModule:
    """Build a datamodule from its tree, with further `init_args`."""
    return instantiate({**tree, "init_args": {**tree.get("init_args", {}), **settings}}, PhotoDataModule)
