"""The photos of a suite of inpainting: found, counted, and read with their holes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from bench.build import build_data, data_errors
from bench.catalog import Tree
from bench.errors import CommandError, MissingError
from bench.inpainting.plan import chosen_photos, masks_folder, weights_folder
from bench.inpainting.suite import InpaintChoice, InpaintSuite, PhotoChoice
from bench.plan import Places, dataset_tree
from bench.progress import progress
from datamodules.holed_photos import InpaintDataModule
from datamodules.holes import BUCKETS, MaskFolder
from datamodules.photo_data import PhotoDataModule
from datamodules.photos import PhotoSource
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
        masks: irregular ones; None for painted ones.
    """

    name: str
    tree: Tree
    training: Tree | None
    keys: tuple[str, ...]
    digest: str
    masks: MaskFolder | None

    @cached_property
    def masks_digest(self) -> str | None:
        """Return the sha256 of the masks; None for painted ones."""
        return None if self.masks is None else self.masks.digest()

    def holed(self, suite: InpaintSuite, choice: InpaintChoice | None = None) -> InpaintDataModule:
        """Return the photos as a choice sees them; without one, with the suite's edges and none of them given away."""
        sigma = (None if choice is None else choice.sigma) or suite.sigma
        given = choice is not None and choice.edges == "true"
        with data_errors():
            data = build_data(self.tree, protocol=suite.protocol, seed=suite.seed, num_workers=0)
            holed = InpaintDataModule(data, suite.mix, self.masks, sigma, edges_given=given, side=suite.square.size)
        holed.chosen = self.keys
        return holed


def find_photos(suite: InpaintSuite, places: Places) -> Photos:
    """Find the photos of a suite.

    Raises:
        MissingError: They, or the masks, are not there, or there is none to test.
        UsageError: They are not what the configuration of the dataset says.
    """
    choice, masks = chosen_photos(suite, places), find_masks(suite, places)
    tree, data, source = open_photos(suite, places)
    with data_errors(), progress(f"digest of {choice.name}", 1) as advance:
        digest = source.digest()
        advance()
    drawn = sorted((photo.key for photo in source.photos), key=rank_key)[: suite.pictures]
    keys = tuple(sorted(drawn)[: suite.limit])
    return Photos(choice.name, tree, _training_tree(choice, data, tree, places), keys, digest, masks)


def open_photos(suite: InpaintSuite, places: Places) -> tuple[Tree, PhotoDataModule, PhotoSource]:
    """Return the photos of a suite as they are configured, as they are served, and those to test.

    Raises:
        MissingError: They are not there, or there is none to test.
        UsageError: They are not what the configuration of the dataset says.
    """
    choice = chosen_photos(suite, places)
    tree = dataset_tree(choice, places)
    with data_errors():
        data = build_data(tree, protocol=suite.protocol)
        source = data.source("test")
        if source is None or not source.photos:
            raise MissingError(f"dataset {choice.name!r} has no pictures to fill: check its root and split")
    return tree, data, source


def find_masks(suite: InpaintSuite, places: Places) -> MaskFolder | None:
    """Return the irregular masks of a suite; None where holes are painted.

    Raises:
        MissingError: Their folder is not there, or no picture is in it.
        UsageError: It has no mask for one of the suite's buckets.
    """
    folder = masks_folder(suite, places)
    if folder is None:
        return None
    masks = MaskFolder(folder)
    with data_errors():
        for holes in suite.holes:
            masks.check(BUCKETS[holes], suite.square.size or 0)
    return masks


def missing(suite: InpaintSuite, places: Places) -> list[str]:
    """Return a line for everything that a suite needs and that is not there, without reading photos."""
    given = [each for each in suite.methods if each.weights is not None and not each.untrained]
    checks: list[Callable[[], object]] = [
        partial(open_photos, suite, places),
        partial(find_masks, suite, places),
        *(partial(weights_folder, choice, places) for choice in given),
    ]
    lines = []
    for check in checks:
        try:
            check()
        except CommandError as error:
            lines.append(str(error))
    return lines


def _training_tree(choice: PhotoChoice, data: PhotoDataModule, tree: Tree, places: Places) -> Tree | None:
    if choice.train is not None:
        return dataset_tree(PhotoChoice(id=choice.train), places)
    return tree if data.has_training_split else None
