"""What is installed: bounds, exact versions, licence, and the commands that the README promises."""

import ast
import hashlib
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "datamodules", "lightning_modules")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINS: list[str] = PYPROJECT["tool"]["uv"]["constraint-dependencies"]
VERSIONS = {name: version for name, _, version in (pin.partition("==") for pin in PINS)}
DEV = [Requirement(line) for line in PYPROJECT["dependency-groups"]["dev"]]
EXTRA_LINES = [line for lines in EXTRAS.values() for line in lines]
DIRECT = [Requirement(line) for line in (*PROJECT["dependencies"], *EXTRA_LINES)]


def test_both_lists_of_exact_versions_are_one() -> None:
    assert (ROOT / "constraints.txt").read_text().splitlines() == PINS


def test_every_version_is_exact() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", pin)] == []
    assert sorted(VERSIONS) == list(VERSIONS), "sorted by name, each once"
    assert len(VERSIONS) == len(PINS)


@pytest.mark.parametrize("requirement", [*DIRECT, *DEV], ids=str)
def test_exact_version_is_within_the_bounds(requirement: Requirement) -> None:
    if requirement.name == PROJECT["name"]:
        return
    version = VERSIONS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_every_dependency_of_a_dependency_has_an_exact_version() -> None:
    waiting = [(canonicalize_name(each.name), frozenset(each.extras)) for each in (*DIRECT, *DEV)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name == PROJECT["name"]:
            continue
        seen.add((name, extras))
        waiting += [(canonicalize_name(each.name), frozenset(each.extras)) for each in _needs(name, extras)]
    names = {name for name, _ in seen}
    assert len(names) > 100
    assert names - VERSIONS.keys() == set()


def _needs(name: str, extras: frozenset[str]) -> list[Requirement]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []
    needed = [Requirement(line) for line in lines]
    wanted = [{"extra": extra} for extra in ("", *extras)]
    return [each for each in needed if each.marker is None or any(map(each.marker.evaluate, wanted))]


def test_compromised_and_vulnerable_releases_are_out_of_bounds() -> None:
    bounds = {each.name: each for each in DIRECT}
    lightning = bounds["pytorch-lightning"]
    assert [version for version in ("2.6.2", "2.6.3") if version in lightning.specifier] == []
    assert lightning.extras == set(), "its extra `extra` brings hydra-core and bitsandbytes"
    assert "2.9.9" not in bounds["torch"].specifier, "CVE-2025-32434 and CVE-2026-24747"
    assert "lightning" not in VERSIONS


def test_development_brings_every_extra() -> None:
    assert set(EXTRAS) == {"yolo", "mlflow", "slurm"}
    (own,) = [each for each in DEV if each.name == PROJECT["name"]]
    assert own.extras == set(EXTRAS)


def test_agpl_stays_an_extra() -> None:
    assert [line for line in PROJECT["dependencies"] if "ultralytics" in line] == []


def _imported(package: str) -> set[str]:
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def test_every_imported_package_is_declared() -> None:
    imported = set().union(*map(_imported, PACKAGES)) - {*PACKAGES, *sys.stdlib_module_names}
    providers = packages_distributions()
    declared = {canonicalize_name(each.name) for each in DIRECT}
    found = {name: {canonicalize_name(owner) for owner in providers.get(name, [name])} for name in imported}
    assert "torch" in found
    assert {name: owners for name, owners in found.items() if not owners & declared} == {}


def test_command_and_packages() -> None:
    assert PROJECT["scripts"] == {"colorbench": "bench.cli:main"}
    assert sorted(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(PACKAGES)


def test_licence_is_the_whole_text() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30", "Apache-2.0, unchanged"


def test_lock_file_is_not_for_the_repository() -> None:
    assert "uv.lock" in (ROOT / ".gitignore").read_text().splitlines()


def test_readme_begins_with_two_commands() -> None:
    (first, *_) = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.M | re.S)
    assert first.splitlines() == ["pip install uv && uv run colorbench demo", "uv run pytest"]
    assert "\nuv run pytest\n" in (ROOT / ".ci/run").read_text(), "CI runs the README's own test command"


def test_public_ci_covers_the_python_versions() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    supported = SpecifierSet(PROJECT["requires-python"])
    versions = [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}" in supported]
    assert job["strategy"]["matrix"]["python"] == versions
    assert workflow["permissions"] == {"contents": "read"}


def test_hooks_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
