"""Plug-ins: found by their entry points, loaded when asked for, refused where broken, and part of identities."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import catalog
from bench.build import build_method, instantiate
from bench.catalog import MethodCard
from bench.errors import UsageError
from bench.extensions import settings_of
from bench.identity import TrainingOptions, identity
from bench.lightning_cli import _expand_ids
from bench.listing import entries
from bench.plan import NO_DETECTOR, Run, plugins_of
from bench.plugin_detector import PluginDetector
from bench.plugin_files import distribution_files
from bench.plugins import Plugin, _scan, class_path_roots, plugins
from bench.provenance import package_versions, plugin_sources
from bench.recipe import load_recipe
from bench.scoring.comparison import Comparison, Region, pixel_metrics
from bench.scoring.metrics import METRICS
from bench.suite import DatasetChoice, DetectorChoice, MethodChoice
from bench.suite_boxes import BoxPlace
from datamodules.sources.synthetic import SyntheticSource
from lightning_modules.base import Colorizer

METHOD = """
from lightning_modules.base import Colorizer

class Blank(Colorizer):
    def __init__(self, share: float = 0.5, sizes: list = [1, 2], loss_of=print, **settings):
        super().__init__(**settings)

    def colorize(self, gray):
        return gray.light.new_zeros(len(gray), 2, *gray.light.shape[-2:])
"""
LEARNER = METHOD + "    def loss(self, batch): return {}\n    def networks(self): return {}\n"
METRIC = """
from bench.scoring.metrics import Metric

METRIC = Metric(id="{id}", name="M", direction="{direction}", decimals=1, definition="d", source="s")

