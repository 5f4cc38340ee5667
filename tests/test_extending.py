"""The walk-throughs of EXTENDING.md done word for word, and every command line of the documents read by the parser."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
import yaml
from PIL import Image
from typer.core import TyperGroup

from bench import boxes, detection
from bench.cli import app
from bench.recipe import load_recipe
from bench.suite import parse_suite
from datamodules.boxfile import read_boxes

ROOT = Path(__file__).resolve().parent.parent
EXTENDING = ROOT / "bench" / "EXTENDING.md"
DOCUMENTS = (
    ROOT / "README.md",
    EXTENDING,
    *(ROOT / "bench" / name for name in ("GUIDE.md", "REPRODUCING.md", "OUTSIDE.md")),
)
FENCE = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIGHTNING = {"fit", "validate", "test", "predict"}
QUICK = {"list", "check", "run", "leaderboard", "compare", "detect", "speed"}
"""Commands that the default tier runs; the others train."""

SEVERAL = {
    "Add a method": ("colorbench run suite.yaml --devices 2 --out together",),
    "Add a method that learns": ("colorbench train tiny --devices 2 --max-steps 2 --logger none --out shared",),
}
"""What is done besides with several processes, which have to find the plug-in by themselves."""

Colorbench = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Section:
    """Hold one walk-through: its files by name, and its shell lines."""

    title: str
    files: dict[str, str]
    lines: tuple[str, ...]

    def write(self, folder: Path) -> None:
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")

    def plugin(self) -> dict[str, str]:
        """Return the groups of entry points with what they name."""
        project = tomllib.loads(self.files["pyproject.toml"])["project"]
        return {f"{group[11:-1]} {name}": group for group, points in project["entry-points"].items() for name in points}


def sections(document: Path) -> Iterator[Section]:
    for part in document.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = FENCE.findall(part)
        files = {name: content for _, name, content in blocks if name}
        lines = [line for kind, name, content in blocks if kind == "sh" and not name for line in content.splitlines()]
        yield Section(part.partition("\n")[0], files, tuple(lines))


WALKS = [section for section in sections(EXTENDING) if "pyproject.toml" in section.files]
each_walk = pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.title.replace(" ", "-"))


def make_photos(folder: Path) -> None:
    folder.mkdir()
    for name in ("one", "two"):
        Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / f"{name}.png")


def install(folder: Path) -> None:
    """Make the distribution in a folder discoverable from there, as an editable installation would."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder from which modules are imported; forget them afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(detection, "run_detection_process", detect_here)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


def detect_here(request: detection.DetectionRequest, total: int, *, title: str) -> object:
    """Detect in this process: another one would not see the folder, and would import torch anew."""
    assert boxes.is_network(request.detector)
    detection._answer(request, lambda _: None)
    return read_boxes(request.out)


def test_there_is_a_walk_for_each_kind() -> None:
    groups = {group for walk in WALKS for group in walk.plugin().values()}
    assert groups == {"colorbench.methods", "colorbench.detectors", "colorbench.datasets", "colorbench.metrics"}


@each_walk
def test_a_method_has_ten_lines(walk: Section) -> None:
    if walk.title == "Add a method":
        assert len([line for line in walk.files["warm.py"].splitlines() if line.strip()]) <= 10


@each_walk
@pytest.mark.filterwarnings("ignore:::pytorch_lightning")
def test_a_walk_in_process(walk: Section, workplace: Path, colorbench: Colorbench) -> None:
    walk.write(workplace)
    make_photos(workplace / "photos")
    assert walk.lines[0] == "pip install -e ."
    install(workplace)
    for line in walk.lines[1:]:
        _, command, *arguments = shlex.split(line)
        if command in QUICK and "trained" not in arguments and not re.search("weights: trained", str(walk.files)):
            status, output, errors = colorbench(command, *arguments)
            assert status == 0, f"{line}: {output}{errors}"
    for kind, group in walk.plugin().items():
        _, output, _ = colorbench("list", group.removeprefix("colorbench."), "--json")
        assert f'"id": "{kind.split()[1]}"' in output


