"""The walls of the house, read from the syntax tree: who may import whom, and what nobody does."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW = {
    "bench": {"bench", "lightning_modules", "datamodules"},
    "lightning_modules": {"lightning_modules", "datamodules"},
    "datamodules": {"datamodules"},
}
HEAVY = {"torch", "torchvision", "pytorch_lightning", "torchmetrics", "lpips", "safetensors.torch"}
SLOW = {"pandas", "matplotlib", "scipy", "skimage", "sklearn", "jinja2", "numpy"}
TORCH_FREE = (
    "bench.archives",
    "bench.board*",
    "bench.breakdown*",
    "bench.catalog",
    "bench.cli",
    "bench.compare*",
    "bench.credits",
    "bench.dashboards.*",
    "bench.figures.*",
    "bench.extensions",
    "bench.findings",
    "bench.formats",
    "bench.datasets",
    "bench.inpainting.board",
    "bench.inpainting.metrics",
    "bench.inpainting.plan",
    "bench.inpainting.record",
    "bench.inpainting.suite",
    "bench.leaderboard",
    "bench.observations",
    "bench.perception.*",
    "bench.pairs",
    "bench.picture_set",
    "bench.locks",
    "bench.missing_plugins",
    "bench.probing.cells",
    "bench.probing.settings",
    "bench.probing.tables",
    "bench.publish",
    "bench.plugin_files",
    "bench.plugins",
    "bench.record",
    "bench.report.*",
    "bench.rows",
    "bench.run_checks",
    "bench.scoring.features",
    "bench.scoring.frechet",
    "bench.scoring.metrics",
    "bench.statistics",
    "bench.status",
    "bench.submission",
    "bench.suite",
    "bench.verify",
    "datamodules.boxfile",
    "datamodules.images",
    "datamodules.photos",
    "datamodules.protocol",
    "datamodules.sources.*",
    "datamodules.synsets",
)
UNSAFE = ("yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads", "jit.load", "load_state_dict_from_url")
LAZY = {"ultralytics", "wandb", "mlflow", "submitit", "lightning"}


def modules() -> dict[str, ast.Module]:
    """Return the syntax trees of our packages by dotted name."""
    trees = {}
    for room in BELOW:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


MODULES = modules()
each_module = pytest.mark.parametrize("name", MODULES)


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported: not the bodies of functions, nor what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from statements(node)


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    """Return all that import statements name, `a.b` and `a.b.c` for `from a.b import c`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide the room"
            assert node.module
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def all_imports(name: str) -> set[str]:
    return imports(ast.walk(MODULES[name]))