def score(comparison, regions):
    return {answer}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that makes a distribution with entry points and modules discoverable, and gives its folder."""
    before, site = set(sys.modules), tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def make(points: str, name: str = "ours", about: str = "", **modules: str) -> Path:
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{about}")
        (info / "entry_points.txt").write_text(points)
        for module, content in modules.items():
            (site / f"{module}.py").write_text(content)
        _scan.cache_clear()
        return site

    yield make
    _scan.cache_clear()
    for name in set(sys.modules) - before:
        if site.as_posix() in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def methods(*values: str) -> str:
    return "[colorbench.methods]\n" + "".join(f"{value}\n" for value in values)


def test_the_card_follows_from_class_and_metadata(install: Install) -> None:
    about = 'Author-email: "Ada L." <ada@example.org>, b@example.org\nLicense-Expression: MIT\nProject-URL: Home, https://e.org\n'
    install(methods("blank = brought_card:Blank"), about=about, brought_card=METHOD)
    card = catalog.methods()["blank"]
    assert (card.id, card.name, card.authors, card.license) == ("blank", "Blank", "Ada L.", "MIT")
    assert (card.url, card.year, card.plugin) == ("https://e.org", None, "ours 1.2")
    assert not any((card.uses_boxes, card.uses_hints, card.trainable, card.stages))
    assert catalog.methods().shipped["gray"].plugin is None


def test_what_a_class_states_comes_before_metadata(install: Install) -> None:
    code = METHOD.replace(
        "    def __init__", '    uses_boxes = True\n    card = {"name": "B", "year": 1999}\n\n    def __init__'
    )
    install(methods("blank = brought_facts:Blank"), brought_facts=code)
    card = catalog.methods()["blank"]
    assert (card.name, card.year, card.authors, card.license, card.uses_boxes) == ("B", 1999, "", "", True)


def test_a_method_that_learns_has_one_stage(install: Install) -> None:
    install(methods("blank = brought_learner:Blank"), brought_learner=LEARNER)
    assert catalog.methods()["blank"].trainable
    assert catalog.training_stages("blank") == ("blank",)


def test_the_tree_holds_plain_settings_and_builds(install: Install) -> None:
    install(methods("blank = brought_tree:Blank"), brought_tree=METHOD)
    tree = catalog.model_tree("blank")
    settings = {"share": 0.5, "sizes": [1, 2], "input_size": None, "crop_size": None, "learning_rate": 1e-4}
    assert tree == {"class_path": "brought_tree.Blank", "init_args": settings}
    assert isinstance(build_method(catalog.with_settings(tree, {"input_size": 32})), Colorizer)
    assert _expand_ids(["fit", "--model", "blank", "--model=blank"]) == [
        "fit",
        "--model",
        "brought_tree.Blank",
        "--model=brought_tree.Blank",
    ]


def test_settings_end_where_nothing_is_handed_on() -> None:
    class Closed(Colorizer):
        def __init__(self, own: int = 3) -> None:
            super().__init__()

    assert settings_of(Closed) == {"own": 3}


BROKEN = {
    "no such module": ("a-method = brought_nowhere:A", "", "cannot be imported: ModuleNotFoundError"),
    "no such class": ("a-method = {m}:A", "", "cannot be imported: AttributeError"),
    "an error": ("a-method = {m}:A", "raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "an exit": ("a-method = {m}:A", "import sys; sys.exit(3)", "SystemExit: 3"),
    "a function": ("a-method = {m}:A", "def A(): pass", "of the type function"),
    "a class of another kind": ("a-method = {m}:A", "class A: pass", "the class A, not a class derived from"),
    "no colorize": (
        "a-method = {m}:A",
        "from lightning_modules.base import Colorizer as A",
        "does not implement colorize",
    ),
    "nothing saved": (
        "a-method = {m}:Blank",
        METHOD + "    def loss(self, batch): return {}\n",
        "nothing that it learns would be saved",
    ),
    "a decided fact": ("a-method = {m}:Blank", METHOD + "    card = {'id': 'x'}\n", "states id in its `card`"),
    "an unknown fact": ("a-method = {m}:Blank", METHOD + "    card = {'licence': 'x'}\n", "did you mean license"),
    "facts of another form": ("a-method = {m}:Blank", METHOD + "    card = ['x']\n", "`card` of the type list"),
    "a name that is no id": ("A Method = {m}:Blank", METHOD, "kebab-case is wanted"),
    "the name of our own": ("gray = {m}:Blank", METHOD, "that colorbench brings: rename it"),
    "two of one name": ("a-method = {m}:Blank\na-method = {m}:Colorizer", METHOD, "rename it"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plugin_is_named_and_breaks_nothing_else(
    broken: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    point, code, said = BROKEN[broken]
    module = f"brought_{list(BROKEN).index(broken)}"
    install(methods(point.format(m=module)), **{module: code})
    name = point.partition(" =")[0]
    with pytest.raises(UsageError, match="pip uninstall ours") as error:
        catalog.methods()[name]
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert catalog.methods()["random"].id == "random"
    assert {"gray", "random"} <= {entry["id"] for entry in entries("methods")}
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert MethodChoice(id="random").name == "random"


def test_two_distributions_of_one_name_are_refused(install: Install) -> None:
    install(methods("blank = brought_first:Blank"), name="first", brought_first=METHOD)
    install(methods("blank = brought_second:Blank"), name="second", brought_second=METHOD)
    with pytest.raises(UsageError, match=r"second 1\.2.*first 1\.2|first 1\.2.*second 1\.2"):
        catalog.methods()["blank"]


@pytest.mark.parametrize("points", ["[colorbench.methods]\nno equals sign\n", "[colorbench.methods]\n= a:b\n"])
def test_entry_points_that_cannot_be_read_break_nothing(points: str, install: Install) -> None:
    install(points)
    assert "gray" in catalog.methods()
    assert [entry["id"] for entry in entries("detectors")]


def test_class_paths_may_name_modules_of_plugins_and_no_others(install: Install) -> None:
    hostile = (
        "a = os:system",
        "b = torch.hub:load",
        "c = jsonargparse._util:x",
        "d = not a module:x",
        "e = bench.cli:main",
    )
    install(methods("blank = brought_paths.deep:Blank", *hostile), brought_paths=METHOD, brought_others=METHOD)
    assert class_path_roots(("torch.nn", "bench.panels")) == ["brought_paths.deep"]
    with pytest.raises(UsageError, match="not allowed"):
        instantiate({"class_path": "brought_others.Blank"}, Colorizer)
    for path in ("os.system", "torch.hub.load", "bench.cli.main"):
        with pytest.raises(UsageError, match="not allowed"):
            instantiate({"class_path": path}, Colorizer)


def test_looking_for_plugins_imports_none_of_them(install: Install) -> None:
    """In a process of its own: the commands that read names and files, and the import of everything they need."""
    site = install(methods("blank = brought_lazy:Blank"), brought_lazy="raise SystemExit('imported')")
    code = (
        "import sys\nfrom bench import catalog, cli, leaderboard\nfrom bench.suite import parse_suite\n"
        "assert 'blank' in catalog.methods()\n"
        "parse_suite('{name: a, methods: [gray, blank], datasets: [{id: samples}]}', 'a')\n"
        "print(sorted({'torch', 'brought_lazy'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_changed_sources_are_another_identity(install: Install) -> None:
    site = install(methods("blank = brought_digest:Blank"), brought_digest=LEARNER)
    (plugin,) = plugins("method")["blank"]
    run = Run(MethodChoice(id="blank"), NO_DETECTOR, DatasetChoice(id="samples"), 0)
    assert plugins_of(run, ("psnr",)) == (plugin,)
    options = TrainingOptions(Path("out"), catalog.data_tree("synthetic"), load_recipe("small"))
    before, trained = plugin_sources([plugin]), identity("blank", options)
    assert list(before) == ["method blank"]
    (site / "brought_digest.py").write_text(LEARNER + "\n# changed\n")
    assert plugin_sources([plugin]) != before
    assert {key for key, value in identity("blank", options).items() if value != trained[key]} == {"plugin"}
    assert identity("zhang-eccv16", options)["plugin"] is None
    assert package_versions([plugin])["ours"] == "1.2"


def test_any_file_that_is_installed_with_a_plugin_is_part_of_its_identity(install: Install) -> None:
    """As hatchling, flit and Poetry install: a RECORD of all files, and no top_level.txt."""
    site = install(methods("blank = brought_lone:Blank"), brought_lone=METHOD, brought_beside="A = 1\n")
    (site / "brought_data").mkdir()
    (site / "brought_data" / "table.npy").write_bytes(b"1")
    recorded = ("brought_lone.py", "brought_beside.py", "brought_data/table.npy")
    made = ("../../bin/ours", "__pycache__/brought_lone.cpython-311.pyc", "ours-1.2.dist-info/RECORD")
    (site / "ours-1.2.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in (*recorded, *made)))
    (plugin,) = plugins("method")["blank"]
    seen = [plugin.sources()]
    for name in recorded:
        (site / name).write_bytes((site / name).read_bytes() + b"# changed\n")
        seen.append(plugin.sources())
    assert len(set(seen)) == 4
    (site / "__pycache__").mkdir(exist_ok=True)
    for name in (made[1], "stranger.py"):
        (site / name).write_text("# not ours\n")
    assert plugin.sources() == seen[-1]


@pytest.mark.parametrize("top", ["brought_edited", "brought_module"])
def test_a_plugin_that_is_being_edited_is_all_that_it_can_import(top: str, install: Install) -> None:
    """As an editable installation records it: a file of paths, and where the project lies."""
    site = install(methods(f"blank = {top}:Blank"))
    (site / "ours-1.2.dist-info" / "RECORD").write_text("ours.pth,,\n")
    origin = {"url": site.as_uri(), "dir_info": {"editable": True}}
    (site / "ours-1.2.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    files = {"brought_edited/__init__.py", "brought_edited/table.npy", "brought_other/__init__.py", "brought_module.py"}
    for name in files:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("# a\n")
    (site / "brought_edited" / ".swap").touch()
    (site / "ours.pth").write_text(str(site))
    importlib.invalidate_caches()
    (plugin,) = plugins("method")["blank"]
    assert distribution_files("ours", [top]).keys() == files
    before = plugin.sources()
    (site / "brought_edited" / "table.npy").write_text("# b\n")
    assert plugin.sources() != before


def test_without_a_record_of_files_a_plugin_is_its_packages(install: Install) -> None:
    site = install(methods("blank = brought_package.deep:Blank"))
    (site / "ours-1.2.dist-info" / "top_level.txt").write_text("brought_package\nbrought_beside\n")
    _scan.cache_clear()
    (site / "brought_package").mkdir()
    (plugin,) = plugins("method")["blank"]
    seen = {plugin.sources()}
    for name in ("brought_package/__init__.py", "brought_package/table.npy", "brought_beside.py"):
        (site / name).write_text("# a\n")
        importlib.invalidate_caches()
        seen.add(plugin.sources())
    (site / "stranger.py").write_text("# not ours\n")
    seen.add(plugin.sources())
    assert len(seen) == 4


def test_recipes_train_plugins_by_default_or_say_how(install: Install) -> None:
    install(methods("blank = brought_recipe:Blank"), brought_recipe=LEARNER)
    small = load_recipe("small")
    assert small.stage("blank") == small.plugins
    assert small.tree("blank")["init_args"]["input_size"] == 96
    changed = small.with_settings({"share": 0.25, "learning_rate": 0.5}, ["blank"])
    assert changed.tree("blank")["init_args"]["share"] == 0.25
    assert changed.stage("blank").learning_rate == 0.5
    with pytest.raises(UsageError, match="Give a recipe of your own"):
        load_recipe("paper").stage("blank")


DATASET = """
from datamodules.photo_data import PhotoDataModule

