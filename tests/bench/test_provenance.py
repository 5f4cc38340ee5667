import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import provenance
from bench.provenance import canonical_digest, git_state, package_versions, run_id, sources_digest

GIT = shutil.which("git")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a small checkout that stands for ours."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for package in provenance.PACKAGES:
        (tmp_path / package / "deeper").mkdir(parents=True)
        (tmp_path / package / "deeper" / "code.py").write_text("x = 1\n")
    (tmp_path / "README.md").write_text("read me\n")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    sources_digest.cache_clear()
    git_state.cache_clear()
    yield tmp_path
    sources_digest.cache_clear()
    git_state.cache_clear()


def digest_anew() -> str:
    sources_digest.cache_clear()
    return sources_digest()


def test_sources_are_code_and_data_of_the_packages(checkout: Path) -> None:
    before = digest_anew()
    (checkout / "README.md").write_text("read it\n")
    (checkout / "bench" / "notes.txt").write_text("no code\n")
    assert digest_anew() == before
    (checkout / "datamodules" / "deeper" / "code.py").write_text("x = 2\n")
    changed = digest_anew()
    assert changed != before
    (checkout / "bench" / "card.yaml").write_text("id: a\n")
    assert digest_anew() not in {before, changed}


def test_a_moved_file_is_another_source(checkout: Path) -> None:
    before = digest_anew()
    (checkout / "bench" / "deeper" / "code.py").rename(checkout / "bench" / "code.py")
    assert digest_anew() != before


def test_run_ids_depend_on_every_part(checkout: Path) -> None:
    identity = {"method": "gray", "seed": 0}
    assert run_id(identity) == run_id({"seed": 0, "method": "gray"})
    ids = {run_id(identity), run_id({**identity, "seed": 1}), run_id({**identity, "boxes": "b"})}
    (checkout / "bench" / "new.py").write_text("")
    sources_digest.cache_clear()
    assert len(ids | {run_id(identity)}) == 4


def test_canonical_json_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_digest({"a": float("nan")})


@pytest.mark.skipif(GIT is None, reason="git is not installed")
def test_commit_and_changes_of_a_checkout(checkout: Path) -> None:
    def git(*arguments: str) -> str:
        assert GIT is not None
        settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        command = [GIT, "-C", str(checkout), *settings, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_state(checkout) == (None, None)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "begin")
    commit = git("rev-parse", "HEAD")
    git_state.cache_clear()
    assert git_state(checkout) == (commit, False)
    (checkout / "README.md").write_text("changed\n")
    (checkout / "output.json").write_text("{}")
    git_state.cache_clear()
    assert git_state(checkout) == (commit, False)
    (checkout / "bench" / "new.py").write_text("")
    git_state.cache_clear()
    assert git_state(checkout) == (commit, True)
    assert git_state(checkout / "bench") == (None, None)


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert git_state(checkout) == (None, None)


def test_versions_name_packages_and_nothing_of_the_machine() -> None:
    """F56: there is no option that writes more."""
    versions = package_versions()
    assert {"python", "torch", "pytorch-lightning", "numpy", "pillow"} <= set(versions)
    assert all(re.fullmatch(r"[\w.+!-]+", version) for version in versions.values())
