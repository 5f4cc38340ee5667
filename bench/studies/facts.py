"""What a study's page says of its photos and of its recipe."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.plan import Places, dataset_tree, training_tree
from bench.recipe import load_recipe
from bench.studies.declared import Declared
from datamodules.photos import Photo


def study_facts(declared: Declared, data_root: Path | None) -> dict[str, Any]:
    """Return what the page says of photos and of the recipe.

    Returns:
        `train` and `val`: counts of photos, of those with boxes and of classes, by part of the data; `test`: photos by
        dataset; `recipe`: that of the study, without what is left out in it.
    """
    from bench.build import build_data

    places = Places(declared.folder, data_root)
    data = build_data(training_tree(declared.beside(declared.study.data), places))
    facts: dict[str, Any] = {}
    for split in ("train", "val"):
        source = data.source("train" if split == "train" else "val")
        facts[split] = count_photos(source.photos) if source is not None else {}
    tests = {choice.name: build_data(dataset_tree(choice, places)).source("test") for choice in declared.suite.datasets}
    facts["test"] = {name: len(source.photos) for name, source in tests.items() if source is not None}
    recipe = load_recipe(declared.beside(declared.study.recipe))
    return facts | {"recipe": recipe.model_dump(mode="json", exclude_defaults=True)}


def count_photos(photos: Iterable[Photo]) -> dict[str, dict[str, int]]:
    """Return the counts of photos, of those with boxes and of classes, by the first part of their keys."""
    from datamodules.photo_data import any_box

    parts: dict[str, list[Photo]] = {}
    for photo in photos:
        parts.setdefault(photo.key.partition("/")[0], []).append(photo)
    return {
        name: {
            "photos": len(mine),
            "with_boxes": sum(any_box(photo) for photo in mine),
            "classes": len({photo.label for photo in mine} - {-1}),
        }
        for name, mine in sorted(parts.items())
    }