class Ours(PhotoDataModule):
    pass
"""


def test_a_training_and_its_boxes_hang_on_the_plugin_of_their_photos(install: Install, tmp_path: Path) -> None:
    site = install("[colorbench.datasets]\nours = brought_photos:Ours\n", brought_photos=DATASET)
    tree = {"class_path": "brought_photos.Ours"}
    options = TrainingOptions(Path("out"), tree, load_recipe("small"))
    before, (choice,) = identity("zhang-eccv16", options), (DetectorChoice(id="annotations"),)
    made: list[int] = []
    place = BoxPlace(
        tmp_path / "boxes", "ours", tree, SyntheticSource(count=1, size=64), "d", (choice,), None, tmp_path
    )
    for addition in ("", "", "# other annotations\n"):
        (site / "brought_photos.py").write_text(DATASET + addition)
        _, path = place.exact(choice)
        made.append(path.stat().st_mtime_ns)
    assert made[0] == made[1] < made[2]
    after = identity("zhang-eccv16", options)
    assert {key for key, value in after.items() if value != before[key]} == {"data_plugin"}
    own = TrainingOptions(Path("out"), catalog.data_tree("synthetic"), load_recipe("small"))
    assert identity("zhang-eccv16", own)["data_plugin"] is None


DETECTOR = """
import torch
from datamodules.types import Boxes

