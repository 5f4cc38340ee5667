"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real photos and weights that stands beside a checkout of the maintainers."""
    folder = Path(os.environ.get("COLORBENCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no photos at {folder}: set COLORBENCH_SHARED to a folder that holds data/ and weights/")
    return folder