@pytest.mark.slow
@each_walk
def test_a_walk_as_written(walk: Section, tmp_path: Path) -> None:
    """Carry a section out by a shell in an empty folder, with an environment of its own and real processes."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv on the path")
    environment, folder = tmp_path / "environment", tmp_path / "work"
    make_environment(environment)
    folder.mkdir()
    walk.write(folder)
    make_photos(folder / "photos")
    installing = f"{shlex.quote(uv)} pip install --offline --no-build-isolation --python {environment}/bin/python -e ."
    script = "\n".join(("set -e", *walk.lines)).replace("pip install -e .", installing)
    paths = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": paths, "COLORBENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in SEVERAL.get(walk.title, ()):
        again = subprocess.run(
            shlex.split(line), cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, line + again.stderr
    names = [kind.split()[1] for kind in walk.plugin()]
    assert all(name in done.stdout for name in names)
    if "suite.yaml" in walk.files and "colorbench.methods" in walk.plugin().values():
        origin = tomllib.loads(walk.files["pyproject.toml"])["project"]
        record = next(folder.glob(f"results/runs/*/{names[0]}--none--s0/record.json")).read_text(encoding="utf-8")
        assert f'"{origin["name"]}": "{origin["version"]}"' in record

    if "--devices 2 --out together" in " ".join(SEVERAL.get(walk.title, ())):
        one, two = (folder / out / "runs/samples-core/warm--none--s0/images.csv" for out in ("results", "together"))
        assert one.read_bytes() == two.read_bytes()


def make_environment(folder: Path) -> None:
    """Make an environment that sees what this one has, and has the command `colorbench`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "under-test.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    program = folder / "bin" / "colorbench"
    program.write_text(f"#!{folder}/bin/python\nfrom bench.cli import main\nmain()\n")
    program.chmod(0o755)


def command_lines(document: Path) -> Iterator[str]:
    """Yield every line of the blocks of a document that calls `colorbench`."""
    for _, name, content in FENCE.findall(document.read_text(encoding="utf-8")):
        for line in content.replace("\\\n", " ").splitlines() if not name else ():
            found = re.search(r"(?:^|&& |uv run )colorbench (.*)$", line.strip())
            if found:
                yield found.group(1)


COMMAND_LINES = [(path.name, line) for path in DOCUMENTS for line in command_lines(path)]
WRONG_USAGE = typer.BadParameter.__mro__[1]
"""The parser's own error, of a click that typer brings with it."""


def parse(line: str) -> Any:
    """Let the command line's own parser read a line, as far as to the command's own code."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("colorbench", shlex.split(line, comments=True))
    while isinstance(command, TyperGroup):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize(("document", "line"), COMMAND_LINES)
def test_command_lines_of_the_documents_parse(document: str, line: str) -> None:
    context = parse(line)
    assert context.args == [] or context.info_name in LIGHTNING


@pytest.mark.parametrize("line", ["run a.yaml --ouut b", "leaderboard", "colourise a.png", "data fetch a --root b"])
def test_wrong_command_lines_do_not_parse(line: str) -> None:
    with pytest.raises(WRONG_USAGE):
        parse(line)


def test_suites_of_the_documents_are_suites() -> None:
    reproducing = [section for section in sections(ROOT / "bench" / "REPRODUCING.md") if section.files]
    assert reproducing
    for section in reproducing:
        for name, content in section.files.items():
            assert name == f"{parse_suite(content, name).name.removesuffix('-v1')}.yaml"


def test_the_recipe_of_the_walk_is_a_recipe(tmp_path: Path) -> None:
    learning = next(walk for walk in WALKS if "mine.yaml" in walk.files)
    learning.write(tmp_path)
    assert set(load_recipe(str(tmp_path / "mine.yaml")).stages) == {
        name.split()[1] for name in learning.plugin()
    } & set(yaml.safe_load(learning.files["mine.yaml"])["stages"])