class Finder:
    def __init__(self, score_threshold, device):
        self.threshold = score_threshold

    def detect(self, lights):
        boxes = torch.tensor([[-5.0, 0, 10, 10], [0, 0, 8, 8], [3, 3, 3, 9], [1, 1, 9, 9]])
        scores = torch.tensor([0.8, self.threshold, 1.0, 0.9])
        return [Boxes(boxes, scores, torch.zeros(4, dtype=torch.int64), light.shape) for light in lights][:{count}]
"""


def test_findings_of_a_detector_are_kept_by_the_rule_of_all(install: Install) -> None:
    install("[colorbench.detectors]\nfinder = brought_finder:Finder\n", brought_finder=DETECTOR.replace("{count}", "9"))
    (plugin,) = plugins("detector")["finder"]
    detector = PluginDetector(plugin, None, score_threshold=0.5, max_boxes=8)
    (found,) = detector.detect([np.zeros((20, 30), np.uint8)])
    assert found.xyxy.tolist() == [[1, 1, 9, 9], [0, 0, 10, 10]], (
        "no area and no score above the threshold are left out"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Finder: pass", "no class with a method detect"),
        ("class Finder:\n    def __init__(self, other): pass\n    def detect(self, lights): pass", "cannot be built"),
        (DETECTOR.replace("{count}", "0"), "one Boxes a picture"),
    ],
)
def test_a_detector_of_another_form_is_refused(code: str, said: str, install: Install) -> None:
    module = "brought_finder"
    install(f"[colorbench.detectors]\nfinder = {module}:Finder\n", **{module: code})
    (plugin,) = plugins("detector")["finder"]
    with pytest.raises(UsageError, match=said):
        PluginDetector(plugin, None, score_threshold=0.5, max_boxes=8).detect([np.zeros((20, 30), np.uint8)])


def metric(identity: str = "far", direction: str = "lower", answer: str = "[1.0] * len(regions)") -> str:
    return METRIC.format(id=identity, direction=direction, answer=answer)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("far", "METRIC = 3", "no module with a `METRIC`"),
        ("far", metric().replace("score", "scored"), "no module with a `METRIC`"),
        ("far", metric("near"), "both names must be the same"),
        ("status", metric("status"), "another column"),
        ("psnr_low", metric("psnr_low"), "another column"),
        ("lpips", metric("lpips"), "another column"),
        ("far", metric().replace('source="s"', 'source="s", of_set=True'), "of single pictures"),
        ("far-off", metric("far-off"), "snake_case is wanted"),
        ("psnr", metric("psnr"), "that colorbench brings"),
    ],
)
def test_a_metric_of_another_form_is_refused(name: str, code: str, said: str, install: Install) -> None:
    module = "brought_metric"
    install(f"[colorbench.metrics]\n{name} = {module}\n", **{module: code})
    with pytest.raises(UsageError, match=said):
        METRICS[name]
    assert METRICS["ssim"].id == "ssim"
    assert "ssim" in {entry["id"] for entry in entries("metrics")}


@pytest.mark.parametrize(
    ("answer", "said"),
    [("[1.0]", "gave 1, not 2 values"), ("[1.0, float('nan')]", "no finite number"), ("[None, 2]", None)],
)
def test_what_a_metric_answers_is_looked_at(answer: str, said: str | None, install: Install) -> None:
    module = "brought_answer"
    install(f"[colorbench.metrics]\nfar = {module}\n", **{module: metric(answer=answer)})
    picture = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    scores = pixel_metrics(("far", "psnr"))
    assert list(scores) == ["psnr", "far"]
    regions = [Region(0), Region(1)]
    if said is None:
        assert scores["far"](Comparison(picture, picture), regions) == [None, 2.0]
        return
    with pytest.raises(ValueError, match=said):
        scores["far"](Comparison(picture, picture), regions)


def test_a_dataset_of_another_form_is_refused(install: Install) -> None:
    install("[colorbench.datasets]\nours = brought_data:Data\n", brought_data="class Data: pass")
    assert isinstance(catalog.datasets()["ours"], Plugin)
    with pytest.raises(UsageError, match=r"not a class derived from datamodules\.photo_data\.PhotoDataModule"):
        catalog.data_tree("ours")


def test_a_root_without_default_is_a_folder_of_the_id(install: Install) -> None:
    code = "from datamodules.folder import FolderDataModule as Data\n"
    install("[colorbench.datasets]\nours = brought_root:Data\n", brought_root=code)
    tree = catalog.data_tree("ours")
    assert tree["init_args"]["root"] == "ours"


def test_shipped_cards_say_that_no_plugin_brings_them() -> None:
    assert all(isinstance(card, MethodCard) and card.plugin is None for card in catalog.shipped_methods().values())
