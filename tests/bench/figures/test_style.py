"""Plots look the same each time, whatever the user's own settings are, and tell methods apart."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest

from bench.figures.dots import draw_scores
from bench.figures.style import MARKERS, looks, styled, to_bytes
from bench.figures.subjects import Subject

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_equal_runs_give_equal_bytes_whatever_the_user_likes(
    finished: Path, form: str, subject_of: Callable[..., Subject]
) -> None:
    first = to_bytes(draw_scores(subject_of(finished)).figure, form)
    with mpl.rc_context({"font.size": 30, "text.parse_math": True, "lines.linewidth": 9}), styled():
        second = to_bytes(draw_scores(subject_of(finished)).figure, form)
    assert first == second
    assert b"2026" not in first or b"<dc:date>" not in first


@pytest.mark.slow
def test_a_home_that_takes_no_cache_is_no_matter(tmp_path: Path) -> None:
    """Fonts take a second to find where no cache of them can be kept."""
    code = "from bench.figures.style import *\nwith styled():\n    print(len(to_bytes(one_panel(1, 1)[0], 'svg')))"
    home = {"HOME": "/proc/nosuch", "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 1000
    assert [*tmp_path.iterdir()] == [], "the cache of this process goes with it"


def test_looks_differ_in_more_than_their_colour() -> None:
    found = looks(f"method {number}" for number in range(34))
    assert len({(look.color, look.marker) for look in found.values()}) == 34
    assert len({(look.color, str(look.dash)) for look in found.values()}) == 34
    assert len({look.marker for look in [*found.values()][: len(MARKERS)]}) == len(MARKERS)
