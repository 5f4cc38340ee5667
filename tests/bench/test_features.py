import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import CommandError
from bench.rows import Row, RowError, RowStore
from bench.scoring.features import FEATURES, RECORD, FeatureStore, read_features

LargestFile = Callable[[int], AbstractContextManager[None]]

RUN = "5" * 64
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def make_pair(image: str, begun: int = 0) -> Pair:
    """Return features that are always the same for an image, and others each time that it is begun."""
    values = np.random.default_rng([crc32(image.encode()), begun]).normal(size=(2, FEATURES)).astype(np.float32)
    return values[0], values[1]


def write_features(folder: Path, images: Sequence[str], rank: int = 0, begun: int = 0, run_id: str = RUN) -> Path:
    with FeatureStore(folder, run_id, rank) as store:
        for image in images:
            store.append(image, *make_pair(image, begun))
    return store.path


def write_rows(folder: Path, images: Sequence[str], rank: int = 0) -> None:
    with RowStore(folder, RUN, rank) as store:
        for image in images:
            store.append(Row(run_id=RUN, image=image, status="ok"))


def write_both(folder: Path, images: Sequence[str], rank: int = 0, begun: int = 0) -> Path:
    path = write_features(folder, images, rank, begun)
    write_rows(folder, images, rank)
    return path


def assert_features(folder: Path, images: Sequence[str], begun: int = 0) -> None:
    found = read_features(folder, RUN, images)
    wanted = [np.stack(parts) for parts in zip(*(make_pair(image, begun) for image in images), strict=True)]
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


def test_features_of_all_processes_come_in_the_order_asked_for(tmp_path: Path) -> None:
    images = ["b/2", "a", "ü \n'\"", "b/10", "c"]
    for rank in range(3):
        write_both(tmp_path, images[rank::3], rank)
    assert_features(tmp_path, sorted(images))
    assert_features(tmp_path, images[1:4])


def test_no_images_have_no_features(tmp_path: Path) -> None:
    assert [values.shape for values in read_features(tmp_path, RUN, [])] == [(0, FEATURES)] * 2


@pytest.mark.parametrize("cut", [1, 32, 40_000, RECORD.itemsize - 1, RECORD.itemsize])
def test_a_torn_end_is_cut_and_costs_no_earlier_picture(cut: int, tmp_path: Path) -> None:
    path = write_both(tmp_path, ["a", "b", "c", "d"])
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size - cut)
    with pytest.raises(RowError, match=r"features\.rank0\.bin lacks the features of 'd'"):
        read_features(tmp_path, RUN, ["d"])
    assert_features(tmp_path, ["a"])
    write_features(tmp_path, ["b", "c", "d"])
    assert_features(tmp_path, ["a", "b", "c", "d"])
    assert path.stat().st_size % RECORD.itemsize == 0


def test_an_end_that_a_power_loss_has_left_empty_is_cut(tmp_path: Path) -> None:
    path = write_both(tmp_path, ["a"])
    with path.open("ab") as file:
        file.write(bytes(2 * RECORD.itemsize + 5))
    assert_features(tmp_path, ["a"])
    FeatureStore(tmp_path, RUN).close()
    assert path.stat().st_size == RECORD.itemsize


def test_a_picture_begun_again_counts_as_it_was_scored(tmp_path: Path) -> None:
    write_features(tmp_path, ["a", "b"], rank=0, begun=1)
    write_features(tmp_path, ["c"], rank=2, begun=1)
    write_both(tmp_path, ["a", "c"], rank=0, begun=0)
    write_both(tmp_path, ["b"], rank=1, begun=0)
    assert_features(tmp_path, ["a", "b", "c"], begun=0)


def test_two_processes_may_say_the_same_but_nothing_else(tmp_path: Path) -> None:
    for rank in range(2):
        write_both(tmp_path, ["a", "b"], rank)
    assert_features(tmp_path, ["a", "b"])
    write_features(tmp_path, ["b"], rank=1, begun=1)
    with pytest.raises(RowError, match=r"features\.rank1\.bin and another file give different features to 'b'"):
        read_features(tmp_path, RUN, ["a", "b"])


@pytest.mark.parametrize("place", [0, 31, 32, RECORD.itemsize // 2, RECORD.itemsize - 33, RECORD.itemsize - 1])
def test_a_changed_byte_is_found(place: int, tmp_path: Path) -> None:
    path = write_both(tmp_path, ["a", "b", "c"])
    with path.open("rb+") as file:
        file.seek(RECORD.itemsize + place)
        byte = file.read(1)[0]
        file.seek(RECORD.itemsize + place)
        file.write(bytes([byte ^ 1]))
    assert_features(tmp_path, ["a", "c"])
    with pytest.raises(RowError, match=r"features\.rank0\.bin.* the features of 'b'"):
        read_features(tmp_path, RUN, ["a", "b", "c"])


def test_features_of_another_run_are_none(tmp_path: Path) -> None:
    write_features(tmp_path, ["a"], run_id="6" * 64)
    write_rows(tmp_path, ["a"])
    with pytest.raises(RowError, match="lacks the features of 'a'"):
        read_features(tmp_path, RUN, ["a"])


def test_a_picture_without_a_row_is_named(tmp_path: Path) -> None:
    write_both(tmp_path, ["a"])
    write_features(tmp_path, ["b"])
    with pytest.raises(RowError, match="no row, and so no features, of 'b' and 1 more"):
        read_features(tmp_path, RUN, ["a", "b", "c"])


@pytest.mark.parametrize("room", [0, 50, RECORD.itemsize - 1])
def test_a_full_disk_is_reported_and_costs_no_earlier_picture(
    room: int, tmp_path: Path, largest_file: LargestFile
) -> None:
    path = write_features(tmp_path, ["a"])
    with FeatureStore(tmp_path, RUN) as store:
        with (
            largest_file(RECORD.itemsize + room),
            pytest.raises(RowError, match=r"features\.rank0\.bin: \d+ bytes could not be written"),
        ):
            store.append("b", *make_pair("b"))
        assert path.stat().st_size == RECORD.itemsize
        store.append("c", *make_pair("c"))
    write_rows(tmp_path, ["a", "c"])
    assert_features(tmp_path, ["a", "c"])


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(CommandError, match=r"features\.rank0\.bin cannot be written"):
        FeatureStore(tmp_path / "run", RUN)


@pytest.mark.parametrize("values", [np.ones(1, np.float32), np.full(FEATURES, np.nan, np.float32)])
def test_what_are_no_features_is_refused(values: NDArray[np.float32], tmp_path: Path) -> None:
    with FeatureStore(tmp_path, RUN) as store, pytest.raises(ValueError, match="the features of 'a' are not 2048"):
        store.append("a", np.ones(FEATURES, np.float32), values)
    assert store.path.stat().st_size == 0


def test_features_reach_the_disk_when_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path, RUN)
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    store.append("a", *make_pair("a"))
    store.append("b", *make_pair("b"))
    assert calls == []
    store.flush()
    store.flush()
    assert len(calls) == 1
    store.close()
    store.close()
    assert len(calls) == 1
