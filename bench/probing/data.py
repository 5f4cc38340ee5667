"""The photos of a probe: parted, labelled as its test wants it, and known by their digests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.build import build_data
from bench.catalog import Tree
from bench.errors import UsageError
from bench.probing.photos import Photos, label_photos, parts
from bench.probing.settings import Task
from bench.probing.targets import Target, as_boxes, as_class, as_map, as_presence
from datamodules.photo_data import PhotoDataModule
from datamodules.photos import Photo
from datamodules.sources.voc import CLASSES, ImageSet, VocSource
from datamodules.voc import VocDataModule


@dataclass(frozen=True, slots=True)
class Data:
    """Hold the photos of a probe.

    Attributes:
        learnt: to learn from.
        tested: to test.
        digests: of both parts, by name.
        classes: names of the classes.
        left_out: photos of both parts that have no class.
        workers: processes that read.
    """

    learnt: Photos
    tested: Photos
    digests: Mapping[str, str]
    classes: Sequence[str]
    left_out: int
    workers: int

    def counts(self) -> dict[str, int]:
        """Return how many photos and classes there are; photos that turn out to be broken are among them."""
        sizes = {"learnt": len(self.learnt), "tested": len(self.tested)}
        return {**sizes, "left_out": self.left_out, "classes": len(self.classes)}

    def failed(self) -> dict[str, str]:
        """Return the reasons why photos could not be read, by key, as far as they were asked for."""
        return {**self.learnt.failed, **self.tested.failed}


def load_data(tree: Tree, task: Task, size: int, limit: int | None) -> Data:
    """Return the photos of a test with what is wanted of them.

    Args:
        tree: of the dataset.
        task: of the test.
        size: side in pixels that pictures are stretched to.
        limit: photos to learn from, and photos to test, at most.

    Raises:
        UsageError: They have no classes, or are in no VOC-style folder where boxes or label maps are wanted.
    """
    if task is not Task.linear:
        return _voc_data(tree, task, size, limit)
    module = build_data(tree)
    learnt, tested = parts(module, limit)
    labelled = label_photos(learnt, tested)
    return Data(
        Photos(learnt, labelled.learnt, size, as_class, folder_of(tree)),
        Photos(tested, labelled.tested, size, as_class, folder_of(tree)),
        {"learnt": learnt.digest(), "tested": tested.digest()},
        labelled.classes,
        labelled.left_out,
        module.num_workers,
    )


def folder_of(tree: Tree) -> str:
    """Return where a dataset is, its class where it names no folder."""
    return str(tree.get("init_args", {}).get("root") or tree["class_path"])


def _voc_data(tree: Tree, task: Task, size: int, limit: int | None) -> Data:
    module = _voc_module(tree, "Segmentation" if task is Task.segmentation else "Main")
    learnt, tested = parts(module, limit)
    folder = folder_of(tree)
    return Data(
        Photos(learnt, learnt.photos, size, _target(task, module.list_source(module.train_split)), folder),
        Photos(tested, tested.photos, size, _target(task, module.list_source(module.split)), folder),
        {"learnt": learnt.digest(), "tested": tested.digest()},
        CLASSES,
        0,
        module.num_workers,
    )


def _voc_module(tree: Tree, image_set: ImageSet) -> VocDataModule:
    if isinstance(build_data(tree), VocDataModule):
        module: PhotoDataModule = build_data(tree, image_set=image_set)
        assert isinstance(module, VocDataModule)
        return module
    raise UsageError(
        "fine-tuning wants a VOC-style folder (JPEGImages, Annotations, ImageSets, SegmentationClass): give "
        "--data voc2007 or voc2012 and --data-root"
    )


def _target(task: Task, source: VocSource) -> Callable[[Photo, tuple[int, int]], Target]:
    if task is Task.segmentation:
        return as_map(source)
    return as_boxes if task is Task.detection else as_presence
