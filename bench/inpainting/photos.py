"""The photos of a suite of inpainting: found, counted, and read with their holes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.build import build_data, data_errors
from bench.catalog import Tree
from bench.errors import MissingError
from bench.inpainting.plan import chosen_photos, masks_folder
from bench.inpainting.suite import InpaintChoice, InpaintSuite, PhotoChoice
from bench.plan import Places, dataset_tree
from bench.progress import progress
from datamodules.holed_photos import InpaintDataModule
from datamodules.holes import MaskFolder
from datamodules.photo_data import PhotoDataModule
from datamodules.sources.subset import rank_key


@dataclass(frozen=True)
class Photos:
    """Hold what was found.

    Attributes:
        name: of the dataset.
        tree: of the tested photos.
        training: tree of those to train on; None where there are none beside the tested ones.
        keys: of the tested photos, in order.
        digest: of the dataset.
        masks: folder of irregular masks; None for painted ones.
    """

    name: str
    tree: Tree
    training: Tree | None
    keys: tuple[str, ...]
    digest: str
    masks: Path | None

    @cached_property
    def masks_digest(self) -> str | None:
        """Return the sha256 of the masks; None for painted ones."""
        return None if self.masks is None else MaskFolder(self.masks).digest()

    def holed(self, suite: InpaintSuite, choice: InpaintChoice | None = None) -> InpaintDataModule:
        """Return the photos as a choice sees them; without one, with the suite's edges and none of them given away."""
        sigma = (None if choice is None else choice.sigma) or suite.sigma
        given = choice is not None and choice.edges == "true"
        with data_errors():
            data = build_data(self.tree, protocol=suite.protocol, seed=suite.seed, num_workers=0)
            masks = None if self.masks is None else str(self.masks)
            holed = InpaintDataModule(data, suite.mix, masks, sigma, edges_given=given, side=suite.square.size)
        holed.chosen = self.keys
        return holed


def find_photos(suite: InpaintSuite, places: Places) -> Photos:
    """Find the photos of a suite.

    Raises:
        MissingError: They, or the masks, are not there, or there is none to test.
        UsageError: They are not what the configuration of the dataset says.
    """
    choice = chosen_photos(suite, places)
    tree, masks = dataset_tree(choice, places), masks_folder(suite, places)
    with data_errors():
        data = build_data(tree, protocol=suite.protocol)
        source = data.source("test")
        if source is None or not source.photos:
            raise MissingError(f"dataset {choice.name!r} has no pictures to fill: check its root and split")
        with progress(f"digest of {choice.name}", 1) as advance:
            digest = source.digest()
            advance()
    drawn = sorted((photo.key for photo in source.photos), key=rank_key)[: suite.pictures]
    keys = tuple(sorted(drawn)[: suite.limit])
    return Photos(choice.name, tree, _training_tree(choice, data, tree, places), keys, digest, masks)


def _training_tree(choice: PhotoChoice, data: PhotoDataModule, tree: Tree, places: Places) -> Tree | None:
    if choice.train is not None:
        return dataset_tree(PhotoChoice(id=choice.train), places)
    return tree if data.has_training_split else None
