"""The prior of a folder of photos, against SciPy and scikit-image."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from bench import cli
from bench.errors import CommandError, MissingError
from bench.prior import write_prior
from lightning_modules.losses.ab_bins import ab_bins


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with two photos of noise, one in a sub-folder, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("one.png", "more/two.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def histogram() -> NDArray[np.float64]:
    """Return the share of each bin among every fourth pixel of the two photos."""
    points = [
        rgb2lab(np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8))[::4, ::4, 1:]
        for seed in (0, 1)
    ]
    nearest = np.asarray(cKDTree(ab_bins().numpy()).query(np.stack(points).reshape(-1, 2))[1])
    return np.bincount(nearest, minlength=313).astype(np.float64) / nearest.size


def test_raw_counts_are_those_of_a_histogram(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = photos.parent / "prior.npy"
    assert write_prior(photos, out, raw=True) == (2, 1)
    prior = np.load(out, allow_pickle=False)
    assert (prior.shape, prior.dtype) == ((313,), np.float64)
    np.testing.assert_allclose(prior, histogram(), atol=2 / 8192)
    assert "left out: broken" in capsys.readouterr().err


def test_smoothing_spreads_them_over_their_neighbours(photos: Path) -> None:
    out = photos.parent / "prior.npy"
    write_prior(photos, out)
    bins = ab_bins().numpy().astype(float)
    kernel = np.exp(-((bins[:, None] - bins) ** 2).sum(axis=2) / 50)
    wanted = histogram() @ (kernel / kernel.sum(axis=1, keepdims=True))
    prior = np.load(out, allow_pickle=False)
    np.testing.assert_allclose(prior, wanted, atol=2 / 8192)
    assert prior.sum() == pytest.approx(1, abs=1e-12)
    assert prior.min() > 0


def test_a_folder_without_photos_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no picture"):
        write_prior(tmp_path, tmp_path / "prior.npy")


def test_nothing_is_written_where_no_photo_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(CommandError, match="nothing to count"):
        write_prior(tmp_path, tmp_path / "prior.npy")
    assert not (tmp_path / "prior.npy").exists()


def test_the_command_ends_with_1_where_a_photo_was_left_out(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photos.parent / "prior.npy"
    monkeypatch.setattr(cli, "raise_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["colorbench", "prior", str(photos), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == f"prior of 2 photos: {out}\n"
    assert "1 picture failed" in printed.err
    assert out.is_file()
