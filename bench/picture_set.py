"""Whose pictures `pictures/<dataset>` holds: one name may stand for several sets, and for several protocols.

Knows no torch.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.files import atomic_write
from bench.record import RunRecord

MADE_OF = "made-of.json"


class PictureSet(NamedTuple):
    """Tell pictures of one name apart: the sha256 of the dataset and of the protocol that cut them to size."""

    dataset: str
    protocol: str


def picture_set(record: RunRecord) -> PictureSet:
    """Return the pictures that a run was scored on."""
    return PictureSet(record.digests.dataset, record.protocol_sha256)


def pictures_folder(out: Path, dataset: str) -> Path:
    """Return the folder of the grey and the true pictures of a dataset in an output folder."""
    return out / "pictures" / dataset


def find_pictures(out: Path, record: RunRecord, records: Iterable[RunRecord]) -> Path | None:
    """Return the folder of the grey and the true pictures that a run was scored on; None where they were not kept.

    Args:
        out: output folder of the run.
        record: of the run.
        records: of all runs in `out`. Old folders don't say whose pictures they hold: these are taken where no other
            set of that name is among the runs.
    """
    folder = pictures_folder(out, record.dataset)
    return folder if folder.is_dir() and _holders(folder, record.dataset, records) == {picture_set(record)} else None


def refuse_other_pictures(out: Path, dataset: str, wanted: PictureSet, records: Iterable[RunRecord]) -> None:
    """Keep the pictures of two sets apart: a report would show those of one beside the truth of the other.

    Raises:
        UsageError: The pictures of that name in `out` are others, or under another protocol.
    """
    if _holders(pictures_folder(out, dataset), dataset, records) - {wanted}:
        raise UsageError(
            f"{out} holds other pictures that are called {dataset}, or the same under another protocol: to keep both, "
            "give another --out, or this set another name with `name:` in the suite or --dataset of `score`"
        )


def note_pictures(folder: Path, held: PictureSet) -> None:
    """Write down whose pictures a folder holds, once all of them are there."""
    if read_pictures(folder) != held:
        atomic_write(folder / MADE_OF, json.dumps(held._asdict(), indent=1) + "\n")


def read_pictures(folder: Path) -> PictureSet | None:
    """Return whose pictures a folder holds; None where it does not say, as old ones and those that are not whole."""
    try:
        return PictureSet(**json.loads((folder / MADE_OF).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # what is broken says nothing
        return None


def _holders(folder: Path, dataset: str, records: Iterable[RunRecord]) -> set[PictureSet]:
    """Return whose the pictures in a folder may be."""
    known = read_pictures(folder)
    return {known} if known is not None else {picture_set(record) for record in records if record.dataset == dataset}