def packages(name: str) -> set[str]:
    """Return a dotted name and all packages above it, which Python imports with it."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


def reached(start: str) -> set[str]:
    """Return all that importing a module of ours imports, through modules of ours, at their top level."""
    waiting, seen = packages(start), set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name in MODULES:
            found = imports(statements(MODULES[name]))
            waiting |= {above for each in found for above in packages(each)} - seen
    return seen


def torch_free() -> list[str]:
    return [name for name in MODULES if any(fnmatchcase(name, pattern) for pattern in TORCH_FREE)]


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a module with the text of what is called."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@each_module
def test_imports_go_down(name: str) -> None:
    ours = {target for target in all_imports(name) if target.partition(".")[0] in BELOW}
    room = name.partition(".")[0]
    assert {target for target in ours if target.partition(".")[0] not in BELOW[room]} == set()


@each_module
def test_optional_packages_are_imported_where_they_are_used(name: str) -> None:
    top = {target.partition(".")[0] for target in imports(statements(MODULES[name]))}
    assert top & LAZY == set(), "import it inside the function that needs it"


@pytest.mark.parametrize(
    ("package", "only"),
    [("wandb", "bench.dashboards.wandb"), ("ultralytics", "lightning_modules.detectors.yolo"), ("lightning", None)],
)
def test_packages_of_one_module(package: str, only: str | None) -> None:
    users = {name for name in MODULES if package in {each.partition(".")[0] for each in all_imports(name)}}
    assert users <= {only}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_tests_use_pytorch_lightning_and_no_test_package(path: Path) -> None:
    roots = {each.partition(".")[0] for each in imports(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))}
    assert roots & {"lightning", "tests", "conftest"} == set()


@pytest.mark.parametrize("pattern", TORCH_FREE)
def test_torch_free_modules_are_there(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in MODULES)


@pytest.mark.parametrize("name", torch_free())
def test_torch_free_modules_reach_no_torch(name: str) -> None:
    assert reached(name) & HEAVY == set()


def test_command_line_reaches_nothing_slow() -> None:
    assert {each.partition(".")[0] for each in reached("bench.cli")} & SLOW == set()


def test_torch_stays_out_of_a_real_process() -> None:
    code = f"import sys, {', '.join(torch_free())}\nprint(*sorted({HEAVY | LAZY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


@each_module
def test_module_names_say_what_is_inside(name: str) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & set(name.split("."))


def decodes_elsewhere(name: str) -> list[str]:
    """Return imports of torchvision.io, which a broken PNG brings down with the whole process."""
    return [each for each in all_imports(name) if each.startswith("torchvision.io")]


def safe_loaders(name: str) -> set[str]:
    """Return the YAML loaders that a module derives from the safe one."""
    classes = (node for node in ast.walk(MODULES[name]) if isinstance(node, ast.ClassDef))
    return {each.name for each in classes if [ast.unparse(base) for base in each.bases] == ["yaml.SafeLoader"]}


def unsafe_loads(name: str) -> list[str]:
    """Return loads that may run what is in a file: pickles and YAML tags."""
    found = []
    for text, call in calls(name):
        words = {each.arg: ast.unparse(each.value) for each in call.keywords}
        pickled = text == "torch.load" and words.get("weights_only") != "True"
        tagged = text == "yaml.load" and words.get("Loader") not in safe_loaders(name)
        if pickled or tagged or text.endswith(UNSAFE):
            found.append(ast.unparse(call))
    return found


def swallowed_errors(name: str) -> list[str]:
    """Return the lines of handlers that catch everything and say nothing."""
    handlers = (node for node in ast.walk(MODULES[name]) if isinstance(node, ast.ExceptHandler))
    silent = (node for node in handlers if isinstance(node.body[0], ast.Pass | ast.Continue))
    return [
        f"line {node.lineno}" for node in silent if node.type is None or ast.unparse(node.type).endswith("Exception")
    ]


def opens_pictures(name: str) -> list[str]:
    """Return openings of picture files outside the one decoder."""
    if name == "datamodules.images":
        return []
    return [text for text, _ in calls(name) if text in {"Image.open", "PIL.Image.open", "io.imread", "cv2.imread"}]


Rule = Callable[[str], list[str]]
RULES: tuple[Rule, ...] = (decodes_elsewhere, unsafe_loads, swallowed_errors, opens_pictures)
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@each_module
@each_rule
def test_what_nobody_does(rule: Rule, name: str) -> None:
    assert rule(name) == []


BAD = """
import torch, yaml
from torchvision.io import decode_image

torch.load("a.pt")
torch.load("a.pt", weights_only=False)
yaml.load("a")
Image.open("a.png")
try:
    pass
except Exception:
    pass
"""


@each_rule
def test_rules_see_what_they_forbid(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "bench.bad", ast.parse(BAD))
    assert rule("bench.bad")


def test_reached_follows_imports_but_not_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "bench.one", ast.parse("from bench import two\ndef late() -> None:\n    import numpy"))
    monkeypatch.setitem(
        MODULES, "bench.two", ast.parse("class Two:\n    import torch.nn\nif TYPE_CHECKING: import lpips")
    )
    assert {"bench.two", "torch", "torch.nn"} <= reached("bench.one")
    assert {"numpy", "lpips"} & reached("bench.one") == set()
